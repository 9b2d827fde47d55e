"""Arithmetic whose meaning in Python is not one machine instruction, defined for every operand.

Division rounds down, and by zero gives 0 (the bounds-check mode aborts with the place instead). A shift by 64 or more
moves everything out; so does a negative one, for which CPython raises. Nothing here is undefined to the optimiser.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from pronghorn.compiled import bounds
from pronghorn.compiled.backend import access
from pronghorn.compiled.backend.types import I64


def _divide(builder: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Quotient and remainder, rounded down; 0 and 0 for a division by zero."""
    if bounds.ENABLED:
        access.call_checker(builder, "divisor", [b], "division by zero")
    zero, minus = builder.icmp_signed("==", b, I64(0)), builder.icmp_signed("==", b, I64(-1))
    divisor = builder.select(builder.or_(zero, minus), I64(1), b)  # neither traps in the processor
    quotient, rest = builder.sdiv(a, divisor), builder.srem(a, divisor)
    unlike = builder.icmp_signed("<", builder.xor(rest, divisor), I64(0))
    down = builder.and_(builder.icmp_signed("!=", rest, I64(0)), unlike)
    quotient = builder.sub(quotient, builder.zext(down, I64))
    quotient = builder.select(minus, builder.neg(a), builder.select(zero, I64(0), quotient))
    rest = builder.add(rest, builder.select(down, divisor, I64(0)))
    return quotient, rest


def _modulo(builder: Any, a: Any, b: Any) -> Any:
    return _divide(builder, a, b)[1]


def _quotient(builder: Any, a: Any, b: Any) -> Any:
    return _divide(builder, a, b)[0]


def _left(builder: Any, value: Any, bits: Any) -> Any:
    small = builder.icmp_unsigned("<", bits, I64(64))
    return builder.select(small, builder.shl(value, builder.and_(bits, I64(63))), I64(0))


def _right(builder: Any, value: Any, bits: Any) -> Any:
    small = builder.icmp_unsigned("<", bits, I64(64))
    return builder.ashr(value, builder.select(small, bits, I64(63)))


def logical_right(builder: Any, value: Any, bits: Any) -> Any:
    """The shift of `shift_right`: zeros come in."""
    small = builder.icmp_unsigned("<", bits, I64(64))
    return builder.select(small, builder.lshr(value, builder.and_(bits, I64(63))), I64(0))


OPERATIONS: dict[Any, Callable[..., Any]] = {
    operator.floordiv: _quotient,
    operator.ifloordiv: _quotient,
    operator.mod: _modulo,
    operator.imod: _modulo,
    operator.lshift: _left,
    operator.ilshift: _left,
    operator.rshift: _right,
    operator.irshift: _right,
}
"""By operator, for two signed 64-bit operands."""
ARITHMETIC = {
    *OPERATIONS,
    *(
        operator.add,
        operator.iadd,
        operator.sub,
        operator.isub,
        operator.mul,
        operator.imul,
        operator.neg,
        operator.pos,
    ),
}
"""What makes an int of bools, as of ints."""
