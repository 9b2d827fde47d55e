"""Machine code for loads and stores: fields of views, elements of arrays, raw addresses."""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_builtin, lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature

from pronghorn.compiled import bounds
from pronghorn.compiled.backend.types import I64, ArrayType, Named, ViewType
from pronghorn.compiled.scalars import Scalar
from pronghorn.compiled.views import Field, View

POINTER = Scalar("u64", 64)
OUTSIDE = "outside every table, or across two elements"


class Place:
    """Where in the source the code being emitted comes from, for the bounds-check mode."""

    text = ""


def load(builder: Any, base: Any, offset: Any, scalar: Scalar, what: str) -> Any:
    """The scalar `offset` octets behind `base`, widened to 64 bits."""
    pointer = _pointer(builder, base, offset, scalar, what)
    if scalar.atomic:
        value = builder.load_atomic(pointer, "acquire", scalar.size)
    else:
        value = builder.load(pointer, align=1)
    if scalar.big and scalar.bits > 8:
        value = builder.bswap(value)
    if scalar.bits == 64:
        return value
    return builder.sext(value, I64) if scalar.signed else builder.zext(value, I64)


def store(builder: Any, base: Any, offset: Any, scalar: Scalar, value: Any, what: str) -> None:
    """Truncate `value` and put it `offset` octets behind `base`."""
    if scalar.bits < 64:
        value = builder.trunc(value, ir.IntType(scalar.bits))
    if scalar.big and scalar.bits > 8:
        value = builder.bswap(value)
    pointer = _pointer(builder, base, offset, scalar, what)
    if scalar.atomic:
        builder.store_atomic(value, pointer, "release", scalar.size)
    else:
        builder.store(value, pointer, align=1)


def _pointer(builder: Any, base: Any, offset: Any, scalar: Scalar, what: str) -> Any:
    """A pointer to the scalar. The offset is pointer arithmetic, so that LLVM sees which accesses cannot overlap."""
    if bounds.ENABLED:
        _check(builder, builder.add(base, offset), scalar.size, what)
    pointer = builder.inttoptr(base, ir.IntType(8).as_pointer())
    pointer = builder.gep(pointer, [offset], source_etype=ir.IntType(8))
    return builder.bitcast(pointer, ir.IntType(scalar.bits).as_pointer())


def _check(builder: Any, address: Any, octets: int, what: str) -> None:
    call_checker(builder, "access", [address, I64(octets)], f"{what}: {OUTSIDE}")


def check_range(builder: Any, address: Any, octets: Any, what: str) -> None:
    """In bounds-check mode: a range of octets must lie inside a table."""
    if bounds.ENABLED:
        call_checker(builder, "range", [address, octets], f"{what}: {OUTSIDE}")


def call_checker(builder: Any, name: str, arguments: list[Any], fault: str) -> None:
    """Call `checker.check_<name>` with these numbers and the text to print before it aborts."""
    text = f"pronghorn: {Place.text}: {fault}\n".encode()
    place = cgutils.global_constant(builder, "place", cgutils.make_bytearray(text + b"\0"))
    kind = ir.FunctionType(ir.VoidType(), [I64] * (len(arguments) + 1))
    checker = cgutils.get_or_insert_function(builder.module, kind, f"compiled_checker_check_{name}")
    builder.call(checker, [*arguments, builder.ptrtoint(place, I64)])


def _offset(builder: Any, address: Any, field: Field) -> Any:
    return builder.add(address, I64(field.offset)) if field.offset else address


def _field_type(field: Field) -> Any:
    if field.kind == "scalar":
        return types.int64
    return ViewType(field.element) if field.kind == "view" else ArrayType(field.element)


@infer_getattr
class _ViewFields(AttributeTemplate):  # type: ignore[misc]
    key = ViewType

    def generic_resolve(self, view: ViewType, name: str) -> Any:
        if name == "address":
            return types.int64
        field = view.view.FIELDS.get(name)
        return _field_type(field) if field else None


@infer_getattr
class _ArrayAddress(AttributeTemplate):  # type: ignore[misc]
    key = ArrayType

    def generic_resolve(self, array: ArrayType, name: str) -> Any:
        return types.int64 if name == "address" else None


@infer_getattr
class _ClassNumbers(AttributeTemplate):  # type: ignore[misc]
    key = Named

    def generic_resolve(self, named: Named, name: str) -> Any:
        is_view = isinstance(named.meaning, type) and issubclass(named.meaning, View)
        return types.int64 if is_view and name in ("SIZE", "ALIGN") else None


@lower_getattr_generic(ViewType)  # type: ignore[untyped-decorator]
def _get_field(context: Any, builder: Any, view: ViewType, address: Any, name: str) -> Any:
    if name == "address":
        return address
    field = view.view.FIELDS[name]
    if field.kind == "scalar":
        return load(builder, address, I64(field.offset), field.element, field.place)
    if field.kind == "pointer":
        return load(builder, address, I64(field.offset), POINTER, field.place)
    return _offset(builder, address, field)


@lower_setattr_generic(ViewType)  # type: ignore[untyped-decorator]
def _set_field(context: Any, builder: Any, sig: Any, args: Any, name: str) -> None:
    view, value_type = sig.args
    field = view.view.FIELDS.get(name)
    if field is None:
        raise TypeError(f"{view.view.__name__}.{name} cannot be assigned: make another view of the other address")
    if field.kind not in ("scalar", "pointer"):
        raise TypeError(f"{field.place} is part of the record: assign its fields one by one")
    value = context.cast(builder, args[1], value_type, _field_type(field))
    scalar = field.element if field.kind == "scalar" else POINTER
    store(builder, args[0], I64(field.offset), scalar, value, field.place)


@lower_getattr_generic(ArrayType)  # type: ignore[untyped-decorator]
def _get_address(context: Any, builder: Any, array: ArrayType, address: Any, name: str) -> Any:
    return address


@lower_getattr_generic(Named)  # type: ignore[untyped-decorator]
def _get_number(context: Any, builder: Any, named: Named, value: Any, name: str) -> Any:
    return I64(getattr(named.meaning, name))


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], ArrayType):
            array = args[0]
            return signature(types.int64 if array.scalar else ViewType(array.element), array, types.int64)
        return None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], ArrayType) and args[0].scalar:
            return signature(types.none, args[0], types.int64, types.int64)
        return None


def _distance(builder: Any, array: ArrayType, index: Any) -> Any:
    return builder.mul(index, I64(array.stride))


def _element(builder: Any, array: ArrayType, base: Any, index: Any) -> Any:
    return builder.add(base, _distance(builder, array, index))


@lower_builtin(operator.getitem, ArrayType, types.int64)  # type: ignore[untyped-decorator]
def _get_item(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    array = sig.args[0]
    if not array.scalar:
        return _element(builder, array, *args)
    return load(builder, args[0], _distance(builder, array, args[1]), array.element, array.name)


@lower_builtin(operator.setitem, ArrayType, types.int64, types.int64)  # type: ignore[untyped-decorator]
def _set_item(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    array = sig.args[0]
    store(builder, args[0], _distance(builder, array, args[1]), array.element, args[2], array.name)
    return context.get_dummy_value()
