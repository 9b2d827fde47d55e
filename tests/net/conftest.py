"""A fresh bench for each test, and the books closed after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.net.fixture import NetBench


@pytest.fixture
def bench() -> Iterator[NetBench]:
    """A NetBench whose verdicts add up, and whose packets are all back, when the test is over."""
    made = NetBench()
    yield made
    made.check()
    made.sent(0)
    made.sent(1)
    made.check()
    made.close()
