"""Memory of this process for views that are handed to the engine, and addresses of Python's buffers."""

from __future__ import annotations

import contextlib
import ctypes
import weakref
from collections.abc import Iterator
from typing import TypeVar

from pronghorn.compiled import View, bounds

V = TypeVar("V", bound=View)

_LINE = 64


class Memory:
    """Zeroed memory at an address that suits every view, as long as this object lives."""

    def __init__(self, octets: int) -> None:
        self._buffer = ctypes.create_string_buffer(octets + _LINE)
        self.address = (ctypes.addressof(self._buffer) + _LINE - 1) & -_LINE
        self.octets = octets
        bounds.register(self.address, octets, 0, "a program's memory")
        weakref.finalize(self, bounds.unregister, self.address)

    @property
    def content(self) -> memoryview:
        """The octets, writable."""
        start = self.address - ctypes.addressof(self._buffer)
        return memoryview(self._buffer).cast("B")[start : start + self.octets]


def view_of(kind: type[V]) -> V:
    """A view of zeroed memory that lives as long as the view."""
    memory = Memory(kind.SIZE)
    made = kind(memory.address)
    vars(made)["memory"] = memory
    return made


@contextlib.contextmanager
def address_of(buffer: memoryview) -> Iterator[int]:
    """The address of a writable buffer, which cannot move or shrink until the block ends."""
    if len(buffer) == 0:
        yield 0
        return
    held = (ctypes.c_char * len(buffer)).from_buffer(buffer)
    try:
        yield ctypes.addressof(held)
    finally:
        del held
