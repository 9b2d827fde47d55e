"""The C header: entries and the views they take, generated from the declarations.

Every view of the room `state` is there, every view that an entry takes, and what these contain or point to.
Structures are packed and carry static assertions of size and offsets, so a C compiler that lays them out otherwise
refuses them. Big-endian fields keep network order in C; their type names say so (pronghorn_be16 ...). C11 and C++17.
What the docstrings and the comments behind fields say is there too, and the numbers that were declared (constants.py).
"""

from __future__ import annotations

import inspect
import io
import re
import tokenize

from pronghorn.compiled.constants import CONSTANTS
from pronghorn.compiled.functions import Function, Kind
from pronghorn.compiled.scalars import Scalar
from pronghorn.compiled.views import Field, View

_PREFACE = """\
/*
 * Generated from the declarations of the data plane: do not edit.
 *
 * A program that wants an engine of its own needs struct pronghorn_engineconfiguration and the functions whose names
 * begin with pronghorn_engine_: make one with pronghorn_engine_create, put frames in and take frames out, and say what
 * time it is. It opens no device, starts no thread and reads no clock. The rest is the inside of the data plane, which
 * may be looked at.
 */
#ifndef PRONGHORN_H
#define PRONGHORN_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint16_t pronghorn_be16; /* network byte order */
typedef uint32_t pronghorn_be32;
typedef uint64_t pronghorn_be64;

"""


_END = """
#ifdef __cplusplus
}
#endif

#endif
"""
_KEYWORDS = set(
    re.findall(
        r"\w+",
        "and auto bool break case catch char class const continue default delete do double else enum explicit export "
        "extern float for friend goto if inline int long mutable namespace new not operator or private protected "
        "public register return short signed sizeof static struct switch template this throw try typedef typename "
        "union unsigned using virtual void volatile while xor",
    )
)
"""Of C and C++: a field or parameter of such a name gets an underscore behind it."""


def header(entries: list[Function], build_hash: str = "") -> str:
    """The text of pronghorn.h; `build_hash` is that of the library that it goes with."""
    views: dict[str, type[View]] = {}
    for view in shared_views():
        _collect(view, views)
    for function in entries:
        for kind in (*function.signature.parameters, function.signature.result):
            _collect(kind.element, views)
    numbers = "\n".join(_enumeration(text, numbers) for text, numbers in sorted(CONSTANTS.items()))
    structures = "\n".join(_structure(view) for view in views.values())
    prototypes = "\n".join(_prototype(function) for function in entries)
    hash_line = "const char *pronghorn_source_hash(void); /* hash of the sources that this library was built from */"
    if build_hash:
        hash_line += f'\n#define PRONGHORN_SOURCE_HASH "{build_hash}" /* of the library that this belongs to */'
    text = f"{_PREFACE}{numbers}\n{structures}\n{hash_line}\n{prototypes}\n{_END}"
    names = "|".join(sorted((function.name for function in entries if "_" in function.name), key=len, reverse=True))
    return re.sub(rf"\b({names})\b", r"pronghorn_\1", text) if names else text


def _comment(text: str) -> str:
    """A comment block of what a docstring says."""
    lines = [line.rstrip() for line in inspect.cleandoc(text).replace("*/", "* /").splitlines()]
    if len(lines) == 1:
        return f"/* {lines[0]} */"
    return "\n".join(["/*", *(f" * {line}".rstrip() for line in lines), " */"])


def _enumeration(text: str, numbers: dict[str, int]) -> str:
    small = [f"    {name} = {number}," for name, number in numbers.items() if abs(number) < 1 << 31]
    large = [f"#define {name} INT64_C({number})" for name, number in numbers.items() if abs(number) >= 1 << 31]
    return "\n".join([_comment(text), *(["enum {", *small, "};"] if small else []), *large, ""])  # ISO C's are ints


def _field_comments(view: type[View]) -> dict[str, str]:
    """What stands behind the fields in the source, where there is one."""
    try:
        source = inspect.getsource(view)
    except (OSError, TypeError):
        return {}
    found, name = {}, ""
    for token in tokenize.generate_tokens(io.StringIO(inspect.cleandoc(source)).readline):
        if token.type == tokenize.NAME and not token.line[: token.start[1]].strip():
            name = token.string
        elif token.type == tokenize.COMMENT and token.line[: token.start[1]].strip() and name in view.FIELDS:
            found[name] = token.string.lstrip("# ").replace("*/", "* /")
    return found


def shared_views() -> list[type[View]]:
    """The views of the room `state` that have been imported, by name."""
    found = [view for view in View.__subclasses__() if view.__module__.startswith("pronghorn.state.")]
    return sorted(found, key=lambda view: view.__name__)


def _collect(element: object, views: dict[str, type[View]]) -> None:
    """The view and the views inside it, innermost first; then those behind its pointers."""
    if not (isinstance(element, type) and issubclass(element, View)):
        return
    known = views.get(element.__name__)
    if known is not None:
        if known is not element:
            places = f"{known.__module__} and {element.__module__}"
            raise TypeError(f"{places} both have a view {element.__name__}: in C there can be one, rename the other")
        return
    for field in element.FIELDS.values():
        if field.kind != "pointer":
            _collect(field.element, views)
    views[element.__name__] = element
    for field in element.FIELDS.values():
        if field.kind == "pointer":
            _collect(field.element, views)


def _c_type(element: object) -> str:
    if isinstance(element, Scalar):
        return f"pronghorn_{element.name}" if element.big else element.c_name
    assert isinstance(element, type)
    return f"struct pronghorn_{element.__name__.lower()}"


def _c_name(name: str) -> str:
    return f"{name}_" if name in _KEYWORDS else name


def _member(field: Field, remark: str) -> str:
    kind, count = _c_type(field.element), f"[{field.count}]" if field.kind == "inline" else ""
    if field.kind == "pointer":
        remark = f"address of {kind}[]" + (f": {remark}" if remark else "")
        kind = "uint64_t"
    return f"{kind} {_c_name(field.name)}{count};" + (f" /* {remark} */" if remark else "")


def _structure(view: type[View]) -> str:
    name = f"struct pronghorn_{view.__name__.lower()}"
    lines = [_comment(view.__doc__)] if view.__doc__ else []
    lines.append(f"{name} {{")
    remarks = _field_comments(view)
    end = gaps = 0
    for field in view.FIELDS.values():
        if field.offset > end:
            lines.append(f"    uint8_t unused{gaps}[{field.offset - end}];")
            gaps += 1
        lines.append(f"    {_member(field, remarks.get(field.name, ''))}")
        end = field.offset + field.size
    if end < view.SIZE:
        lines.append(f"    uint8_t unused{gaps}[{view.SIZE - end}];")
    lines.append(f"}} __attribute__((packed, aligned({view.ALIGN})));")
    lines.append(f'static_assert(sizeof({name}) == {view.SIZE}, "layout of {name}");')
    for field in view.FIELDS.values():
        lines.append(
            f'static_assert(offsetof({name}, {_c_name(field.name)}) == {field.offset}, "{name}.{field.name}");'
        )
    return "\n".join(lines) + "\n"


def _argument(kind: Kind) -> str:
    if kind.name in ("view", "array"):
        return f"{'const ' * kind.const}{_c_type(kind.element)} *"
    return "bool " if kind.name == "bool" else "int64_t "


def _prototype(function: Function) -> str:
    signature = function.signature
    names = function.body.__code__.co_varnames
    arguments = ", ".join(
        f"{_argument(kind)}{_c_name(name)}" for kind, name in zip(signature.parameters, names, strict=False)
    )
    result = "void " if signature.result.name == "none" else _argument(signature.result)
    return f"\n{_comment(function.body.__doc__ or '')}\n{result}{function.symbol}({arguments or 'void'});"
