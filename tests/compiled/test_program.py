"""A function and everything it reaches as one module: the same results, and other functions stay callable."""

from __future__ import annotations

import pytest

from pronghorn.compiled import cold, hot, leaf, mode, whole_program
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


@cold
def _rarely(x: int) -> int:
    return 3 * x


def test_what_is_cold_is_an_ordinary_function_to_its_callers() -> None:
    assert _rarely(5) == 15


@pytest.mark.skipif(mode() != "jit", reason="about the compiler")
def test_what_is_cold_is_never_inlined() -> None:
    from pronghorn.compiled.backend.frontend import intermediate_code
    from pronghorn.compiled.functions import Function

    texts = []
    for function in (_rarely, count_up):
        assert isinstance(function, Function)
        texts.append(intermediate_code(function))
    assert "noinline cold" in texts[0]
    assert "noinline" not in texts[1]


def test_a_program_gives_what_its_functions_give() -> None:
    assert whole_program(count_up) is count_up
    assert count_up(10) == sum(2 * i + i for i in range(10))
    assert _both(7) == (14, 7)
    assert add(0, 0) == 0


def test_a_function_that_runs_already_stays_as_it_is() -> None:
    before = count_up(3)
    assert whole_program(count_up) is count_up
    assert count_up(3) == before
