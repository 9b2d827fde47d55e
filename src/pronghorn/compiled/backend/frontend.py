"""One decorated function to LLVM intermediate code, through Numba's bytecode reader, type inference and lowering.

Numba's ordinary pipeline has passes for arrays, closures, generators and objects; the data plane needs none, so the
pipeline here is the shortest that is correct. The result is text, cached on disk under the function's key.
"""

from __future__ import annotations

import functools
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from numba.core import compiler, errors, lowering, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import FunctionPass, PassManager, register_pass
from numba.core.typed_passes import (
    BaseNativeLowering,
    IRLegalization,
    NoPythonBackend,
    NoPythonSupportedFeatureValidation,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import FixupArgs, IRProcessing, ReconstructSSA, TranslateByteCode

from pronghorn.compiled import bounds, keys
from pronghorn.compiled.backend.access import Place
from pronghorn.compiled.backend.context import DataPlaneContext, DataPlaneTyping
from pronghorn.compiled.backend.types import ArrayType, Callee, Named, ViewType, numba_type
from pronghorn.compiled.functions import Function

CACHE = Path(os.environ.get("PRONGHORN_CACHE") or Path.home() / ".cache" / "pronghorn")


class _Lower(lowering.Lower):  # type: ignore[misc]
    """Remembers the source line for the bounds-check mode."""

    def _compute_def_location(self) -> Any:
        """The decorator's line; Numba would parse the source again to find the first line of the body."""
        return self.func_ir.loc

    def lower_inst(self, inst: Any) -> None:
        Place.text = f"{self.func_ir.loc.filename}:{inst.loc.line} {self.func_ir.func_id.func_name}"
        super().lower_inst(inst)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(BaseNativeLowering):  # type: ignore[misc]
    _name = "pronghorn_lowering"
    lowering_class = _Lower


@register_pass(mutates_CFG=False, analysis_only=True)
class _OnlyOurTypes(FunctionPass):  # type: ignore[misc]
    """Floats, unsigned integers and objects have crept in where a name has another type than ours."""

    _name = "pronghorn_types"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Refuse with the name and what to do."""
        for name, kind in state.typemap.items():
            if not _allowed(types.unliteral(kind)):
                raise errors.TypingError(
                    f"'{name.split('.')[0]}' is {kind}: there are int (signed 64 bits), bool, views and arrays"
                )
        return False


def _allowed(kind: Any) -> bool:
    if isinstance(kind, types.BaseTuple):
        return all(_allowed(types.unliteral(member)) for member in kind)
    if isinstance(kind, types.Integer):
        return bool(kind == types.int64)
    ours = (ViewType, ArrayType, Named, Callee, types.Boolean, types.NoneType, types.RangeType, types.RangeIteratorType)
    return isinstance(kind, (*ours, types.Pair, types.Module, types.Function, types.Omitted))


class _Compiler(compiler.CompilerBase):  # type: ignore[misc]
    """The passes, in order."""

    def define_pipelines(self) -> list[Any]:
        """One pipeline, no fall-back."""
        manager = PassManager("pronghorn")
        for step in (
            TranslateByteCode,
            FixupArgs,
            IRProcessing,
            ReconstructSSA,
            NopythonTypeInference,
            PreLowerStripPhis,
            _OnlyOurTypes,
            NoPythonSupportedFeatureValidation,
            IRLegalization,
            _Lowering,
            NoPythonBackend,
        ):
            manager.add_pass(step, step.__name__)
        manager.finalize()
        return [manager]


class _Capture:
    """Stands where Numba wants a code library, and keeps the intermediate code."""

    def __init__(self, name: str, codegen: Any) -> None:
        self.name = name
        self.codegen = codegen
        self.text = ""
        self.recorded_timings: list[Any] = []
        self._reload_init: set[Any] = set()

    def create_ir_module(self, name: str) -> Any:
        """A new, empty module."""
        return self.codegen._create_empty_module(name)

    def add_ir_module(self, module: Any) -> None:
        """The finished module of the function (helpers that Numba compiles on the way are added to it)."""
        self.text += str(module) if not self.text else f"\n;;; {module}"

    def add_linking_library(self, library: Any) -> None:
        """Nothing of Numba's run time is linked."""


@functools.cache
def _contexts() -> tuple[DataPlaneTyping, DataPlaneContext]:
    typing = DataPlaneTyping()
    target = DataPlaneContext(typing)
    target.refresh()
    typing.refresh()
    return typing, target


def intermediate_code(function: Function) -> str:
    """LLVM assembly of one function, from the cache or made now."""
    key = keys.function_key(function, "bounds" if bounds.ENABLED else "")
    path = CACHE / "ir" / key[:2] / f"{key}.ll"
    try:
        return path.read_text()
    except FileNotFoundError:
        text = _lower(function)
        write_atomically(path, text.encode())
        return text


def write_atomically(path: Path, content: bytes) -> None:
    """Other processes see either nothing or the whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)


def _lower(function: Function) -> str:
    typing, target = _contexts()
    flags = compiler.Flags()
    flags.debuginfo = True
    flags.dbg_directives_only = True
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    flags.enable_ssa = True
    flags.nrt = False
    flags.forceinline = function.role == "leaf"
    wanted = function.signature
    with global_compiler_lock:
        library = _Capture(function.symbol, target.codegen())
        previous, DataPlaneContext.current = DataPlaneContext.current, function
        try:
            compiler.compile_extra(
                typing,
                target,
                function.body,
                tuple(map(numba_type, wanted.parameters)),
                numba_type(wanted.result),
                flags,
                {},
                library=library,
                pipeline_class=_Compiler,
            )
        finally:
            DataPlaneContext.current = previous
    return _adapt(library.text, function.symbol)


def _adapt(text: str, symbol: str) -> str:
    """Overflow wraps (Numba promises it does not happen), and debug information is a line table under our symbol."""
    text = re.sub(r'^@"[^"]*NumbaEnv.*\n', "", text, flags=re.MULTILINE)
    text = re.sub(r"\b(add|sub|mul|shl) nsw ", r"\1 ", text)
    text = text.replace("DebugDirectivesOnly", "LineTablesOnly")
    return re.sub(r'linkageName: "[^"]*"', f'linkageName: "{symbol}"', text)
