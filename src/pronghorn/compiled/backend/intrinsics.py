"""Machine code of `compiled/intrinsics.py`, by the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import signature

from pronghorn.compiled.backend import access
from pronghorn.compiled.backend.operations import logical_right
from pronghorn.compiled.backend.types import I64, ArrayType
from pronghorn.compiled.intrinsics import ACCESS, External
from pronghorn.compiled.scalars import scalar_of

I1, I8, I32, I128 = (ir.IntType(bits) for bits in (1, 8, 32, 128))
BYTES = I8.as_pointer()
VOID = ir.VoidType()
NOWHERE = I64(0)

PARAMETERS = {
    "prefetch": 1, "copy": 3, "move": 3, "fill": 3, "same": 3, "fence": 0, "pause": 0, "cycles": 0,
    "fetch_add32": 2, "fetch_add64": 2, "compare_exchange32": 3, "compare_exchange64": 3,
    "wrap": 1, "multiply": 2, "fold_multiply": 2, "shift_right": 2, "swap64": 1,
    "count_ones": 1, "trailing_zeros": 1, "leading_zeros": 1, "region_table": 0, "abs": 1, "unchecked64": 1,
}  # fmt: skip
NAMES = {"memcpy": "copy", "memmove": "move"}
NO_RESULT = ("prefetch", "copy", "move", "fill", "fence", "pause")
TRUTH = ("same", "compare_exchange32", "compare_exchange64")


def intrinsic_signature(name: str, args: Any) -> Any:
    """What a call of the intrinsic takes and gives."""
    if name == "array_at":
        meaning = args[0].meaning
        return signature(ArrayType(scalar_of(meaning) or meaning), args[0], types.int64)
    if name in ("min", "max"):
        return signature(types.int64, *[types.int64] * len(args))
    if name in ACCESS:
        stores = name.startswith("store")
        return signature(types.none if stores else types.int64, *[types.int64] * (2 if stores else 1))
    result = types.none if name in NO_RESULT else types.boolean if name in TRUTH else types.int64
    return signature(result, *[types.int64] * PARAMETERS[name])


def emit(name: str, context: Any, builder: Any, args: Any) -> Any:
    """The code of one call; a value of the result's type."""
    if name in ACCESS:
        what = f"{name}()"
        if name.startswith("store"):
            access.store(builder, args[0], NOWHERE, ACCESS[name], args[1], what)
            return context.get_dummy_value()
        return access.load(builder, args[0], NOWHERE, ACCESS[name], what)
    value = _EMITTERS[name](builder, *args)
    return context.get_dummy_value() if name in NO_RESULT else value


def emit_external(target: External, context: Any, builder: Any, args: Any) -> Any:
    """A call of a libc function, its arguments narrowed and its result widened."""
    kinds = [ir.IntType(p.bits) for p in target.parameters]
    result = ir.IntType(target.result.bits) if target.result else VOID
    function = _declare(builder, target.name, result, *kinds)
    narrow = [a if kind.width == 64 else builder.trunc(a, kind) for a, kind in zip(args, kinds, strict=True)]
    value = builder.call(function, narrow)
    if target.result is None:
        return context.get_dummy_value()
    if target.result.bits == 64:
        return value
    return builder.sext(value, I64) if target.result.signed else builder.zext(value, I64)


def _declare(builder: Any, name: str, result: Any, *parameters: Any) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, parameters), name)


def _bytes(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, BYTES)


def _prefetch(builder: Any, address: Any) -> None:
    function = _declare(builder, "llvm.prefetch.p0", VOID, BYTES, I32, I32, I32)
    builder.call(function, [_bytes(builder, address), I32(0), I32(3), I32(1)])


def _mover(name: str) -> Callable[..., None]:
    def emit_move(builder: Any, target: Any, source: Any, octets: Any) -> None:
        function = _declare(builder, f"llvm.{name}.p0.p0.i64", VOID, BYTES, BYTES, I64, I1)
        access.check_range(builder, target, octets, f"{NAMES[name]}() to")
        access.check_range(builder, source, octets, f"{NAMES[name]}() from")
        builder.call(function, [_bytes(builder, target), _bytes(builder, source), octets, I1(0)])

    return emit_move


def _fill(builder: Any, target: Any, value: Any, octets: Any) -> None:
    access.check_range(builder, target, octets, "fill()")
    function = _declare(builder, "llvm.memset.p0.i64", VOID, BYTES, I8, I64, I1)
    builder.call(function, [_bytes(builder, target), builder.trunc(value, I8), octets, I1(0)])


def _same(builder: Any, a: Any, b: Any, octets: Any) -> Any:
    access.check_range(builder, a, octets, "same() left")
    access.check_range(builder, b, octets, "same() right")
    function = _declare(builder, "memcmp", I32, BYTES, BYTES, I64)
    return builder.icmp_signed("==", builder.call(function, [_bytes(builder, a), _bytes(builder, b), octets]), I32(0))


def _fence(builder: Any) -> None:
    builder.fence("seq_cst")


def _pause(builder: Any) -> None:
    if builder.module.triple.startswith(("x86_64", "i686")):
        builder.call(_declare(builder, "llvm.x86.sse2.pause", VOID), [])
    else:
        builder.asm(ir.FunctionType(VOID, []), "yield", "", [], side_effect=True)


def _cycles(builder: Any) -> Any:
    return builder.call(_declare(builder, "llvm.readcyclecounter", I64), [])


def _fetch_add(bits: int) -> Callable[..., Any]:
    def emit_add(builder: Any, address: Any, n: Any) -> Any:
        access.check_range(builder, address, I64(bits // 8), f"fetch_add{bits}()")
        kind = ir.IntType(bits)
        pointer = builder.inttoptr(address, kind.as_pointer())
        old = builder.atomic_rmw("add", pointer, n if bits == 64 else builder.trunc(n, kind), "seq_cst")
        return old if bits == 64 else builder.zext(old, I64)

    return emit_add


def _compare_exchange(bits: int) -> Callable[..., Any]:
    def emit_exchange(builder: Any, address: Any, expected: Any, new: Any) -> Any:
        access.check_range(builder, address, I64(bits // 8), f"compare_exchange{bits}()")
        kind = ir.IntType(bits)
        pointer = builder.inttoptr(address, kind.as_pointer())
        if bits < 64:
            expected, new = builder.trunc(expected, kind), builder.trunc(new, kind)
        return builder.extract_value(builder.cmpxchg(pointer, expected, new, "seq_cst", "seq_cst"), 1)

    return emit_exchange


def _fold_multiply(builder: Any, a: Any, b: Any) -> Any:
    product = builder.mul(builder.zext(a, I128), builder.zext(b, I128))
    return builder.xor(builder.trunc(product, I64), builder.trunc(builder.lshr(product, I128(64)), I64))


def _count(name: str) -> Callable[..., Any]:
    def emit_count(builder: Any, value: Any) -> Any:
        if name == "ctpop":
            return builder.ctpop(value)
        return getattr(builder, name)(value, I1(0))

    return emit_count


def _region_table(builder: Any) -> Any:
    table = builder.module.globals.get("pronghorn_regions")
    if table is None:
        table = ir.GlobalVariable(builder.module, I64, "pronghorn_regions")
        table.linkage = "external"
    return builder.ptrtoint(table, I64)


def _extreme(comparison: str) -> Callable[..., Any]:
    def emit_extreme(builder: Any, *values: Any) -> Any:
        best = values[0]
        for value in values[1:]:
            best = builder.select(builder.icmp_signed(comparison, value, best), value, best)
        return best

    return emit_extreme


def _absolute(builder: Any, value: Any) -> Any:
    return builder.select(builder.icmp_signed("<", value, I64(0)), builder.neg(value), value)


_EMITTERS: dict[str, Callable[..., Any]] = {
    "array_at": lambda builder, element, address: address,
    "min": _extreme("<"),
    "max": _extreme(">"),
    "abs": _absolute,
    "prefetch": _prefetch,
    "copy": _mover("memcpy"),
    "move": _mover("memmove"),
    "fill": _fill,
    "same": _same,
    "fence": _fence,
    "pause": _pause,
    "cycles": _cycles,
    "fetch_add32": _fetch_add(32),
    "fetch_add64": _fetch_add(64),
    "compare_exchange32": _compare_exchange(32),
    "compare_exchange64": _compare_exchange(64),
    "wrap": lambda builder, value: value,
    "multiply": lambda builder, a, b: builder.mul(a, b),
    "fold_multiply": _fold_multiply,
    "shift_right": logical_right,
    "swap64": lambda builder, value: builder.bswap(value),
    "count_ones": _count("ctpop"),
    "trailing_zeros": _count("cttz"),
    "leading_zeros": _count("ctlz"),
    "region_table": _region_table,
    "unchecked64": lambda builder, address: builder.load(builder.inttoptr(address, I64.as_pointer()), align=1),
}
