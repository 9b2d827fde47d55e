"""The C header: entries and the views they take, generated from the declarations.

Structures are packed and carry static assertions of size and offsets, so a C compiler that lays them out otherwise
refuses them. Big-endian fields keep network order in C; their type names say so (pronghorn_be16 ...).
"""

from __future__ import annotations

from pronghorn.compiled.functions import Function, Kind
from pronghorn.compiled.scalars import Scalar
from pronghorn.compiled.views import Field, View

_PREFACE = """\
/* Generated from the declarations of the data plane: do not edit. */
#ifndef PRONGHORN_H
#define PRONGHORN_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint16_t pronghorn_be16; /* network byte order */
typedef uint32_t pronghorn_be32;
typedef uint64_t pronghorn_be64;

"""


def header(entries: list[Function]) -> str:
    """The text of pronghorn.h."""
    views: dict[str, type[View]] = {}
    for function in entries:
        for kind in (*function.signature.parameters, function.signature.result):
            if kind.name in ("view", "array"):
                _collect(kind.element, views)
    structures = "\n".join(_structure(view) for view in views.values())
    prototypes = "\n".join(_prototype(function) for function in entries)
    hash_line = "const char *pronghorn_source_hash(void); /* hash of the sources that this library was built from */"
    return f"{_PREFACE}{structures}\n{hash_line}\n{prototypes}\n\n#endif\n"


def _collect(element: object, views: dict[str, type[View]]) -> None:
    """The view and the views inside it or behind its pointers, innermost first."""
    if not (isinstance(element, type) and issubclass(element, View)) or element.__name__ in views:
        return
    for field in element.FIELDS.values():
        if field.kind != "pointer":
            _collect(field.element, views)
    views[element.__name__] = element


def _c_type(element: object) -> str:
    if isinstance(element, Scalar):
        return f"pronghorn_{element.name}" if element.big else element.c_name
    assert isinstance(element, type)
    return f"struct pronghorn_{element.__name__.lower()}"


def _member(field: Field) -> str:
    if field.kind == "pointer":
        return f"uint64_t {field.name}; /* address of {_c_type(field.element)}[] */"
    count = f"[{field.count}]" if field.kind == "inline" else ""
    return f"{_c_type(field.element)} {field.name}{count};"


def _structure(view: type[View]) -> str:
    name = f"struct pronghorn_{view.__name__.lower()}"
    lines = [f"{name} {{"]
    end = gaps = 0
    for field in view.FIELDS.values():
        if field.offset > end:
            lines.append(f"    uint8_t unused{gaps}[{field.offset - end}];")
            gaps += 1
        lines.append(f"    {_member(field)}")
        end = field.offset + field.size
    if end < view.SIZE:
        lines.append(f"    uint8_t unused{gaps}[{view.SIZE - end}];")
    lines.append(f"}} __attribute__((packed, aligned({view.ALIGN})));")
    lines.append(f'static_assert(sizeof({name}) == {view.SIZE}, "layout of {name}");')
    for field in view.FIELDS.values():
        lines.append(f'static_assert(offsetof({name}, {field.name}) == {field.offset}, "{name}.{field.name}");')
    return "\n".join(lines) + "\n"


def _argument(kind: Kind) -> str:
    if kind.name in ("view", "array"):
        return f"{_c_type(kind.element)} *"
    return "bool " if kind.name == "bool" else "int64_t "


def _prototype(function: Function) -> str:
    signature = function.signature
    names = function.body.__code__.co_varnames
    arguments = ", ".join(f"{_argument(kind)}{name}" for kind, name in zip(signature.parameters, names, strict=False))
    result = "void " if signature.result.name == "none" else _argument(signature.result)
    summary = (function.body.__doc__ or "").strip().splitlines()[0] if function.body.__doc__ else ""
    return f"\n/* {summary} */\n{result}{function.symbol}({arguments or 'void'});"
