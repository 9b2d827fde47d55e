"""What routers report about the way of balanced packets (RFC 5927 section 4): believed about connections that exist.

'Fragmentation needed' and 'packet too big' quote the packet that was too long. When that is TCP or UDP, it is one that
a connection here has sent, or the report is forged or late. A report may arrive at a worker that does not own the
connection; so the others are asked too, each for itself. Sequence numbers are not known to a balancer.
"""

from __future__ import annotations

from pronghorn.balancer.lookup import hash4, hash6
from pronghorn.balancer.tables import Balancer
from pronghorn.compiled import hashing, hot, leaf, load16, load32, load64
from pronghorn.memory.hashtable import HashIndex, hash_first, hash_next
from pronghorn.state.dispatch import tell_others
from pronghorn.state.packet import REDIRECTED, Packet
from pronghorn.state.verdicts import CONTINUE, ICMP_IGNORED
from pronghorn.state.worker import Worker
from pronghorn.wire import icmp, icmpv6
from pronghorn.wire.icmp import ICMP
from pronghorn.wire.icmpv6 import ICMPv6
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_TCP, PROTOCOL_UDP
from pronghorn.wire.reasons import GOOD

SRC4, DST4 = IPv4.offset("src"), IPv4.offset("dst")
SRC6, DST6 = IPv6.offset("src_hi"), IPv6.offset("dst_hi")


@leaf
def report_input(worker: Worker, packet: Packet) -> int:
    """An ICMP or ICMPv6 message for this host. ICMP_IGNORED for a report about no connection here; else CONTINUE."""
    if worker.balancer == 0:
        return CONTINUE
    stray = is_stray4(worker, packet) if packet.family == 4 else is_stray6(worker, packet)
    if not stray:
        return CONTINUE
    if packet.flags & REDIRECTED == 0:
        tell_others(worker, packet)
    return ICMP_IGNORED


@hot
def is_stray4(worker: Worker, packet: Packet) -> bool:
    """Whether it reports a path MTU for a TCP or UDP packet that no connection here sends."""
    address, octets = packet.transport, packet.data + packet.length - packet.transport
    if (
        octets < icmp.HEADER
        or ICMP(address).type != icmp.UNREACHABLE
        or ICMP(address).code != icmp.FRAGMENTATION_NEEDED
    ):
        return False
    reason, protocol, at = icmp.quote(address, octets)
    if reason != GOOD or (protocol != PROTOCOL_TCP and protocol != PROTOCOL_UDP):
        return False
    quoted, index = address + icmp.HEADER, HashIndex(Balancer(worker.balancer).index)
    addresses = hashing.wrap(load32(quoted + SRC4) << 32 | load32(quoted + DST4))
    ports = _answering(address + at, protocol, 4)
    hash = hash4(addresses, ports, index.secret)
    conns = Balancer(worker.balancer).conns
    found = hash_first(index, hash)
    while found >= 0:
        conn = conns[found >> 1]
        if conn.keys[found & 1] == ports and conn.addresses[found & 1] == addresses:
            return False
        found = hash_next(index, hash, found)
    return True


@hot
def is_stray6(worker: Worker, packet: Packet) -> bool:
    """The same for ICMPv6."""
    address, octets = packet.transport, packet.data + packet.length - packet.transport
    if octets < icmpv6.HEADER or ICMPv6(address).type != icmpv6.TOO_BIG:
        return False
    reason, protocol, at = icmpv6.quote(address, octets)
    if reason != GOOD or (protocol != PROTOCOL_TCP and protocol != PROTOCOL_UDP):
        return False
    quoted, index = address + icmpv6.HEADER, HashIndex(Balancer(worker.balancer).index)
    src_hi, src_lo = load64(quoted + DST6), load64(quoted + DST6 + 8)
    dst_hi, dst_lo = load64(quoted + SRC6), load64(quoted + SRC6 + 8)
    ports = _answering(address + at, protocol, 6)
    hash = hash6(src_hi, src_lo, dst_hi, dst_lo, ports, index.secret)
    balancer = Balancer(worker.balancer)
    found = hash_first(index, hash)
    while found >= 0:
        words, first = balancer.wide[found >> 1].words, 4 * (found & 1)
        if (
            balancer.conns[found >> 1].keys[found & 1] == ports
            and words[first] == src_hi
            and words[first + 1] == src_lo
            and words[first + 2] == dst_hi
            and words[first + 3] == dst_lo
        ):
            return False
        found = hash_next(index, hash, found)
    return True


@leaf
def _answering(layer4: int, protocol: int, family: int) -> int:
    """Conn.keys of the packets that come back for those whose TCP or UDP header is at `layer4`."""
    return load16(layer4 + 2) | load16(layer4) << 16 | protocol << 32 | family << 40
