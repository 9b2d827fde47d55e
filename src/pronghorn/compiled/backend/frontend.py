"""One decorated function to LLVM intermediate code, through Numba's bytecode reader, type inference and lowering.

Numba's ordinary pipeline has passes for arrays, closures, generators and objects; the data plane needs none, so the
pipeline here is the shortest that is correct. The result is text, cached on disk under the function's key.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from numba.core import compiler, lowering
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.typed_passes import (
    BaseNativeLowering,
    IRLegalization,
    NoPythonBackend,
    NoPythonSupportedFeatureValidation,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import FixupArgs, IRProcessing, ReconstructSSA, TranslateByteCode

from pronghorn.compiled import bounds, keys, subset
from pronghorn.compiled.backend import cache
from pronghorn.compiled.backend.access import Place
from pronghorn.compiled.backend.context import DataPlaneContext, DataPlaneTyping
from pronghorn.compiled.backend.passes import Current, OnlyOurTypes, Values
from pronghorn.compiled.backend.types import numba_type
from pronghorn.compiled.functions import Function


class _Lower(lowering.Lower):  # type: ignore[misc]
    """Remembers the source line for the bounds-check mode."""

    def _compute_def_location(self) -> Any:
        """The decorator's line; Numba would parse the source again to find the first line of the body."""
        return self.func_ir.loc

    def lower_inst(self, inst: Any) -> None:
        Place.text = f"{self.func_ir.loc.filename}:{inst.loc.line}: {self.func_ir.func_id.func_name}"
        Current.line = inst.loc.line
        super().lower_inst(inst)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(BaseNativeLowering):  # type: ignore[misc]
    _name = "pronghorn_lowering"
    lowering_class = _Lower


class _Compiler(compiler.CompilerBase):  # type: ignore[misc]
    """The passes, in order."""

    def define_pipelines(self) -> list[Any]:
        """One pipeline, no fall-back."""
        manager = PassManager("pronghorn")
        for step in (
            TranslateByteCode,
            FixupArgs,
            IRProcessing,
            Values,
            ReconstructSSA,
            NopythonTypeInference,
            PreLowerStripPhis,
            OnlyOurTypes,
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


_made: dict[str, str] = {}


def function_key(function: Function) -> str:
    """The key of the function's intermediate code, as this process compiles."""
    return keys.function_key(function, "bounds" if bounds.ENABLED else "")


def intermediate_code(function: Function) -> str:
    """LLVM assembly of one function, from the cache or made now."""
    key = function_key(function)
    text = _made.get(key)
    if text is None:
        content = cache.fetch("ir", key)
        text = _lower(function) if content is None else content.decode()
        if content is None:
            cache.keep("ir", key, text.encode())
        _made[key] = text
    return text


def _lower(function: Function) -> str:
    """Check and translate, or raise Refused."""
    subset.check(function)
    with global_compiler_lock:
        before = DataPlaneContext.current
        DataPlaneContext.current = Current.function = function
        Current.line = function.body.__code__.co_firstlineno
        try:
            return _adapt(_translate(function), function)
        except subset.Refused as error:
            raise subset.Refused(function, *error.place) from None  # without what Numba adds on the way
        except Exception as error:
            line = getattr(getattr(error, "loc", None), "line", None) or Current.line
            raise subset.Refused(function, line, _in_our_words(str(error))) from error
        finally:
            DataPlaneContext.current = before


def _translate(function: Function) -> str:
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
    parameters = tuple(map(numba_type, wanted.parameters))
    result = numba_type(wanted.result)
    library = _Capture(function.symbol, target.codegen())
    compiler.compile_extra(
        typing, target, function.body, parameters, result, flags, {}, library=library, pipeline_class=_Compiler
    )
    return library.text


def _in_our_words(text: str) -> str:
    """The sentence of a Numba error that says what is wrong, in the words of this package."""
    text = re.sub(r"View\([\w.<>]*?(\w+)/[0-9a-f]+\)", r"\1", text)
    text = text.replace("UniTuple", "tuple").replace("int64", "int").replace("boolean", "bool")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("Failed in ")]
    call = next((line[4:] for line in lines if line.startswith(">>> ")), "")
    if call.startswith(("bool(", "not_(")):
        return f"{call}: a view is no truth value: compare its .address with 0"
    if call.startswith(("eq(", "ne(")):
        return f"{call}: views are not compared: compare their .address"
    returned = re.match(r"No conversion from (.*) to (.*) for '\$\S*return", lines[0] if lines else "")
    if returned:
        return f"returns {returned[1]} where {returned[2]} is declared"
    length = re.search(r"wrong tuple length.*expected (\d+), got (\d+)", text)
    if length:
        return f"a tuple of {length[2]} cannot be unpacked into {length[1]}"
    return f"there is no {call}" if call else (lines[0] if lines else "Numba cannot compile this")


def _adapt(text: str, function: Function) -> str:
    """Overflow wraps (Numba promises it does not happen), and debug information is a line table under our symbol."""
    text = re.sub(r'^@"[^"]*NumbaEnv.*\n', "", text, flags=re.MULTILINE)
    text = re.sub(r"\b(add|sub|mul|shl) nsw ", r"\1 ", text)
    text = text.replace("DebugDirectivesOnly", "LineTablesOnly")
    if function.role == "cold":
        text = re.sub(r"^(define .*\)) (?=!dbg)", r"\1 noinline cold ", text, flags=re.MULTILINE)
    return re.sub(r'linkageName: "[^"]*"', f'linkageName: "{function.symbol}"', text)
