"""An arena for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pronghorn.memory import Arena


@pytest.fixture
def arena() -> Iterator[Arena]:
    with Arena.create(limit=4 << 30) as made:
        yield made


@pytest.fixture
def shared() -> Iterator[Arena]:
    """An arena that forked processes share."""
    with Arena.create(limit=1 << 30, sharing="shared") as made:
        yield made
