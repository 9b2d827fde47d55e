"""Read-modify-write operations are whole among threads, in every mode."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator

import pytest

from pronghorn.compiled import bounds, compare_exchange64, entry, fetch_add64, load64

THREADS, TIMES = 2, 20_000

pytestmark = pytest.mark.skipif(bounds.ENABLED, reason="the words lie in memory of Python's")


@entry
def add_often(address: int, count: int) -> None:
    for _ in range(count):
        fetch_add64(address, 1)


@entry
def exchange_often(address: int, count: int) -> None:
    for _ in range(count):
        done = False
        while not done:
            old = load64(address)
            done = compare_exchange64(address, old, old + 1)


@pytest.fixture
def restless() -> Iterator[None]:
    """The interpreter changes threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("count", [add_often, exchange_often])
def test_threads_lose_nothing(count: object) -> None:
    word = ctypes.c_uint64()
    address = ctypes.addressof(word)
    threads = [threading.Thread(target=count, args=(address, TIMES)) for _ in range(THREADS)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert word.value == THREADS * TIMES
