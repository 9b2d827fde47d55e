"""The symbol table of an object file: what it defines and what it needs.

MCJIT puts address 0 where a symbol is missing and says nothing; so the loader looks first. (ELF-64, little-endian: the
gABI's chapters 4, "Object Files", and "Symbol Table".)
"""

from __future__ import annotations

import struct

_SECTIONS_AT, _SECTION_COUNT = 0x28, 0x3C
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_SYMBOL_TABLE = 2
_UNDEFINED = 0
_LOCAL = 0


def symbols(content: bytes) -> tuple[set[str], set[str]]:
    """Names of the global symbols that the object defines, and of those that it needs."""
    (start,) = struct.unpack_from("<Q", content, _SECTIONS_AT)
    (count,) = struct.unpack_from("<H", content, _SECTION_COUNT)
    sections = [_SECTION.unpack_from(content, start + _SECTION.size * index) for index in range(count)]
    defined: set[str] = set()
    needed: set[str] = set()
    for _, kind, _, _, offset, size, link, _, _, _ in sections:
        if kind != _SYMBOL_TABLE:
            continue
        names = sections[link][4]
        for name, info, _, section, _, _ in _SYMBOL.iter_unpack(content[offset : offset + size]):
            if name and info >> 4 != _LOCAL:
                end = content.index(b"\0", names + name)
                (needed if section == _UNDEFINED else defined).add(content[names + name : end].decode())
    return defined, needed
