"""What compiled code depends on, as hashes: stale code is impossible because its key no longer exists.

A function's key covers its source text and place, the signatures of what it calls, the layouts of the views and the
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

from pronghorn.compiled.functions import Function
from pronghorn.compiled.intrinsics import INTRINSICS, External
from pronghorn.compiled.scalars import scalar_of
from pronghorn.compiled.views import View

PACKAGE = Path(__file__).resolve().parents[1]
CONTROL_ROOMS = ("cli", "compat", "control", "sockets", "web")
"""Rooms without data-plane code: an edit there does not make the library stale."""


def digest(*parts: str) -> str:
    """40 hexadecimal digits over the parts."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part.encode())
        state.update(b"\0")
    return state.hexdigest()[:40]


@functools.cache
def source_hash() -> str:
    """Hash of all data-plane sources."""
    files = sorted(p for p in PACKAGE.rglob("*.py") if p.relative_to(PACKAGE).parts[0] not in CONTROL_ROOMS)
    return digest(*(f"{p.relative_to(PACKAGE)}\n{p.read_text()}" for p in files))


@functools.cache
def compiler_hash() -> str:
    """Hash of the compiler itself: this package's back end, Python, Numba and llvmlite."""
    import llvmlite
    import numba

    files = sorted(Path(__file__).parent.rglob("*.py"))
    return digest(sys.version, numba.__version__, llvmlite.__version__, *(p.read_text() for p in files))


def references(function: Function) -> dict[str, Any]:
    """Every global that the function's code reads, by dotted name: constants, functions, views, members of modules."""
    found: dict[str, Any] = {}
    code = function.body.__code__
    scope = function.body.__globals__
    cells = inspect.getclosurevars(function.body).nonlocals
    for name in (*code.co_names, *code.co_freevars):
        value = cells.get(name, scope.get(name))
        if isinstance(value, types.ModuleType):
            members = vars(value)
            found.update({f"{name}.{member}": members[member] for member in code.co_names if member in members})
        elif value is not None:
            found[name] = value
    return found


def callees(function: Function) -> list[Function]:
    """The decorated functions that the function calls."""
    return [value for value in references(function).values() if isinstance(value, Function)]


def function_key(function: Function, options: str) -> str:
    """The key of the function's own intermediate code."""
    code = function.body.__code__
    used = [f"{name}={_describe(value)}" for name, value in sorted(references(function).items())]
    own = [function.symbol, function.role, function.signature.text()]
    return digest(compiler_hash(), options, code.co_filename, _source(function), str(code.co_firstlineno), *own, *used)


def _source(function: Function) -> str:
    try:
        return inspect.getsource(function.body)
    except OSError:  # typed into an interpreter: its code object is all there is
        return repr((function.body.__code__.co_code, function.body.__code__.co_consts))


def _describe(value: Any) -> str:
    if isinstance(value, Function):
        return f"{value.role} {value.symbol}{value.signature.text()}"
    if isinstance(value, type) and issubclass(value, View):
        return value.LAYOUT
    if isinstance(value, External):
        return value.text()
    scalar = scalar_of(value)
    if scalar is not None:
        return scalar.name
    if id(value) in INTRINSICS:
        return INTRINSICS[id(value)]
    return repr(value) if isinstance(value, int) else type(value).__name__
