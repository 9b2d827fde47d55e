"""The arena: all state of one engine in one mapping, with a directory of named tables.

    arena = Arena.create()                                     # a test, an embedded engine: private memory
    arena = Arena.create(path="/run/pronghorn/gw.arena")       # a gateway: a file of mode 0600 at a fixed address
    arena = Arena.attach("/run/pronghorn/gw.arena")            # its successor: the same tables at the same addresses
    flows = arena.table("flows", Flow, 10_000_000)             # Array[Flow]; memory comes as it is touched

Rules:
* A table reserves addresses for its whole capacity and never moves. Its memory comes page by page when first touched;
  or, when `count` is given, in slabs by `grow`, which fails with an error where touching would kill the process.
* A table is zero when it is new.
* The directory holds the layout hash of every table's record: a program that declares a record differently is refused.
* Everything read back from a file is checked before it is used; an error says what differs.
* One process at a time writes a file's arena (flock); others may read it (`access="read"`).

Left out: moving or shrinking tables, other machines' byte order.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Literal

from pronghorn.compiled import Array, array_at, bounds
from pronghorn.memory import mapping
from pronghorn.memory.arena_file import create_shared, lock_file, open_file
from pronghorn.memory.directory import (
    FIRST_TABLE,
    MAGIC,
    PLACES,
    VERSION,
    ArenaError,
    ArenaHeader,
    Table,
    TableEntry,
    check_directory,
    check_header,
    element_of,
    header_layout,
)
from pronghorn.memory.mapping import HUGE_PAGE, PAGE, Huge, Mapping, Pages

_DEFAULT_LIMIT = 64 << 30


class Arena:
    """One engine's memory. Made by `create` or `attach`; `close` unmaps it and all its tables."""

    def __init__(self, memory: Mapping, label: str, access: Literal["write", "read"]) -> None:
        self._memory = memory
        self._label = label
        self._writable = access == "write"
        self._held: set[str] = set()
        self._closed = False
        bounds.register(memory.address, FIRST_TABLE, 0, f"{label}: directory")
        self.header = ArenaHeader(memory.address)
        self._entries: Array[TableEntry] = array_at(TableEntry, memory.address + PAGE)
        self._places = PLACES  # entries beyond are free
        self._known: dict[str, tuple[int, int, int]] | None = None  # see `_spans`

    # --- coming and going ---------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        name: str | None = None,
        path: str | os.PathLike[str] | None = None,
        limit: int = _DEFAULT_LIMIT,
        address: int | None = None,
        huge: Huge = "auto",
        sharing: Literal["private", "shared"] = "private",
    ) -> Arena:
        """New and empty, in private memory, in the file `path`, or (`sharing="shared"`) in a memfd others can map."""
        limit = -(-max(limit, 2 * FIRST_TABLE) // HUGE_PAGE) * HUGE_PAGE
        label = name or (os.fspath(path) if path is not None else "arena")
        if path is None and sharing == "private":
            memory = mapping.map_private(address, limit, huge)
        else:
            memory = create_shared(label, path, limit, address, huge)
        arena = cls(memory, label, "write")
        arena._places = 0
        header = arena.header
        header.version, header.byte_order, header.layout = VERSION, 0x01020304, header_layout()
        header.start, header.limit, header.process = memory.address, limit, os.getpid()
        header.magic = MAGIC
        return arena

    @classmethod
    def attach(
        cls,
        path: str | os.PathLike[str] | None = None,
        descriptor: int | None = None,
        access: Literal["write", "read"] = "write",
        huge: Huge = "auto",
    ) -> Arena:
        """Map an existing arena, at the address it was made at. ArenaError says why not."""
        label = os.fspath(path) if path is not None else f"descriptor {descriptor}"
        if path is not None:
            own = open_file(path, os.O_RDWR if access == "write" else os.O_RDONLY)
        elif descriptor is not None:
            own = os.dup(descriptor)
        else:
            raise ArenaError("attach needs a path or a descriptor")
        try:
            if path is not None and access == "write":
                lock_file(own, label)
            address, limit = check_header(own, label)
            try:
                memory = mapping.map_shared(address, limit, own, huge, writable=access == "write")
            except OSError as error:
                raise ArenaError(f"{label}: cannot map {limit} octets at {address:#x}: {error.strerror}") from error
            try:
                arena = cls(memory, label, access)
                check_directory(arena.tables(), label, address, limit)
            except ArenaError:
                memory.unmap()
                raise
        except BaseException:
            os.close(own)
            raise
        for table in arena.tables():
            bounds.register(table.base, table.committed * table.element, table.element, table.name)
        return arena

    def close(self) -> None:
        """Unmap. Every view into the arena is dangling afterwards."""
        if self._closed:
            return
        self._closed = True
        for table in self.tables():
            bounds.unregister(table.base)
        bounds.unregister(self._memory.address)
        self._memory.unmap()
        if self._memory.descriptor >= 0:
            os.close(self._memory.descriptor)

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- facts --------------------------------------------------------------------------------------------------------

    @property
    def address(self) -> int:
        """First octet."""
        return self._memory.address

    @property
    def limit(self) -> int:
        """Octets of address space."""
        return self._memory.octets

    @property
    def pages(self) -> Pages:
        """What backs tables with a `count`: `hugetlb`, `transparent` (2 MiB where the kernel can) or `ordinary`."""
        return self._memory.pages

    @property
    def descriptor(self) -> int:
        """File descriptor that another process can attach; -1 when the arena is private."""
        return self._memory.descriptor

    def tables(self) -> list[Table]:
        """Every table, in order of address."""
        return sorted((Table.read(entry) for entry in self._used()), key=lambda table: table.base)

    # --- tables -------------------------------------------------------------------------------------------------------

    def table(
        self,
        name: str,
        kind: Any,
        capacity: int,
        owner: int = -1,
        count: int | None = None,
    ) -> Array[Any]:
        """The table `name` of `capacity` records of `kind` (a view class or a scalar), new or an earlier process's.

        `owner` is the worker that writes it, -1 for the engine. `count` records are backed by memory now, in large
        pages where there are any, and the rest by `grow`; None leaves all to first touch, in ordinary pages: a data
        plane that touches a page of 2 MiB first would stall.
        """
        element = element_of(kind)
        if not self._writable:
            raise ArenaError(f"{self._label}: attached for reading")
        if capacity <= 0 or (count is not None and not 0 <= count <= capacity):
            raise ArenaError(f"table {name}: {count} of {capacity} records cannot be")
        entry = self._entry(name)
        if entry is not None:
            self._adopt(Table.read(entry), kind, capacity)
        else:
            entry = self._add(name, element.size, element.layout, capacity, 0 if count is not None else capacity)
        entry.worker, entry.process = owner, os.getpid()
        self._held.add(name)
        if count is not None and count > entry.committed:
            self.grow(name, count)
        bounds.register(entry.base, entry.committed * element.size, element.size, name)
        return array_at(kind, entry.base)

    def grow(self, name: str, count: int) -> int:
        """Back at least `count` records of `name` with memory, in slabs of 2 MiB. Returns how many are."""
        entry = self._required(name)
        if count > entry.capacity:
            raise ArenaError(f"table {name}: {count} records, but it was made for at most {entry.capacity}")
        if count > entry.committed:
            size = entry.element
            whole = min(-(-count * size // HUGE_PAGE) * HUGE_PAGE // size, entry.capacity)
            start = entry.committed * size
            try:
                self._memory.populate(entry.base + start, whole * size - start)
            except OSError as error:
                raise ArenaError(f"table {name}: no memory for {whole} records: {error.strerror}") from error
            entry.committed = whole
            bounds.register(entry.base, whole * size, size, name)
        return entry.committed

    def warm(self, name: str, count: int, first: int = 0) -> None:
        """Back records `first` to `count` of `name` with memory now, in large pages where there are any.

        For tables made without a `count`, from any thread while the data plane runs: whoever is ahead of it spares it
        the first touches and most TLB misses. Nothing else changes; where there is no memory, nothing at all.
        """
        entry = self._required(name)
        if count > first:
            start = entry.base + first * entry.element
            end = entry.base + min(count, entry.capacity) * entry.element
            whole = -(-(end - entry.base) // HUGE_PAGE) * HUGE_PAGE  # half a large page would be small ones
            end = entry.base + min(whole, entry.capacity * entry.element)
            with contextlib.suppress(OSError):
                self._memory.populate(start, end - start)

    def find(self, name: str, kind: Any) -> Array[Any] | None:
        """The table `name`, or None; ArenaError when its records are not `kind`."""
        entry = self._entry(name)
        if entry is None:
            return None
        self._check_kind(Table.read(entry), kind)
        return array_at(kind, entry.base)

    def drop(self, name: str) -> None:
        """Forget the table and give its memory back."""
        entry = self._required(name)
        bounds.unregister(entry.base)
        self._memory.discard(entry.base, _whole_pages(entry.capacity * entry.element))
        entry.base = 0
        self._known = None
        self._held.discard(name)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _used(self) -> Iterator[TableEntry]:
        return (self._entries[place] for place in range(self._places) if self._entries[place].base)

    def _spans(self) -> dict[str, tuple[int, int, int]]:
        """Place in the directory, address and octets of every table, by name. Whoever writes remembers it: an engine
        has hundreds of tables, and looks through them for each new one."""
        if self._known is None or not self._writable:
            tables = ((place, Table.read(self._entries[place])) for place in range(self._places))
            self._known = {
                table.name: (place, table.base, _whole_pages(table.capacity * table.element))
                for place, table in tables
                if table.base
            }
        return self._known

    def _entry(self, name: str) -> TableEntry | None:
        found = self._spans().get(name)
        return None if found is None else self._entries[found[0]]

    def _required(self, name: str) -> TableEntry:
        entry = self._entry(name)
        if entry is None:
            raise ArenaError(f"{self._label} has no table {name}")
        return entry

    def _check_kind(self, table: Table, kind: Any) -> None:
        element = element_of(kind)
        if (table.element, table.layout) != (element.size, element.layout):
            raise ArenaError(
                f"{self._label}: table {table.name} holds records of another layout ({table.element} octets, hash "
                f"{table.layout:#x}) than {element.name} ({element.size} octets, hash {element.layout:#x})"
            )

    def _adopt(self, table: Table, kind: Any, capacity: int) -> None:
        if table.name in self._held:
            raise ArenaError(f"{self._label}: table {table.name} exists already")
        self._check_kind(table, kind)
        if table.capacity != capacity:
            raise ArenaError(f"{self._label}: table {table.name} has {table.capacity} places, not {capacity}")

    def _add(self, name: str, size: int, layout: int, capacity: int, committed: int) -> TableEntry:
        first = self._places % PLACES  # what was dropped is used again when the rest is full
        place = next((place for place in range(first, PLACES) if not self._entries[place].base), None)
        if place is None:
            raise ArenaError(f"{self._label}: {PLACES} tables, and no place for {name}")
        base = self._gap(_whole_pages(capacity * size), name)
        self._places = max(self._places, place + 1)
        entry = self._entries[place]
        Table(name, base, size, capacity, committed, -1, os.getpid(), layout).write(entry)
        self._spans()[name] = place, base, _whole_pages(capacity * size)
        return entry

    def _gap(self, octets: int, name: str) -> int:
        """Free address space: the first gap between tables that is wide enough."""
        align = HUGE_PAGE if octets >= HUGE_PAGE else PAGE
        start = self.address + FIRST_TABLE
        for base, taken in sorted(span[1:] for span in self._spans().values()):
            if -(-start // align) * align + octets <= base:
                break
            start = max(start, base + taken)
        start = -(-start // align) * align
        if start + octets > self.address + self.limit:
            raise ArenaError(f"{self._label}: no {octets} octets are left for table {name} (its limit is {self.limit})")
        return start


def _whole_pages(octets: int) -> int:
    return -(-octets // PAGE) * PAGE
