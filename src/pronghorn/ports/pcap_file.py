"""Reading captures where they lie in memory: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng).

`pcap_next` finds the next frame of a mapped file. It checks every length against the file before it follows it, each
time: the file may change under our feet. pcap in both byte orders and with micro- or nanoseconds; pcapng with any
number of sections, enhanced and simple packet blocks, and time in decimal fractions
of a second down to nanoseconds; other blocks are skipped. The link
type must be Ethernet.
"""

from __future__ import annotations

from pronghorn.compiled import (
    Array,
    View,
    entry,
    fixed,
    hot,
    leaf,
    load8,
    load16,
    load32,
    load_be16,
    load_be32,
    u32,
    u64,
)

LONGEST = 262_144  # octets of a frame that are believed (what tcpdump takes)
INTERFACES = 32
SECOND = 1_000_000_000
_MICRO, _NANO, _SECTION, _ORDER = 0xA1B2C3D4, 0xA1B23C4D, 0x0A0D0D0A, 0x1A2B3C4D
_INTERFACE, _SIMPLE, _ENHANCED = 1, 3, 6  # kinds of blocks
_ETHERNET = 1
_TSRESOL = 9

PROBLEMS = {
    1: "is no capture: the first octets are of neither pcap nor pcapng",
    2: "the file ends in the middle of a header",
    3: "the file ends in the middle of a frame",
    4: f"a frame of more than {LONGEST} octets",
    5: "the link type is not Ethernet",
    6: "a block's two lengths differ, or it is shorter than its kind",
    7: "a frame of an interface that was not described",
    8: "an interface whose time is finer than nanoseconds, or not in decimal fractions",
    9: f"more than {INTERFACES} interfaces",
    10: "a version of the format that is not known",
}
_MAGIC, _HEADER, _CUT, _LONG, _LINK, _BLOCK, _UNKNOWN, _TIME, _MANY, _VERSION = PROBLEMS


class PcapFile(View, align=64):
    """A mapped file, and the frame that was found last."""

    start: u64  # address of the file
    octets: u64
    next: u64  # place of the next record or block
    at: u64  # the frame: its place,
    length: u32  # octets that are there,
    unused: u32
    time: u64  # ns since 1970
    frames: u64  # found so far
    problem: u32  # of PROBLEMS, or 0
    big: u32  # 1: most significant octet first
    blocks: u32  # 1: pcapng
    interfaces: u32
    scales: Array[u32] = fixed(INTERFACES)  # ns per unit of time


@entry
def pcap_begin(file: PcapFile) -> bool:
    """Go to the first record. False, and file.problem, when it is no capture."""
    file.next, file.frames, file.problem, file.interfaces, file.blocks = 0, 0, 0, 0, 0
    if file.octets < 4:
        return _fail(file, _MAGIC)
    if load32(file.start) == _SECTION:
        file.blocks = 1
        return True
    file.big = 0
    magic = _word(file, 0)
    if magic != _MICRO and magic != _NANO:
        file.big = 1
        magic = _word(file, 0)
        if magic != _MICRO and magic != _NANO:
            return _fail(file, _MAGIC)
    if file.octets < 24:
        return _fail(file, _HEADER)
    if _half(file, 4) != 2:
        return _fail(file, _VERSION)
    if _word(file, 20) & 0x0FFFFFFF != _ETHERNET:
        return _fail(file, _LINK)
    file.scales[0] = 1 if magic == _NANO else 1000
    file.next = 24
    return True


@entry
def pcap_count(file: PcapFile) -> int:
    """Read the whole file once; returns how many frames there are. file.problem says whether it is sound."""
    if pcap_begin(file):
        while pcap_next(file):
            pass
    return file.frames


@hot
def pcap_next(file: PcapFile) -> bool:
    """Find the next frame: file.at, length and time. False at the end, and when file.problem is set."""
    if file.problem != 0:
        return False
    return _next_block(file) if file.blocks != 0 else _next_record(file)


@hot
def _next_record(file: PcapFile) -> bool:
    at, rest = file.next, file.octets - file.next
    if rest <= 0:
        return False
    if rest < 16:
        return _fail(file, _HEADER)
    length = _word(file, at + 8)
    if length > LONGEST:
        return _fail(file, _LONG)
    if length > rest - 16:
        return _fail(file, _CUT)
    file.time = _word(file, at) * SECOND + _word(file, at + 4) * file.scales[0]
    file.next = at + 16 + length
    return _found(file, at + 16, length)


@hot
def _next_block(file: PcapFile) -> bool:
    while file.next < file.octets:
        at, rest = file.next, file.octets - file.next
        if rest < 12:
            return _fail(file, _HEADER)
        if load32(file.start + at) == _SECTION and not _section(file, at, rest):
            return False
        kind, total = _word(file, at), _word(file, at + 4)
        if total > rest:
            return _fail(file, _CUT)
        if total < 12 or total & 3 != 0 or _word(file, at + total - 4) != total:
            return _fail(file, _BLOCK)
        if kind == _INTERFACE and not _interface(file, at, total):
            return False
        if kind == _ENHANCED or kind == _SIMPLE:
            found = _enhanced(file, at, total) if kind == _ENHANCED else _simple(file, at, total)
            if found:
                file.next = at + total
            return found
        file.next = at + total
    return False


@hot
def _section(file: PcapFile, at: int, rest: int) -> bool:
    """A new section: its byte order; interfaces are numbered anew."""
    if rest < 28:
        return _fail(file, _HEADER)
    file.big = 0
    if _word(file, at + 8) != _ORDER:
        file.big = 1
        if _word(file, at + 8) != _ORDER:
            return _fail(file, _MAGIC)
    if _half(file, at + 12) != 1:
        return _fail(file, _VERSION)
    file.interfaces = 0
    return True


@hot
def _interface(file: PcapFile, at: int, total: int) -> bool:
    """An interface: its link type, and the unit of its times."""
    number = file.interfaces
    if total < 20:
        return _fail(file, _BLOCK)
    if _half(file, at + 8) != _ETHERNET:
        return _fail(file, _LINK)
    if number >= INTERFACES:
        return _fail(file, _MANY)
    scale, option, end = 1000, at + 16, at + total - 4
    while option + 4 <= end and _half(file, option) != 0:
        octets = _half(file, option + 2)
        if _half(file, option) == _TSRESOL and octets == 1 and option + 5 <= end:
            digits = load8(file.start + option + 4)
            if digits > 9:
                return _fail(file, _TIME)
            scale = _power(9 - digits)
        option += 4 + (octets + 3 & ~3)
    file.scales[number] = scale
    file.interfaces = number + 1
    return True


@leaf
def _power(digits: int) -> int:
    result = 1
    for _ in range(digits):
        result *= 10
    return result


@hot
def _enhanced(file: PcapFile, at: int, total: int) -> bool:
    if total < 32:
        return _fail(file, _BLOCK)
    number, length = _word(file, at + 8), _word(file, at + 20)
    if number >= file.interfaces:
        return _fail(file, _UNKNOWN)
    if length > LONGEST:
        return _fail(file, _LONG)
    if length > total - 32:
        return _fail(file, _BLOCK)
    units = (_word(file, at + 12) & 0x7FFFFFFF) << 32 | _word(file, at + 16)
    file.time = (units * file.scales[number]) & 0x7FFFFFFFFFFFFFFF
    return _found(file, at + 28, length)


@hot
def _simple(file: PcapFile, at: int, total: int) -> bool:
    """It has no time: that of the frame before goes on."""
    if total < 16:
        return _fail(file, _BLOCK)
    if file.interfaces == 0:
        return _fail(file, _UNKNOWN)
    length = min(_word(file, at + 8), total - 16)
    if length > LONGEST:
        return _fail(file, _LONG)
    return _found(file, at + 12, length)


@leaf
def _found(file: PcapFile, at: int, length: int) -> bool:
    file.at, file.length = at, length
    file.frames += 1
    return True


@leaf
def _fail(file: PcapFile, problem: int) -> bool:
    """The reading ends at file.next."""
    file.problem = problem
    return False


@leaf
def _word(file: PcapFile, at: int) -> int:
    return load_be32(file.start + at) if file.big != 0 else load32(file.start + at)


@leaf
def _half(file: PcapFile, at: int) -> int:
    return load_be16(file.start + at) if file.big != 0 else load16(file.start + at)
