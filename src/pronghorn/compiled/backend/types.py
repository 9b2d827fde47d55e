"""The types that Numba's inference sees: a view or an array is an address; callables are known by their signature."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import errors, types
from numba.core.datamodel import models
from numba.core.datamodel.registry import register_default
from numba.core.typing.templates import Signature as NumbaSignature
from numba.core.typing.templates import signature

from pronghorn.compiled.functions import Function, Kind
from pronghorn.compiled.intrinsics import External
from pronghorn.compiled.scalars import Scalar
from pronghorn.compiled.views import View

I64 = ir.IntType(64)


class ViewType(types.Type):  # type: ignore[misc]
    """An address with a View class."""

    def __init__(self, view: type[View]) -> None:
        self.view = view
        super().__init__(f"View({view.__module__}.{view.__qualname__}/{view.layout_hash():x})")


class ArrayType(types.Type):  # type: ignore[misc]
    """Elements of one kind side by side, at an address."""

    def __init__(self, element: Any) -> None:
        self.element = element
        self.scalar = isinstance(element, Scalar)
        self.stride = element.size if self.scalar else element.SIZE
        name = element.name if self.scalar else ViewType(element).name
        super().__init__(f"Array({name})")


class Named(types.Opaque):  # type: ignore[misc]
    """A View class or a scalar mentioned by name: `Flow(address)`, `array_at(u32, address)`, `Flow.SIZE`."""

    def __init__(self, meaning: Any) -> None:
        self.meaning = meaning
        super().__init__(f"Named({meaning!r})")


class Callee(types.Callable, types.Opaque):  # type: ignore[misc]
    """Something that can be called: a decorated Function, an External, or an intrinsic by name."""

    def __init__(self, target: Function | External | str) -> None:
        self.target = target
        super().__init__(f"Callee({target!r})")

    def get_call_type(self, context: Any, args: Any, kws: Any) -> NumbaSignature:
        """The signature for a call, which never depends on more than the callee."""
        from pronghorn.compiled.backend.intrinsics import intrinsic_signature

        if isinstance(self.target, Function):
            declared = self.target.signature
            wanted = signature(numba_type(declared.result), *map(numba_type, declared.parameters))
        elif isinstance(self.target, External):
            result = types.int64 if self.target.result else types.none
            wanted = signature(result, *[types.int64] * len(self.target.parameters))
        else:
            wanted = intrinsic_signature(self.target, args)
        if len(args) != len(wanted.args):
            name = getattr(self.target, "name", self.target)
            raise errors.TypingError(f"{name}() takes {len(wanted.args)} arguments, not {len(args)}")
        return wanted

    def get_call_signatures(self) -> tuple[tuple[()], bool]:
        """Nothing to list: the one signature is in get_call_type."""
        return (), False

    def get_impl_key(self, sig: NumbaSignature) -> Callee:
        """The type is its own key."""
        return self

    @property
    def key(self) -> Any:
        """Identity for Numba's caches."""
        return self.name


@register_default(ViewType)
@register_default(ArrayType)
class _AddressModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, I64)


@register_default(Named)
@register_default(Callee)
class _NothingModel(models.OpaqueModel):  # type: ignore[misc]
    pass


def numba_type(kind: Kind) -> Any:
    """The Numba type of one of our kinds."""
    if kind.name == "view":
        return ViewType(kind.element)
    if kind.name == "array":
        return ArrayType(kind.element)
    if kind.name == "tuple":
        return types.Tuple([numba_type(member) for member in kind.members])
    return {"int": types.int64, "bool": types.boolean, "none": types.none}[kind.name]
