"""The arena: tables come, grow, go, survive their process, and everything in a file is doubted."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.compiled import Array, View, array_at, u8, u32, u64
from pronghorn.memory import Arena, ArenaError
from pronghorn.memory.directory import FIRST_TABLE, PLACES, ArenaHeader, TableEntry
from pronghorn.memory.mapping import HUGE_PAGE, PAGE

LIMIT = 1 << 30


class Flow(View, align=64, size=128):
    """A record."""

    packets: u64
    octets: u64


class OtherFlow(View, align=64, size=128):
    """As large as Flow, and declared otherwise."""

    octets: u64
    packets: u64


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where an arena's file may lie; the sparse file goes at once."""
    yield tmp_path / "gateway.arena"
    (tmp_path / "gateway.arena").unlink(missing_ok=True)


def test_table_is_zero_and_holds_what_is_written(arena: Arena) -> None:
    flows: Array[Flow] = arena.table("flows", Flow, 1000, owner=3)
    assert [flows[k].packets for k in (0, 999)] == [0, 0]
    flows[999].packets = 7
    found = arena.find("flows", Flow)
    assert found is not None
    assert found[999].packets == 7
    (table,) = arena.tables()
    assert (table.name, table.element, table.capacity, table.committed) == ("flows", 128, 1000, 1000)
    assert (table.worker, table.process) == (3, os.getpid())
    assert arena.find("conns", Flow) is None


def test_tables_lie_apart_and_aligned(arena: Arena) -> None:
    for number, octets in enumerate([1, PAGE, PAGE + 1, HUGE_PAGE, 3 * HUGE_PAGE + 5, 64]):
        arena.table(f"t{number}", u8, octets)
    end = arena.address + FIRST_TABLE
    for table in arena.tables():
        assert table.base >= end
        assert table.base % (HUGE_PAGE if table.capacity >= HUGE_PAGE else PAGE) == 0
        end = table.base + table.capacity
    assert end <= arena.address + arena.limit


def test_grow_commits_slabs_and_moves_nothing(arena: Arena) -> None:
    flows: Array[Flow] = arena.table("flows", Flow, 100_000, count=10)
    assert arena.tables()[0].committed == HUGE_PAGE // 128
    flows[9].packets = 5
    assert arena.grow("flows", 20_000) == 2 * HUGE_PAGE // 128
    assert arena.grow("flows", 10) == 2 * HUGE_PAGE // 128
    assert arena.grow("flows", 99_999) == 100_000
    flows[99_999].packets = 6
    assert flows[9].packets == 5
    with pytest.raises(ArenaError, match="at most 100000"):
        arena.grow("flows", 100_001)
    with pytest.raises(ArenaError, match="no table conns"):
        arena.grow("conns", 1)


def test_drop_gives_memory_back_and_its_place_is_used_again(arena: Arena) -> None:
    first: Array[Flow] = arena.table("first", Flow, 50_000)
    arena.table("second", Flow, 10)
    first[40_000].packets = 5
    arena.drop("first")
    again: Array[Flow] = arena.table("third", Flow, 50_000)
    assert again.address == first.address
    assert again[40_000].packets == 0
    assert {table.name for table in arena.tables()} == {"second", "third"}


def test_what_a_table_cannot_be(arena: Arena) -> None:
    arena.table("flows", Flow, 10)
    with pytest.raises(ArenaError, match="exists already"):
        arena.table("flows", Flow, 10)
    with pytest.raises(ArenaError, match="another layout"):
        arena.find("flows", OtherFlow)
    with pytest.raises(ArenaError, match="cannot be"):
        arena.table("empty", Flow, 0)
    with pytest.raises(ArenaError, match="no view class"):
        arena.table("strings", str, 10)
    with pytest.raises(ArenaError, match="octets are left"):
        arena.table("huge", Flow, 1 << 40)
    with pytest.raises(ArenaError, match="1 to 64 octets"):
        arena.table("n" * 65, u8, 1)


def test_directory_is_bounded() -> None:
    with Arena.create(limit=LIMIT) as arena:
        place = arena.address + PAGE
        for number in range(PLACES):
            array_at(TableEntry, place)[number].base = arena.address + FIRST_TABLE
        with pytest.raises(ArenaError, match=f"{PLACES} tables"):
            arena.table("one more", u8, 1)


@pytest.mark.parametrize("huge", ["auto", "hugetlb", "never"])
def test_pages_are_an_optimisation(huge: str) -> None:
    with Arena.create(limit=LIMIT, huge=huge) as arena:  # type: ignore[arg-type]
        arena.table("octets", u8, 1 << 24, count=1 << 24)[(1 << 24) - 1] = 5
        assert arena.pages in {"auto": ("transparent", "ordinary"), "never": ("ordinary",)}.get(huge, (arena.pages,))


def test_successor_finds_its_tables_where_they_were(path: Path) -> None:
    with Arena.create(path=path, limit=LIMIT) as arena:
        flows: Array[Flow] = arena.table("flows", Flow, 1000, count=100)
        flows[99].packets = 5
        address = flows.address
        assert path.stat().st_mode & 0o777 == 0o600
    with Arena.attach(path) as arena:
        flows = arena.table("flows", Flow, 1000)
        assert (flows.address, flows[99].packets) == (address, 5)
        assert arena.tables()[0].process == os.getpid()
        with pytest.raises(ArenaError, match="exists already"):
            arena.table("flows", Flow, 1000)
    with Arena.attach(path) as arena:
        with pytest.raises(ArenaError, match="has 1000 places, not 2000"):
            arena.table("flows", Flow, 2000)
        with pytest.raises(ArenaError, match="another layout"):
            arena.table("flows", OtherFlow, 1000)


def test_one_writer_and_many_readers(path: Path) -> None:
    with Arena.create(path=path, limit=LIMIT):
        child = os.fork()
        if child == 0:
            try:
                Arena.attach(path)
            except ArenaError as error:
                os._exit(0 if "in use" in str(error) else 2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with Arena.attach(path, access="read") as reader, pytest.raises(ArenaError, match="for reading"):
        reader.table("flows", Flow, 1)


def test_address_that_is_taken_is_refused(path: Path) -> None:
    with Arena.create(path=path, limit=LIMIT) as arena:
        with pytest.raises(ArenaError, match="cannot map"):
            Arena.attach(path, access="read")
        with pytest.raises(ArenaError, match="cannot map"):
            Arena.create(path=path.with_name("second"), limit=LIMIT, address=arena.address)
        assert not path.with_name("second").exists()
        with Arena.create(path=path.with_name("third"), limit=LIMIT) as third:
            assert third.address != arena.address
        path.with_name("third").unlink()


def test_shared_arena_is_seen_by_a_child(shared: Arena) -> None:
    numbers = shared.table("numbers", u32, 10)
    child = os.fork()
    if child == 0:
        numbers[3] = 42
        os._exit(0)
    os.waitpid(child, 0)
    assert numbers[3] == 42


def test_descriptor_can_be_attached_by_another_process(shared: Arena) -> None:
    shared.table("numbers", u32, 10)[3] = 42
    ready, done = os.pipe()
    child = os.fork()
    if child == 0:
        descriptor = os.dup(shared.descriptor)
        shared.close()  # so that its addresses are free here
        with Arena.attach(descriptor=descriptor) as arena:
            os.write(done, struct.pack("I", arena.table("numbers", u32, 10)[3]))
        os._exit(0)
    os.waitpid(child, 0)
    assert struct.unpack("I", os.read(ready, 4)) == (42,)
    os.close(ready)
    os.close(done)


def _header(name: str, value: int) -> tuple[int, bytes]:
    field = ArenaHeader.FIELDS[name]
    return field.offset, value.to_bytes(field.size, "little")


def _entry(name: str, value: int, place: int = 1) -> tuple[int, bytes]:
    field = TableEntry.FIELDS[name]
    return PAGE + place * TableEntry.SIZE + field.offset, value.to_bytes(field.size, "little")


_NAME = PAGE + TableEntry.SIZE + TableEntry.offset("name")

DAMAGE = {
    "no arena": (_header("magic", 5), "no arena"),
    "swapped magic": ((0, b"prnghorn"[::-1]), "other byte order"),
    "newer version": (_header("version", 2), "version 2; this program reads version 1"),
    "swapped mark": (_header("byte_order", 0x04030201), "other byte order"),
    "damaged mark": (_header("byte_order", 0x01020305), "damaged"),
    "other layout": (_header("layout", 1), "layout 0x1"),
    "longer than the file": (_header("limit", 1 << 40), "the file has"),
    "misaligned": (_header("start", 0x2000_0000_1000), "cannot be"),
    "beyond user space": (_header("start", 0x7FFF_FFE0_0000), "cannot be"),
    "element of nothing": (_entry("element", 0), "cannot be"),
    "more committed than capacity": (_entry("committed", 1 << 50), "cannot be"),
    "endless table": (_entry("capacity", 1 << 40), "beyond the arena"),
    "table in the directory": (_entry("base", 0x2000_0000_1000), "inside the directory"),
    "table over another": (_entry("base", 0x2000_0000_0000 + FIRST_TABLE), "table before it"),
    "nameless table": (_entry("length", 0), "name is damaged"),
    "name that is no text": ((_NAME, b"\xff\xfe"), "name is damaged"),
    "name twice": ((_NAME, b"first"), "taken twice"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_file_is_refused(damage: str, path: Path) -> None:
    with Arena.create(path=path, limit=LIMIT, address=0x2000_0000_0000) as arena:
        arena.table("first", Flow, 100)
        arena.table("again", Flow, 100)
    (offset, octets), sentence = DAMAGE[damage]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(octets)
    with pytest.raises(ArenaError, match=sentence):
        Arena.attach(path)
    with pytest.raises(ArenaError, match="exists"):
        Arena.create(path=path)


def test_file_must_be_ours_alone(path: Path) -> None:
    path.write_bytes(b"short")
    path.chmod(0o644)
    with pytest.raises(ArenaError, match="mode 0600"):
        Arena.attach(path)
    path.chmod(0o600)
    with pytest.raises(ArenaError, match="too short"):
        Arena.attach(path)
    path.unlink()
    with pytest.raises(ArenaError, match="No such file"):
        Arena.attach(path)
    path.symlink_to("/dev/null")
    with pytest.raises(ArenaError, match="symbolic links"):
        Arena.attach(path)
    with pytest.raises(ArenaError, match="path or a descriptor"):
        Arena.attach()


def test_full_disk_is_an_error_and_not_a_signal() -> None:
    """`grow` finds out before the data plane touches memory that is not there."""
    name = Path("/dev/shm/pronghorn-test.arena")
    name.unlink(missing_ok=True)
    facts = os.statvfs("/dev/shm")
    octets = facts.f_blocks * facts.f_frsize
    if octets == 0:
        pytest.skip("/dev/shm has no limit")
    try:
        with Arena.create(path=name, limit=octets + (8 << 30)) as arena:
            with pytest.raises(ArenaError, match="no memory for"):
                arena.table("octets", u8, octets + (4 << 30), count=octets + (4 << 30))
            assert arena.tables()[0].committed == 0
    finally:
        name.unlink(missing_ok=True)


def test_close_twice_is_harmless() -> None:
    arena = Arena.create(limit=LIMIT)
    arena.close()
    arena.close()


def test_populate_leaves_contents_alone(arena: Arena) -> None:
    octets: Array[int] = arena.table("octets", u8, 1 << 22, count=100)
    ctypes.memset(octets.address, 7, 100)
    arena.grow("octets", 1 << 22)
    assert (octets[99], octets[100], octets[(1 << 22) - 1]) == (7, 0, 0)
