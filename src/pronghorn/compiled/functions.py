"""The four decorators of the data plane.

    @leaf    always inlined, also into other files: a few lines without loops
    @hot     an ordinary function
    @cold    never inlined, and rarely called: what its callers do otherwise is laid out as if it were not there
    @entry   like hot, and exported from libpronghorn.so under the C name `pronghorn_<function>`

A decorated function is fully annotated, and its annotations are its compiled signature: int, bool, view classes,
Array[...], tuples of these, or None. So a call is compiled from the callee's signature alone, each function on its
own, and nothing is inferred across a call. Functions called from Python are run as the mode says: native and compiled
functions through ctypes (which releases the interpreter lock), interpreted ones directly.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from pronghorn.compiled.modes import mode
from pronghorn.compiled.scalars import scalar_of
from pronghorn.compiled.views import Array, View

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Kind:
    """A type of the data plane: `int`, `bool`, `none`, `view`, `array` or `tuple`."""

    name: str
    element: Any = None
    members: tuple[Kind, ...] = ()
    const: bool = False  # an array that is only read; matters to the C header alone

    def text(self) -> str:
        """Stable text for keys and symbols."""
        inner = getattr(self.element, "LAYOUT", None) or getattr(self.element, "name", "")
        return f"{self.name}<{inner}{','.join(member.text() for member in self.members)}>"

    def to_python(self, value: Any) -> Any:
        """The Python object for a 64-bit result of compiled code."""
        if self.name == "view":
            return self.element(value)
        if self.name == "array":
            return Array(self.element, value)
        return bool(value) if self.name == "bool" else value


def kind_of(hint: Any, place: str) -> Kind:
    """The Kind an annotation stands for; TypeError names the place when it is none of ours."""
    if hint is None or hint is type(None):
        return Kind("none")
    if hint is bool:
        return Kind("bool")
    if hint is int or scalar_of(hint) is not None:
        return Kind("int")
    if isinstance(hint, type) and issubclass(hint, View):
        return Kind("view", hint)
    if get_origin(hint) is Annotated and get_origin(get_args(hint)[0]) is Array:  # views.Const
        return replace(kind_of(get_args(hint)[0], place), const=True)
    if get_origin(hint) is Array:
        inner = get_args(hint)[0]
        return Kind("array", scalar_of(inner) or inner)
    if get_origin(hint) is tuple:
        return Kind("tuple", members=tuple(kind_of(member, place) for member in get_args(hint)))
    raise TypeError(f"{place}: {hint!r} is no type of the data plane: int, bool, View, Array, tuple[int, int], None")


@dataclass(frozen=True)
class Signature:
    """Kinds of the parameters, in order, and of the result."""

    parameters: tuple[Kind, ...]
    result: Kind

    def text(self) -> str:
        """Stable text for keys."""
        return f"({','.join(kind.text() for kind in self.parameters)})->{self.result.text()}"


class Function:
    """A decorated function: its Python body, its signature, its symbol, and how this process calls it."""

    def __init__(self, body: Callable[..., Any], role: str) -> None:
        self.body = body
        self.role = role
        self.module = body.__module__
        self.name = body.__name__
        self.symbol = f"pronghorn_{self.name}" if role == "entry" else _symbol(body)
        self._call: Callable[..., Any] | None = None
        functools.update_wrapper(self, body)
        FUNCTIONS.setdefault(self.module, []).append(self)

    @functools.cached_property
    def signature(self) -> Signature:
        """From the annotations; read late, so that views may be declared after the function."""
        code = self.body.__code__
        place = f"{code.co_filename}:{code.co_firstlineno}: {self.name}"
        hints = get_type_hints(self.body, include_extras=True)
        names = list(inspect.signature(self.body).parameters)
        missing = [name for name in [*names, "return"] if name not in hints]
        if missing:
            raise TypeError(f"{place}: no annotation for {', '.join(missing)}; it is the compiled signature")
        parameters = tuple(kind_of(hints[name], f"{place}: {name}") for name in names)
        result = kind_of(hints["return"], f"{place}: the result")
        if self.role == "entry" and result.name == "tuple":
            raise TypeError(f"{place}: an entry is a C function and returns one value: store the others in a view")
        return Signature(parameters, result)

    def __call__(self, *arguments: Any) -> Any:
        if self._call is None:
            self._call = self._bind()
        return self._call(*arguments)

    def _bind(self) -> Callable[..., Any]:
        return self.body if mode() == "native" and self.role != "entry" else caller(self, self.code())

    def code(self) -> int:
        """The address of its machine code: in the library, for an entry in native mode; otherwise compiled now."""
        if mode() == "native":
            from pronghorn.compiled import native

            return native.address_of(self.symbol)
        from pronghorn.compiled.backend import jit

        return jit.address_of(self)

    def __repr__(self) -> str:
        return f"<{self.role} {self.symbol}>"


FUNCTIONS: dict[str, list[Function]] = {}
"""Every decorated function by module, in order of definition."""


def _symbol(body: Callable[..., Any]) -> str:
    module = body.__module__.removeprefix("pronghorn.").replace(".", "_")
    return f"{module}_{body.__qualname__.replace('.<locals>', '').replace('.', '_')}"


def caller(function: Function, address: int) -> Callable[..., Any]:
    """A Python callable for the machine code at `address`: views and arrays travel as addresses."""
    import ctypes

    result = function.signature.result
    count = len(function.signature.parameters)
    if result.name == "tuple":
        return _tuple_caller(function, address)
    restype = {"none": None, "bool": ctypes.c_bool}.get(result.name, ctypes.c_int64)
    native = ctypes.CFUNCTYPE(restype, *[ctypes.c_int64] * count)(address)
    convert = result.to_python if result.name in ("view", "array") else None

    def call(*arguments: Any) -> Any:
        value = native(*[a if type(a) is int else _plain(a) for a in arguments])
        return convert(value) if convert else value

    return call


def quick(function: Callable[..., Any]) -> Callable[..., int]:
    """An entry for callers that make many calls. Arguments are ints (addresses, where it takes views), or bytes for
    their address; an int comes back.

    A call costs a third of an ordinary one, and keeps the interpreter lock: not for entries that wait.
    """
    import ctypes

    if not isinstance(function, Function):
        return _plain_quick(function)
    return ctypes.PYFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * len(function.signature.parameters))(function.code())


def _plain_quick(body: Callable[..., Any]) -> Callable[..., int]:
    """The same in interpreted mode."""
    import ctypes

    signature: list[Kind] = []

    def call(*arguments: Any) -> int:
        if not signature:
            hints = get_type_hints(body, include_extras=True)
            signature.extend(kind_of(hints[name], name) for name in inspect.signature(body).parameters)
        plain = [
            ctypes.cast(ctypes.c_char_p(a), ctypes.c_void_p).value or 0 if isinstance(a, bytes) else a
            for a in arguments
        ]
        result = body(*[kind.to_python(a) for kind, a in zip(signature, plain, strict=True)])
        return int(getattr(result, "address", result) or 0)

    return call


def _tuple_caller(function: Function, address: int) -> Callable[..., Any]:
    """Tuples come back through memory: the machine code at `address` is `void (int64_t *results, ...)`."""
    import ctypes

    members = function.signature.result.members
    count = len(function.signature.parameters)
    native = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * count)(address)

    def call(*arguments: Any) -> Any:
        results = (ctypes.c_int64 * len(members))()
        native(ctypes.addressof(results), *[_plain(a) for a in arguments])
        return tuple(kind.to_python(value) for kind, value in zip(members, results, strict=True))

    return call


def _plain(argument: Any) -> int:
    return int(getattr(argument, "address", argument))


def whole_program(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a decorated function and everything it reaches as one module before its first call; returns it.

    For a loop that is called once and runs for long: calls between files are inlined, as in the library. Takes a
    second per thousand lines, the first time. In the other modes there is nothing to do.
    """
    if isinstance(function, Function) and mode() == "jit":
        from pronghorn.compiled.backend import jit

        jit.load_program(function)
    return function


def _decorate(body: Callable[P, R], role: str) -> Callable[P, R]:
    if mode() == "interpreted":
        return body
    return typing.cast("Callable[P, R]", Function(body, role))


def leaf(body: Callable[P, R]) -> Callable[P, R]:
    """Compiled and always inlined."""
    return _decorate(body, "leaf")


def hot(body: Callable[P, R]) -> Callable[P, R]:
    """Compiled as an ordinary function."""
    return _decorate(body, "hot")


def cold(body: Callable[P, R]) -> Callable[P, R]:
    """Compiled as a function of its own that is rarely called, so that its callers need not save registers for it."""
    return _decorate(body, "cold")


def entry(body: Callable[P, R]) -> Callable[P, R]:
    """Compiled and exported as `pronghorn_<name>`: the C interface, and what the control plane calls."""
    return _decorate(body, "entry")
