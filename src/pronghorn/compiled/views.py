"""Typed views: memory is declared once, and read the same way by plain Python and by compiled code.

    class UDP(View):                    # a header: packed, network byte order
        sport: be16
        dport: be16
        length: be16
        checksum: be16

    class Worker(View, align=64):       # a record: naturally aligned, one declaration per field
        now: u64
        drops: Array[u64] = fixed(16)   # an array inside the record
        flows: Array[Flow]              # a pointer to many, 8 octets
        ring: Ring                      # another view, nested
        busy: u64 = field(align=64)     # starts a cache line of its own

    udp = UDP(address)                  # a view is an address with a type
    udp.dport += 1                      # loads, swaps, adds, swaps, stores

A view owns nothing and checks nothing; whoever made the address answers for it. In the bounds-check mode (`bounds`)
every access is compared with the tables that are known, and the program aborts with the place when it lies outside.

Layout is in order of declaration. A view with `align` of 8 or more is a record: its fields must be naturally aligned
(an error says where padding is missing) and its size is rounded up to its alignment. `size=` pads to an exact size
and is an error when the fields need more.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args, get_origin, get_type_hints

from pronghorn.compiled import bounds
from pronghorn.compiled.scalars import Scalar, scalar_of

E = TypeVar("E")


@dataclass(frozen=True)
class _Option:
    count: int = 0
    align: int = 1


def fixed(count: int, align: int = 1) -> Any:
    """`drops: Array[u64] = fixed(16)`: the array lies inside the record instead of being pointed to."""
    return _Option(count=count, align=align)


def field(align: int) -> Any:
    """`busy: u64 = field(align=64)`: the field starts at a multiple of `align` octets from the start of the record."""
    return _Option(align=align)


class Array(Generic[E]):
    """Elements of one kind side by side at an address. The index is not checked."""

    __slots__ = ("address", "element")

    def __init__(self, element: Any, address: int) -> None:
        self.element: Scalar | type[View] = element
        self.address = int(address)

    def __getitem__(self, index: int) -> E:
        element = self.element
        if isinstance(element, Scalar):
            address = self.address + index * element.size
            if bounds.ENABLED:
                bounds.check(address, element.size, f"Array[{element.name}]")
            return element.at(address).value  # type: ignore[no-any-return]
        return element(self.address + index * element.SIZE)  # type: ignore[return-value]

    def __setitem__(self, index: int, value: E) -> None:
        element = self.element
        if not isinstance(element, Scalar):
            raise TypeError(f"an Array of {element.__name__} holds records: assign their fields one by one")
        address = self.address + index * element.size
        if bounds.ENABLED:
            bounds.check(address, element.size, f"Array[{element.name}]")
        element.at(address).value = value

    def __iter__(self) -> Iterator[E]:
        raise TypeError("an Array does not know its length: index it with range()")

    def __repr__(self) -> str:
        return f"Array[{getattr(self.element, '__name__', None) or self.element.name}]({self.address:#x})"  # type: ignore[union-attr]


Const = Annotated[Array[E], "const"]
"""An array that an entry reads and does not write: `const` in the C header, otherwise an Array."""


def array_at(element: Any, address: int) -> Array[Any]:
    """The array of `element` (a view class or a scalar such as `u32`) that starts at `address`."""
    return Array(scalar_of(element) or element, address)


class Field:
    """One field of a view: a descriptor that reads and writes it, and the facts the compiler needs."""

    def __init__(self, owner: str, name: str, hint: Any, option: _Option) -> None:
        self.name = name
        self.offset = 0
        self.align = option.align
        self.count = option.count
        self.place = f"{owner}.{name}"
        scalar = scalar_of(hint)
        self.element: Any = None
        self.at = scalar.at if scalar is not None else _POINTER.at
        if scalar is not None:
            self.kind, self.element, self.size, natural = "scalar", scalar, scalar.size, scalar.alignment
        elif get_origin(hint) is Array:
            inner = get_args(hint)[0]
            self.element = scalar_of(inner) or inner
            stride = self.element.size if isinstance(self.element, Scalar) else self.element.SIZE
            if option.count:
                self.kind, self.size = "inline", stride * option.count
                natural = self.element.alignment if isinstance(self.element, Scalar) else self.element.ALIGN
            else:
                self.kind, self.size, natural = "pointer", 8, 8
        elif isinstance(hint, type) and issubclass(hint, View):
            self.kind, self.element, self.size, natural = "view", hint, hint.SIZE, hint.ALIGN
        else:
            raise TypeError(f"{self.place}: {hint!r} is no scalar, View or Array")
        self.natural = natural

    def __get__(self, view: View | None, owner: type[View]) -> Any:
        if view is None:
            return self
        address = view.address + self.offset
        if self.kind == "scalar":  # nearly always: interpreted code does little else
            if bounds.ENABLED:
                bounds.check(address, self.size, self.place)
            return self.at(address).value
        if self.kind == "view":
            return self.element(address)
        if self.kind == "inline":
            return Array(self.element, address)
        if bounds.ENABLED:
            bounds.check(address, self.size, self.place)
        return Array(self.element, self.at(address).value)

    def __set__(self, view: View, value: Any) -> None:
        address = view.address + self.offset
        if bounds.ENABLED:
            bounds.check(address, self.size, self.place)
        if self.kind == "scalar":
            self.at(address).value = value
        elif self.kind == "pointer":
            self.at(address).value = value.address
        else:
            raise TypeError(f"{self.place} is part of the record: assign its fields one by one")

    def layout(self) -> str:
        """The field's line in the canonical text of a layout."""
        name = self.element.name if isinstance(self.element, Scalar) else self.element.__name__
        inner = "" if isinstance(self.element, Scalar) or self.kind == "pointer" else self.element.LAYOUT
        return f"{self.name}@{self.offset}+{self.size}:{self.kind}:{name}{inner}"


_POINTER = Scalar("u64", 64)
_TAKEN = ("address", "offset", "layout_hash", "describe")


class View:
    """An address with a type. Subclasses declare their fields; `View(address)` reads and writes them."""

    SIZE: ClassVar[int] = 0
    ALIGN: ClassVar[int] = 1
    LAYOUT: ClassVar[str] = ""
    FIELDS: ClassVar[dict[str, Field]] = {}

    __slots__ = ("address",)

    def __init__(self, address: int) -> None:
        self.address = int(address)

    def __init_subclass__(cls, align: int = 1, size: int | None = None) -> None:
        hints = get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True)
        cls.ALIGN = align
        cls.FIELDS = {}
        end = 0
        for name in inspect.get_annotations(cls):
            if name in _TAKEN:
                raise TypeError(f"{cls.__qualname__}.{name}: every view has a {name}; call the field something else")
            option = cls.__dict__.get(name, _Option())
            made = Field(cls.__qualname__, name, hints[name], option)
            made.offset = -(-end // made.align) * made.align
            if align >= 8 and made.offset % made.natural:
                missing = made.natural - made.offset % made.natural
                fault = f"offset {made.offset} is not a multiple of {made.natural}"
                raise TypeError(f"{made.place}: {fault}; pad {missing} octets")
            end = made.offset + made.size
            cls.FIELDS[name] = made
            setattr(cls, name, made)
        whole = -(-end // align) * align if size is None else size
        if end > whole or whole % align:
            raise TypeError(f"{cls.__qualname__}: its fields need {end} octets, align={align}, but size={size}")
        cls.SIZE = whole
        fields = ",".join(made.layout() for made in cls.FIELDS.values())
        cls.LAYOUT = f"{{{cls.__name__}/{whole}/{align}:{fields}}}"

    @classmethod
    def offset(cls, name: str) -> int:
        """Octets from the start of the record to the field `name`."""
        return cls.FIELDS[name].offset

    @classmethod
    def layout_hash(cls) -> int:
        """63 bits that change whenever the layout changes: two programs that share memory compare it."""
        return int.from_bytes(hashlib.sha256(cls.LAYOUT.encode()).digest()[:8], "big") >> 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, View) and type(other) is type(self) and other.address == self.address

    def __hash__(self) -> int:
        return hash((type(self), self.address))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address:#x})"

    def describe(self) -> str:
        """Every field with its value, one per line: for debuggers and failing tests."""
        return "\n".join(f"{name} = {getattr(self, name)!r}" for name in self.FIELDS)
