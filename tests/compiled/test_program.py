"""A function and everything it reaches as one module: the same results, and other functions stay callable."""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, whole_program
from pronghorn.wire.checksum import add, fold


@leaf
def _twice(x: int) -> int:
    return 2 * x


@hot
def _both(x: int) -> tuple[int, int]:
    return _twice(x), fold(x)


@hot
def count_up(n: int) -> int:
    """Sum of what the others give, n times."""
    total = 0
    for i in range(n):
        one, other = _both(i)
        total += one + other
    return total


def test_a_program_gives_what_its_functions_give() -> None:
    assert whole_program(count_up) is count_up
    assert count_up(10) == sum(2 * i + i for i in range(10))
    assert _both(7) == (14, 7)
    assert add(0, 0) == 0


def test_a_function_that_runs_already_stays_as_it_is() -> None:
    before = count_up(3)
    assert whole_program(count_up) is count_up
    assert count_up(3) == before
