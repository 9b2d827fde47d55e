"""What the tests of wire share: memory that ends at a guard page, vectors, a frame's way through the checks."""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path

from pronghorn.compiled import bounds
from pronghorn.wire import (
    arp,
    ethernet,
    extension,
    icmp,
    icmpv6,
    ipv4,
    ipv6,
    ndp,
    tcp,
    udp,
    vlan,
)
from pronghorn.wire.icmpv6 import is_discovery
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.ndp import NDOptions
from pronghorn.wire.numbers import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    PROTOCOL_ICMP,
    PROTOCOL_ICMPV6,
    PROTOCOL_TCP,
    PROTOCOL_UDP,
)
from pronghorn.wire.reasons import GOOD, REASONS
from pronghorn.wire.tcp import TCP, TCPOptions

ROOM = 128 * 1024  # octets of readable memory
NAMES = ("GOOD", *(reason.name for reason in REASONS))
VECTORS = Path(__file__).parents[1] / "vectors" / "wire"


class Edge:
    """Memory whose last readable octet is followed by a page that may not be touched: an overread ends the process."""

    def __init__(self, room: int = ROOM) -> None:
        self._map = mmap.mmap(-1, room + mmap.PAGESIZE)
        self._start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self.end = self._start + room
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        if libc.mprotect(self.end, mmap.PAGESIZE, 0) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
        bounds.register(self._start, room, 0, "edge")

    def place(self, data: bytes) -> int:
        """Put the octets so that the guard page follows them. Returns their address."""
        ctypes.memmove(self.end - len(data), data, len(data))
        return self.end - len(data)


EDGE = Edge()
_SCRATCH = Edge(4096)
_SCRATCH_AT = _SCRATCH.end - 4096


def place(data: bytes) -> int:
    """Address of these octets, of which the last readable one is the last; valid until the next call."""
    return EDGE.place(data)


def scratch(octets: int) -> int:
    """Address of zeroed memory for one result; valid until the next call."""
    ctypes.memset(_SCRATCH_AT, 0, 4096)
    return _SCRATCH.end - octets


def octets_at(address: int, count: int) -> bytes:
    """A copy of memory."""
    return ctypes.string_at(address, count)


def vectors(name: str) -> dict[str, bytes]:
    """The octets in tests/vectors/wire/NAME.hex by name: a line is a name and hexadecimal, # begins a comment."""
    found = {}
    for line in (VECTORS / f"{name}.hex").read_text().splitlines():
        text = line.partition("#")[0].split()
        if text:
            found[text[0]] = bytes.fromhex("".join(text[1:]))
    return found


def signed(number: int) -> int:
    """A 64-bit number as compiled code reads it."""
    return number - (1 << 64) if number >> 63 else number


def halves(address: str) -> tuple[int, int]:
    """The halves of an IPv6 address as fields hold them."""
    from pronghorn.wire.text import parse_ip6

    return parse_ip6(address)


def judge(frame: bytes) -> str:
    """Name of the reason that the checks, one layer after the other, have against this frame."""
    return NAMES[judge_frame(place(frame), len(frame))]


def judge_frame(address: int, octets: int) -> int:
    """From layer 2 upwards, as input does."""
    reason = ethernet.check(address, octets) or vlan.check(address, octets)
    if reason != GOOD:
        return reason
    ethertype, at = vlan.payload(address)
    if ethertype == ETHERTYPE_ARP:
        return arp.check(address + at, octets - at)
    if ethertype == ETHERTYPE_IPV4:
        return judge_ipv4(address + at, octets - at)
    return judge_ipv6(address + at, octets - at) if ethertype == ETHERTYPE_IPV6 else GOOD


def judge_ipv4(address: int, octets: int) -> int:
    """An IPv4 packet and what is in it."""
    ip = IPv4(address)
    reason = ipv4.check(address, octets) or ipv4.check_addresses(ip)
    if reason != GOOD:
        return reason
    header = ipv4.header_octets(ip)
    if ipv4.is_fragment(ip):
        return ipv4.check_fragment(ip)
    return judge_transport(ip, ip.protocol, address + header, ip.length - header)


def judge_ipv6(address: int, octets: int) -> int:
    """An IPv6 packet and what is in it."""
    ip = IPv6(address)
    reason = ipv6.check(address, octets)
    if reason != GOOD:
        return reason
    reason, protocol, at, fragment = extension.walk(ip, ip.length + 40)
    if reason == GOOD and fragment:
        header = extension.Fragment(address + fragment)
        return extension.check_fragment(header, ip.length + 40 - fragment - 8)
    return reason or judge_transport(ip, protocol, address + at, ip.length + 40 - at)


def judge_transport(ip: IPv4 | IPv6, protocol: int, address: int, octets: int) -> int:
    """Layer 4 with its checksum."""
    if protocol == PROTOCOL_TCP:
        return judge_tcp(ip, address, octets)
    if protocol == PROTOCOL_UDP:
        datagram = udp.UDP(address)
        reason = udp.check(address, octets)
        return reason or (udp.verify4(ip, datagram) if isinstance(ip, IPv4) else udp.verify6(ip, datagram))
    if protocol == PROTOCOL_ICMP and isinstance(ip, IPv4):
        reason = icmp.check(address, octets) or icmp.verify(address, octets)
        if reason == GOOD and icmp.is_error(icmp.ICMP(address).type):
            return icmp.quote(address, octets)[0]
        return reason
    if protocol == PROTOCOL_ICMPV6 and isinstance(ip, IPv6):
        return judge_icmpv6(ip, address, octets)
    return GOOD


def judge_tcp(ip: IPv4 | IPv6, address: int, octets: int) -> int:
    """A segment, its flags and options."""
    segment = TCP(address)
    reason = tcp.check(address, octets) or tcp.check_flags(segment.flags)
    if reason != GOOD:
        return reason
    reason = tcp.verify4(ip, segment, octets) if isinstance(ip, IPv4) else tcp.verify6(ip, segment, octets)
    return reason or tcp.parse_options(segment, TCPOptions(scratch(TCPOptions.SIZE)))


def judge_icmpv6(ip: IPv6, address: int, octets: int) -> int:
    """An ICMPv6 message, neighbour discovery included."""
    reason = icmpv6.check(address, octets) or icmpv6.verify(ip, address, octets)
    if reason != GOOD:
        return reason
    kind = icmpv6.ICMPv6(address).type
    if is_discovery(kind):
        return ndp.check(ip, address, octets, NDOptions(scratch(NDOptions.SIZE)))
    return icmpv6.quote(address, octets)[0] if icmpv6.is_error(kind) else GOOD
