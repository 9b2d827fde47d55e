"""Objects into the memory of this process, when Python first calls a function.

Loading a function loads its file's unit and those of everything it calls. A file's unit is made of the functions that
are known when it is first needed; functions defined later (in an interactive session) make a unit of their own.
"""

from __future__ import annotations

import ctypes
import functools
import threading

import llvmlite.binding as llvm

from pronghorn.compiled import bounds, keys
from pronghorn.compiled.backend import elf
from pronghorn.compiled.backend.units import host_machine, leaves_below, object_of, program_of
from pronghorn.compiled.functions import FUNCTIONS, Function
from pronghorn.compiled.subset import Refused

_lock = threading.RLock()
_loaded: set[Function] = set()
_refused: set[Function] = set()
_taken: dict[str, Function] = {}
_defined: set[str] = set()


@functools.cache
def _engine() -> llvm.ExecutionEngine:
    machine = host_machine()
    llvm.add_symbol("pronghorn_regions", ctypes.addressof(bounds.table()))
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    if bounds.ENABLED:
        from pronghorn.compiled.checker import check_access

        assert isinstance(check_access, Function)
        _load(check_access, engine)
    return engine


def address_of(function: Function) -> int:
    """Where the function's machine code is (for a tuple result: its wrapper's)."""
    with _lock:
        engine = _engine()
        _load(function, engine)
        suffix = ".python" if function.signature.result.name == "tuple" else ""
        address: int = engine.get_function_address(function.symbol + suffix)
        if not address:
            raise RuntimeError(f"{function.symbol} has no machine code")
        return address


def _load(function: Function, engine: llvm.ExecutionEngine) -> None:
    """All or nothing: what is needed is compiled first, and loaded when nothing is missing."""
    if function in _loaded:
        return
    made: set[Function] = set()
    contents: list[bytes] = []
    todo = [function]
    while todo:
        wanted = todo.pop()
        if wanted in _loaded or wanted in made:
            continue
        unit = [f for f in FUNCTIONS[wanted.module] if f not in _loaded and (f is wanted or f not in _refused)]
        for member in unit:
            _claim(member)
        try:
            contents.append(object_of(unit))
        except Refused as error:
            _refused.add(error.function)  # the others of its file can still be called
            raise
        made.update(unit)
        inlined = leaves_below(unit)
        todo += [callee for member in (*unit, *inlined) for callee in keys.callees(member) if callee.role != "leaf"]
    _require_symbols(function, contents)
    for content in contents:
        engine.add_object_file(llvm.ObjectFileRef.from_data(content))
    engine.finalize_object()
    _loaded.update(made)


def load_program(root: Function) -> None:
    """Load the function with everything it reaches as one unit, optimised as a whole like the library.

    Other functions keep their own copies in their files' units. A function that was loaded before stays as it is.
    """
    with _lock:
        engine = _engine()
        if root in _loaded:
            return
        reached: dict[Function, None] = {}
        todo = [root]
        while todo:
            function = todo.pop()
            if function not in reached:
                reached[function] = None
                todo += keys.callees(function)
        for function in reached:
            _claim(function)
        content = program_of(root, sorted(reached, key=lambda function: function.symbol))
        _require_symbols(root, [content])
        engine.add_object_file(llvm.ObjectFileRef.from_data(content))
        engine.finalize_object()
        _loaded.add(root)


def _require_symbols(function: Function, contents: list[bytes]) -> None:
    """Every symbol that the objects need is in one of them, loaded before, or in this process."""
    defined: set[str] = set()
    needed: set[str] = set()
    for content in contents:
        own, others = elf.symbols(content)
        defined |= own
        needed |= others
    missing = sorted(name for name in needed - defined - _defined if not llvm.address_of_symbol(name))
    if missing:
        names = ", ".join(missing)
        raise RuntimeError(f"{function.symbol}, or what it calls, needs {names}: libc has no such function")
    _defined.update(defined)


def _claim(function: Function) -> None:
    """Give a redefined function a symbol of its own."""
    name, number = function.symbol, 1
    while _taken.get(function.symbol, function) is not function:
        number += 1
        function.symbol = f"{name}.{number}"
    _taken[function.symbol] = function
