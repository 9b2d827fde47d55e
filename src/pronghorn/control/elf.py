"""As much of an ELF file as says how a program is linked: interpreter, libraries, imported names, code.

System V ABI, chapters 4 and 5 (generic ABI); 64-bit little-endian files only, as the interposer is. Every offset is
checked by slicing: a file that is cut or forged gives less, or `NotElf`, never more.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
MOST = 512 << 20  # octets of a file that are read

_LOAD, _DYNAMIC, _INTERP = 1, 2, 3
_EXECUTABLE = 1
_NEEDED, _STRTAB, _RPATH, _RUNPATH = 1, 5, 15, 29
_DYNSYM = 11


class NotElf(Exception):
    """The file is no ELF file, or none that can be read; the text says why."""


@dataclass(frozen=True)
class Elf:
    """What was found."""

    bits: int
    machine: str
    interpreter: str | None = None
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    imports: frozenset[str] = frozenset()
    sections: frozenset[str] = frozenset()
    code: tuple[bytes, ...] = field(default=(), repr=False)
    dynamic: bool = False


def read_elf(path: Path) -> Elf:
    """Raises NotElf, OSError."""
    with path.open("rb") as file:
        data = file.read(MOST)
    if data[:4] != b"\x7fELF" or len(data) < 52:
        raise NotElf(f"{path} is no ELF file")
    bits, order = {1: 32, 2: 64}.get(data[4], 0), data[5]
    machine = struct.unpack_from("<H" if order == 1 else ">H", data, 18)[0]
    name = MACHINES.get(machine, f"machine {machine}")
    if bits != 64 or order != 1 or len(data) < 64:
        return Elf(bits, name, dynamic=True)
    try:
        return _read(data, name)
    except (struct.error, IndexError, ValueError) as error:
        raise NotElf(f"{path} is damaged: {error}") from None


def _read(data: bytes, machine: str) -> Elf:
    segments = _segments(data)
    interpreter = next((_text(data[at : at + size], 0) for kind, _, at, _, size in segments if kind == _INTERP), None)
    code = tuple(data[at : at + size] for kind, flags, at, _, size in segments if kind == _LOAD and flags & _EXECUTABLE)
    dynamic = next(((at, size) for kind, _, at, _, size in segments if kind == _DYNAMIC), None)
    sections = _sections(data)
    names = frozenset(name for name, *_ in sections)
    imports = _imports(data, sections)
    if dynamic is None:
        return Elf(64, machine, interpreter, sections=names, code=code)
    entries = list(struct.iter_unpack("<qQ", data[dynamic[0] : dynamic[0] + dynamic[1] // 16 * 16]))
    strings = b""
    for tag, value in entries:
        if tag == _STRTAB:
            at = next((off + value - start for kind, _, off, start, size in segments
                       if kind == _LOAD and start <= value < start + size), None)  # fmt: skip
            strings = data[at:] if at is not None else b""
    needed = tuple(_text(strings, value) for tag, value in entries if tag == _NEEDED)
    paths = [_text(strings, value) for tag, value in entries if tag in (_RPATH, _RUNPATH)]
    runpath = tuple(part for path in paths for part in path.split(":") if part)
    return Elf(64, machine, interpreter, needed, runpath, imports, names, code, dynamic=True)


def _segments(data: bytes) -> list[tuple[int, int, int, int, int]]:
    """Kind, flags, place in the file, address, octets."""
    at, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    found = []
    for number in range(count):
        kind, flags, offset, address, _, octets = struct.unpack_from("<IIQQQQ", data, at + number * size)
        found.append((kind, flags, offset, address, octets))
    return found


def _sections(data: bytes) -> list[tuple[str, int, int, int, int]]:
    """Name, kind, place, octets, link. A file without a table of sections has none."""
    at = struct.unpack_from("<Q", data, 40)[0]
    size, count, names = struct.unpack_from("<HHH", data, 58)
    if at == 0 or count == 0 or at + size * count > len(data):
        return []
    raw = [struct.unpack_from("<IIQQQQI", data, at + number * size) for number in range(count)]
    strings = data[raw[names][4] : raw[names][4] + raw[names][5]] if names < count else b""
    return [(_text(strings, name), kind, offset, octets, link) for name, kind, _, _, offset, octets, link in raw]


def _imports(data: bytes, sections: list[tuple[str, int, int, int, int]]) -> frozenset[str]:
    """Names that other objects are to provide."""
    for _, kind, at, octets, link in sections:
        if kind == _DYNSYM and link < len(sections):
            strings = data[sections[link][2] : sections[link][2] + sections[link][3]]
            symbols = struct.iter_unpack("<IBBHQQ", data[at : at + octets // 24 * 24])
            return frozenset(_text(strings, name) for name, _, _, section, _, _ in symbols if section == 0 and name)
    return frozenset()


def _text(strings: bytes, at: int) -> str:
    """The name that begins there; names have at most 4096 octets."""
    end = strings.find(b"\0", at, at + 4096)
    return strings[at:end].decode(errors="replace") if 0 <= at <= end else ""
