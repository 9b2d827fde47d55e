"""Numba's typing and target contexts, specialised: plain C calls, readable symbols, only our types.

Numba's own convention returns a status and passes results and exceptions through memory. The data plane has neither
exceptions nor objects, so a function here is simply `int64_t room_file_function(int64_t, ...)`, and any C program,
perf or gdb sees it so.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import callconv, debuginfo, types
from numba.core.cpu import CPUContext
from numba.core.typing import Context
from numba.core.typing.templates import signature

from pronghorn.compiled import intrinsics as python_intrinsics
from pronghorn.compiled.backend import access  # noqa: F401  registers loads and stores
from pronghorn.compiled.backend.intrinsics import emit, emit_external
from pronghorn.compiled.backend.operations import ARITHMETIC, OPERATIONS
from pronghorn.compiled.backend.types import Callee, Named, ViewType
from pronghorn.compiled.functions import Function
from pronghorn.compiled.intrinsics import External
from pronghorn.compiled.scalars import scalar_of
from pronghorn.compiled.views import View, array_at

NUMBERS = {types.int64, types.boolean}
_BUILTINS = {id(array_at): "array_at", id(min): "min", id(max): "max", id(abs): "abs"}


class PlainConvention(callconv.BaseCallConv):  # type: ignore[misc]
    """The C calling convention: values in, value out, no status."""

    def _make_call_helper(self, builder: Any) -> None:
        return None

    def return_value(self, builder: Any, value: Any) -> None:
        """Return a value; a function of no result returns void."""
        if isinstance(builder.function.ftype.return_type, ir.VoidType):
            builder.ret_void()
        else:
            builder.ret(value)

    def return_user_exc(self, builder: Any, *_: Any, **__: Any) -> None:
        """Library code of Numba that would raise stops the process instead (no such code is on a data-plane path)."""
        trap = builder.module.declare_intrinsic("llvm.trap", (), ir.FunctionType(ir.VoidType(), ()))
        builder.call(trap, [])
        builder.unreachable()

    def return_status_propagate(self, builder: Any, status: Any) -> None:
        """Never reached: statuses are always good."""
        builder.unreachable()

    def get_return_type(self, ty: Any) -> Any:
        """`void` for None, the value's own type otherwise."""
        return ir.VoidType() if ty == types.none else self.context.data_model_manager[ty].get_return_type()

    def get_function_type(self, restype: Any, argtypes: Any) -> Any:
        """The LLVM type of a function."""
        packer = self.context.get_arg_packer(argtypes)
        return ir.FunctionType(self.get_return_type(restype), list(packer.argument_types))

    def decorate_function(self, fn: Any, args: Any, fe_argtypes: Any, noalias: bool = False) -> None:
        """Name the arguments as in the source."""
        packer = self.context.get_arg_packer(fe_argtypes)
        packer.assign_names(self.get_arguments(fn), [f"arg.{name}" for name in args])

    def get_arguments(self, func: Any) -> Any:
        """All LLVM arguments are Python arguments."""
        return func.args

    def call_function(
        self, builder: Any, callee: Any, resty: Any, argtys: Any, args: Any, attrs: Any = ()
    ) -> tuple[Any, Any]:
        """Call, and report success."""
        packer = self.context.get_arg_packer(argtys)
        value = builder.call(callee, list(packer.as_arguments(builder, args)), attrs=attrs or ())
        yes, no = ir.IntType(1)(1), ir.IntType(1)(0)
        status = callconv.Status(
            code=ir.IntType(32)(0), is_ok=yes, is_none=no, is_error=no, is_stop_iteration=no,
            is_python_exc=no, is_user_exc=no, excinfoptr=None,
        )  # fmt: skip
        if resty == types.none:
            return status, self.context.get_dummy_value()
        return status, self.context.get_returned_value(builder, resty, value)


class LineTables(debuginfo.DIBuilder):  # type: ignore[misc]
    """Debug information that says file and line of each instruction, and nothing about variables."""

    def mark_variable(self, *_: Any, **__: Any) -> None:
        """Variables are not described: it would pin them to memory."""


class DataPlaneTyping(Context):  # type: ignore[misc]
    """Resolves our functions, views and intrinsics; everything else as Numba does."""

    def resolve_value_type(self, value: Any) -> Any:
        """The type of a global that the code mentions."""
        if isinstance(value, (Function, External)):
            return Callee(value)
        name = _BUILTINS.get(id(value)) or python_intrinsics.INTRINSICS.get(id(value))
        if name is not None:
            return Callee(name)
        if scalar_of(value) is not None or (isinstance(value, type) and issubclass(value, View)):
            return Named(value)
        return super().resolve_value_type(value)

    def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Any:
        """The signature of a call."""
        if isinstance(func, Named) and isinstance(func.meaning, type) and len(args) == 1:
            return signature(ViewType(func.meaning), types.int64)
        if isinstance(func, Callee):
            return func.get_call_type(self, args, kws)
        if getattr(func, "typing_key", None) in ARITHMETIC and {types.unliteral(a) for a in args} <= NUMBERS:
            args = (types.int64,) * len(args)  # Numba has 8-bit integers for bools
        return super().resolve_function_type(func, args, kws)


class DataPlaneContext(CPUContext):  # type: ignore[misc]
    """Lowers calls of our functions to plain calls of their symbols."""

    enable_debuginfo = True
    DIBuilder = LineTables
    current: Function | None = None

    @property
    def call_conv(self) -> PlainConvention:
        """C calls."""
        return PlainConvention(self)

    def mangler(self, name: str, types_: Any, *, abi_tags: Any = (), uid: Any = None) -> str:
        """The function being compiled gets its symbol; Numba's helpers keep their mangled names."""
        current = DataPlaneContext.current
        if current is not None and name == f"{current.module}.{current.body.__qualname__}":
            return current.symbol
        mangled: str = super().mangler(name, types_, abi_tags=abi_tags, uid=uid)
        return mangled

    def get_function(self, fn: Any, sig: Any, _firstcall: bool = True) -> Any:
        """The code emitter for a call."""
        if isinstance(fn, Named):
            return lambda builder, args, loc=None: args[0]
        if isinstance(fn, Callee):
            return lambda builder, args, loc=None: self._call(builder, fn.target, sig, args)
        operation = OPERATIONS.get(getattr(fn, "typing_key", None))
        if operation is not None and set(sig.args) == {types.int64}:
            return lambda builder, args, loc=None: operation(builder, *args)
        if getattr(fn, "typing_key", None) is operator.invert and sig.args[0] == types.boolean:
            raise TypeError("~ of a bool is not its opposite: write `not`")
        return super().get_function(fn, sig, _firstcall)

    def _call(self, builder: Any, target: Any, sig: Any, args: Any) -> Any:
        if isinstance(target, External):
            return emit_external(target, self, builder, args)
        if isinstance(target, str):
            return emit(target, self, builder, args)
        kind = self.call_conv.get_function_type(sig.return_type, sig.args)
        callee = builder.module.globals.get(target.symbol)
        if callee is None:
            callee = ir.Function(builder.module, kind, target.symbol)
        _, value = self.call_conv.call_function(builder, callee, sig.return_type, sig.args, args)
        return value

    def post_lowering(self, mod: Any, library: Any) -> None:
        """No run-time system is linked in."""
