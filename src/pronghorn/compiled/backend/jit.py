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
from pronghorn.compiled.backend.units import host_machine, leaves_below, object_of
from pronghorn.compiled.functions import FUNCTIONS, Function

_lock = threading.RLock()
_loaded: set[Function] = set()
_taken: dict[str, Function] = {}


@functools.cache
def _engine() -> llvm.ExecutionEngine:
    host_machine()
    llvm.add_symbol("pronghorn_regions", ctypes.addressof(bounds.TABLE))
    if bounds.ENABLED:
        from pronghorn.compiled.checker import check_access

        assert isinstance(check_access, Function)
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), host_machine())
        _load(check_access, engine)
        return engine
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), host_machine())


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
    if function in _loaded:
        return
    todo = [function]
    while todo:
        wanted = todo.pop()
        if wanted in _loaded:
            continue
        unit = [f for f in FUNCTIONS[wanted.module] if f not in _loaded]
        for member in unit:
            _claim(member)
        _loaded.update(unit)
        engine.add_object_file(llvm.ObjectFileRef.from_data(object_of(unit)))
        inlined = leaves_below(unit)
        todo += [callee for member in (*unit, *inlined) for callee in keys.callees(member) if callee.role != "leaf"]
    engine.finalize_object()


def _claim(function: Function) -> None:
    """Give a redefined function a symbol of its own."""
    name, number = function.symbol, 1
    while function.symbol in _taken:
        number += 1
        function.symbol = f"{name}.{number}"
    _taken[function.symbol] = function
