"""The sockets of accelerated programs, read from the tables that the programs write (state/register.py).

A table is its program's, which may write anything into it at any time and shorten the file: it is read, not mapped, and
nothing in it is believed beyond being shown. Tables of processes that have ended are taken away. Programs of users that
may not write into the runtime directory keep theirs in a directory of their own; root, who may read those, looks there.
Left out: a unit whose /tmp is its own (systemd's PrivateTmp), unless its user has an XDG_RUNTIME_DIR.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pronghorn.control import runtime
from pronghorn.control.who import user_name
from pronghorn.net.state import MAPPED
from pronghorn.state.register import FREE, MAGIC, RECORDS, VERSION, Record, Register

PATHS = ("free", "undecided", "kernel", "ours", "both")
STATES = ("open", "bound", "listening", "connected")
TRIES = 4  # for a record that is being written

_WORD = (1 << 64) - 1


@dataclass(frozen=True, kw_only=True)
class SocketView:
    program: Annotated[str, "the program's name"]
    pid: Annotated[int, "its process"]
    user: Annotated[str, "whose it is"]
    mode: Annotated[str, "completion or wakeup"]
    fd: Annotated[int, "the descriptor"]
    protocol: Annotated[str, "tcp, udp, icmp, icmpv6 or a number"]
    state: Annotated[str, "open, bound, listening or connected"]
    local: Annotated[str | None, "this end, if it has one"]
    remote: Annotated[str | None, "the other end of a connected socket"]
    path: Annotated[str, "ours: the user-space stack; kernel; both (a listener); undecided"]
    reason: Annotated[str | None, "why the kernel has it"]


@dataclass(frozen=True)
class Head:
    """What all sockets of a process share."""

    program: str
    pid: int
    user: str
    mode: str


def sockets() -> Iterator[SocketView]:
    """Of every program whose table this user may read, and that belongs to the runtime directory if one was chosen."""
    chosen = os.environ.get("PRONGHORN_RUNTIME_DIR", "")
    yield from _of_folder(runtime.directory() / "programs", None)
    for folder in _others():
        yield from _of_folder(folder, hash_place(chosen) if chosen else None)


def hash_place(text: str) -> int:
    """FNV-1a (draft-eastlake-fnv), 64 bits: Register.place."""
    made = 0xCBF29CE484222325
    for octet in os.fsencode(text):
        made = (made ^ octet) * 0x100000001B3 & _WORD
    return made


def _others() -> list[Path]:
    """Root sees everybody's, others what they have where they chose no directory."""
    if os.geteuid() == 0:
        found = [*Path("/run/user").glob("*/pronghorn/programs"), *Path("/tmp").glob("pronghorn-*/programs")]
    else:
        base = os.environ.get("XDG_RUNTIME_DIR")
        found = [Path(base) / "pronghorn/programs"] if base else []
        found.append(Path(f"/tmp/pronghorn-{os.geteuid()}/programs"))
    return sorted(folder for folder in found if folder.parent != runtime.directory())


def _of_folder(place: Path, belonging: int | None) -> Iterator[SocketView]:
    """Of all tables there. None: wherever they belong."""
    try:
        folder = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY)
    except OSError:
        return
    try:
        names = [name for name in os.listdir(folder) if name.isascii() and name.isdigit()]
        for name in sorted(names, key=lambda found: (len(found), found)):
            yield from _table(folder, name, belonging)
    finally:
        os.close(folder)


def _table(folder: int, pid: str, belonging: int | None) -> Iterator[SocketView]:
    try:
        descriptor = os.open(pid, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return
    try:
        facts = os.fstat(descriptor)
        octets = ctypes.create_string_buffer(os.pread(descriptor, Register.SIZE, 0), Register.SIZE)
        head = Register(ctypes.addressof(octets))
        if not stat.S_ISREG(facts.st_mode) or head.magic & _WORD != MAGIC or head.version != VERSION:
            return
        if belonging not in (None, head.place & _WORD):
            return
        if _is_stale(int(pid), head.started & _WORD):
            os.unlink(pid, dir_fd=folder)  # there, whatever its directory's name has come to mean
            return
        name = _text(bytes(head.name[at] for at in range(32))) or "?"
        mode = "wakeup" if head.wakeup else "completion"
        common = Head(name, int(pid), user_name(facts.st_uid), mode)
        there = max(facts.st_size - Register.SIZE, 0) // Record.SIZE
        for number in range(min(head.used, there, RECORDS)):
            record = _record(descriptor, number)
            if record is not None:
                yield _view(record, common)
    except OSError:
        return
    finally:
        os.close(descriptor)


def _is_stale(pid: int, started: int) -> bool:
    """Whether the process has ended; `started` is when it made the table, ns of the clock on the wall."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    except (OSError, ValueError, IndexError, StopIteration):
        return not Path(f"/proc/{pid}").exists()
    return int(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK") > started / 1e9 + 2  # seconds; another process


def _record(descriptor: int, number: int) -> bytearray | None:
    """A record that nobody was writing meanwhile; None: it is free, or never at rest."""
    for _ in range(TRIES):
        before, after = (os.pread(descriptor, Record.SIZE, Register.SIZE + number * Record.SIZE) for _ in range(2))
        if len(before) != Record.SIZE:
            return None
        if before == after:
            octets = bytearray(before)
            record = Record(ctypes.addressof(ctypes.c_char.from_buffer(octets)))
            if record.changes & 1 == 0:
                return octets if FREE < record.path < len(PATHS) and record.state < len(STATES) else None
    return None


def _view(octets: bytearray, head: Head) -> SocketView:
    record = Record(ctypes.addressof(ctypes.c_char.from_buffer(octets)))
    return SocketView(
        program=head.program,
        pid=head.pid,
        user=head.user,
        mode=head.mode,
        fd=record.fd,
        protocol=_protocol(record),
        state=STATES[record.state],
        local=_endpoint(record.own_family, record.own_hi, record.own_lo, record.own_port),
        remote=_endpoint(record.far_family, record.far_hi, record.far_lo, record.far_port),
        path=PATHS[record.path],
        reason=_text(bytes(record.reason[at] for at in range(64))) or None,
    )


def _protocol(record: Record) -> str:
    """A socket's protocol; 0 is what its type usually has."""
    number = record.protocol or {1: 6, 2: 17}.get(record.type, 0)
    return {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}.get(number, str(number))


def _endpoint(family: int, hi: int, lo: int, port: int) -> str | None:
    """As "10.0.0.1:80", "[fd00::1]:80", "0.0.0.0:80" or "[::]:80"."""
    if family == 0:
        return None
    hi, lo = hi & _WORD, lo & _WORD
    if hi == 0 and lo in (0, MAPPED):
        return f"0.0.0.0:{port}" if family == 4 else f"[::]:{port}"
    if hi == 0 and lo >> 32 == MAPPED >> 32:
        return f"{ipaddress.IPv4Address(lo & 0xFFFF_FFFF)}:{port}"
    return f"[{ipaddress.IPv6Address(hi << 64 | lo)}]:{port}"


def _text(octets: bytes) -> str:
    """Fit to be shown."""
    text = octets.split(b"\0")[0].decode(errors="replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
