"""An engine with a service of each protocol and family, shared by a file's tests; what they leave is taken away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.feed import EngineBench


@pytest.fixture(scope="module")
def shared() -> Iterator[EngineBench]:
    with EngineBench(large_packets=4) as bench:
        for family in (4, 6):
            bench.service("tcp", family)
            bench.service("udp", family, 53)
        yield bench


@pytest.fixture
def bench(shared: EngineBench) -> Iterator[EngineBench]:
    yield shared
    shared.drain()
    shared.sent(0)
    shared.sent(1)
