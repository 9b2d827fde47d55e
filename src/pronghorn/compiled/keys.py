"""What compiled code depends on, as hashes: stale code is impossible because its key no longer exists.

A function's key covers its code and place, the signatures of what it calls, the layouts of the views and the
values of the constants it reads, and the versions of Python, Numba and this package's compiler. The key of a piece of
machine code covers the intermediate code of everything in it. Editing one function changes its own key and the
machine code it was inlined into, and nothing else.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import types
from pathlib import Path
from typing import Any

from pronghorn.compiled import bounds
from pronghorn.compiled.functions import Function
from pronghorn.compiled.intrinsics import INTRINSICS, External
from pronghorn.compiled.scalars import scalar_of
from pronghorn.compiled.views import View

PACKAGE = Path(__file__).resolve().parents[1]
CONTROL_ROOMS = ("cli", "compat", "control", "socket", "sockets", "web")
"""Rooms without data-plane code: an edit there does not make the library stale."""
GENERATORS = ("intrinsics.py", "scalars.py", "subset.py", "views.py")
LOADERS = ("cache.py", "elf.py", "jit.py")
"""With backend/, without its LOADERS, these decide what code is made; an edit elsewhere recompiles nothing."""
CHECKED = " bounds"
"""Behind the source hash in a library of the bounds-check mode."""


def digest(*parts: str) -> str:
    """40 hexadecimal digits over the parts."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part.encode())
        state.update(b"\0")
    return state.hexdigest()[:40]


def _room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@functools.cache
def source_hash() -> str:
    """Hash of all data-plane sources."""
    files = sorted(p for p in PACKAGE.rglob("*.py") if _room(p) not in CONTROL_ROOMS)
    return digest(*(f"{p.relative_to(PACKAGE)}\n{p.read_text()}" for p in files))


def build_hash() -> str:
    """What the native library for this process says of itself: the sources' hash, and whether accesses are checked."""
    return source_hash() + CHECKED * bounds.ENABLED


@functools.cache
def compiler_hash() -> str:
    """Hash of what decides how code is generated: the files above, Python, Numba and llvmlite."""
    import llvmlite
    import numba

    here = Path(__file__).parent
    files = [*(here / name for name in GENERATORS), *sorted((here / "backend").glob("*.py"))]
    texts = [path.read_text() for path in files if path.name not in LOADERS]
    return digest(sys.version, numba.__version__, llvmlite.__version__, *texts)


def references(function: Function) -> dict[str, Any]:
    """Every global that the function's code reads, by dotted name: constants, functions, views, members of modules."""
    found: dict[str, Any] = {}
    code = function.body.__code__
    scope = function.body.__globals__
    cells = inspect.getclosurevars(function.body).nonlocals
    for name in (*code.co_names, *code.co_freevars):
        _find(name, cells.get(name, scope.get(name)), code.co_names, found)
    return found


def _find(name: str, value: Any, names: tuple[str, ...], found: dict[str, Any]) -> None:
    if isinstance(value, types.ModuleType):
        members = vars(value)
        for member in names:
            if member in members and f"{name}.{member}" not in found and name.count(".") < 3:
                _find(f"{name}.{member}", members[member], names, found)
    elif value is not None:
        found[name] = value


def callees(function: Function) -> list[Function]:
    """The decorated functions that the function calls."""
    return [value for value in references(function).values() if isinstance(value, Function)]


def function_key(function: Function, options: str) -> str:
    """The key of the function's own intermediate code."""
    used = [f"{name}={_describe(value)}" for name, value in sorted(references(function).items())]
    own = [function.symbol, function.role, _describe_signature(function)]
    return digest(compiler_hash(), options, _code(function.body.__code__), *own, *used)


def _code(code: types.CodeType) -> str:
    """What is compiled, and its lines. Not the source text: the file may have changed since it was imported."""
    names = (code.co_varnames, code.co_names, code.co_freevars, code.co_cellvars, code.co_argcount)
    return repr((code.co_filename, code.co_firstlineno, code.co_code, code.co_consts, code.co_linetable, *names))


def _describe(value: Any) -> str:
    if isinstance(value, Function):
        return f"{value.role} {value.symbol}{_describe_signature(value)}"
    if isinstance(value, type) and issubclass(value, View):
        return _layouts(value)
    if isinstance(value, External):
        return value.text()
    scalar = scalar_of(value)
    if scalar is not None:
        return scalar.name
    if id(value) in INTRINSICS:
        return INTRINSICS[id(value)]
    return repr(value) if isinstance(value, int) else type(value).__name__


def _describe_signature(function: Function) -> str:
    signature = function.signature
    kinds = [*signature.parameters, signature.result, *signature.result.members]
    views = {kind.element for kind in kinds if isinstance(kind.element, type)}
    return signature.text() + "".join(sorted(map(_layouts, views)))


def _layouts(view: type[View]) -> str:
    """The layout of the view and of every view that is reached from it, through pointers too."""
    found: dict[type[View], None] = {}
    todo = [view]
    while todo:
        one = todo.pop()
        if one not in found:
            found[one] = None
            todo += [field.element for field in one.FIELDS.values() if isinstance(field.element, type)]
    return "".join(one.LAYOUT for one in found)
