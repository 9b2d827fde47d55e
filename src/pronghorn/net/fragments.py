"""Putting fragmented packets together (RFC 791 section 3.2, RFC 8200 section 4.5, RFC 5722; limits: CVE-2018-5391).

Every packet in pieces has a Datagram record, found by addresses, identification and protocol. Its pieces wait in it
in order of offset, each in its own buffer. When the last gap is closed they are copied into one new packet, which
goes on in their place.

Memory and work are bounded whatever comes: PIECES pieces per datagram, a limit on pieces held in all, a share of it
for each source (sources share SOURCES counters by keyed hash), a limit on datagrams, and a lifetime after which an
incomplete datagram ends. Any overlap ends the whole datagram, in both families; an exact repetition of a piece ends
just that piece, as FRAGMENT_OVERLAP. An attached program's pieces are put together with its own alone, and are a source
of their own.

The piece that completes a datagram is held for a moment like the others and ends with them: its verdict is HELD too.

A held piece uses fields of its Packet that mean nothing before layer 4: `transport` is the address of its payload,
`hash` the payload's offset in the datagram, `gso_size` its octets.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, copy, hot, leaf, u8, u16, u32, u64
from pronghorn.compiled.hashing import mix, mix4
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_first, hash_next, hash_remove
from pronghorn.net.errors import report_incomplete
from pronghorn.net.state import NONE, SECOND, net_of
from pronghorn.state.packet import BROADCAST, FROM_PROGRAM, HEADROOM, MULTICAST, NO_PACKET, WHOLE, Packet
from pronghorn.state.packets import allocate, allocate_large, finish, hold, release, resume
from pronghorn.state.verdicts import (
    CONTINUE,
    FRAGMENT_INCONSISTENT,
    FRAGMENT_LIMIT,
    FRAGMENT_OVERLAP,
    FRAGMENT_SOURCE_LIMIT,
    FRAGMENT_TIMEOUT,
    FRAGMENT_TOO_MANY,
    HELD,
    NO_PACKETS,
    REASSEMBLED,
)
from pronghorn.state.worker import NEVER, Worker
from pronghorn.wire import extension, ipv4
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import HEADER, IPv6

PIECES = 64  # a packet of 65,535 octets in pieces of 1,280 has 52
SOURCES = 256
LIFETIME = 30 * SECOND  # IPv4; Linux's ip_frag_time
LIFETIME6 = 60 * SECOND  # RFC 8200 4.5
EXPIRED = 32  # datagrams that may end by age in one turn
NO_END = 0xFFFFFFFF


class Datagram(View, align=64, size=128):
    """A packet of which pieces have come."""

    src_hi: u64  # raw; IPv4 in the low half of src_lo
    src_lo: u64
    dst_hi: u64
    dst_lo: u64
    ident: u32
    protocol: u8  # IPv4's; 0 in IPv6, where only the first piece's word counts (RFC 8200 4.5)
    family: u8  # 0: the record is free
    pieces: u16
    deadline: u64  # ns
    first: u32  # packet with the lowest offset
    end: u32  # octets of the whole payload, or NO_END
    received: u32  # octets of payload here
    hash: u32
    older: u32  # of the same family, by age
    newer: u32  # also: the next free record
    source: u32  # index of its source's counter
    program: u32  # port of the attached program that sent it, plus 1; 0: it came from elsewhere


class Fragments(View, align=64):
    """All packets in pieces of one worker. Written by it alone."""

    datagrams: Array[Datagram]
    index: u64  # address of the HashIndex of `datagrams`
    sources: Array[u16]  # pieces held, by hash of the source
    limit: u32  # pieces held in all
    source_limit: u32
    held: u32
    free: u32
    oldest4: u32
    newest4: u32
    oldest6: u32
    newest6: u32


@hot
def reassemble4(worker: Worker, packet: Packet) -> tuple[int, Packet]:
    """A checked IPv4 fragment. Returns its verdict, and the whole packet when that is complete (else address 0)."""
    ip = IPv4(packet.network)
    header = ipv4.header_octets(ip)
    packet.transport = packet.network + header
    packet.hash = (ip.fragment & ipv4.FRAGMENT_OFFSET) << 3
    packet.gso_size = ip.length - header
    more = ip.fragment & ipv4.MORE_FRAGMENTS
    verdict, found = _add(worker, packet, 0, ip.src, 0, ip.dst, ip.ident, ip.protocol, more)
    if found == NONE:
        return verdict, Packet(0)
    return _whole4(worker, found)


@hot
def reassemble6(worker: Worker, packet: Packet, fragment: int) -> tuple[int, Packet]:
    """A checked IPv6 fragment whose fragment header is `fragment` octets after the IPv6 header; as reassemble4."""
    ip = IPv6(packet.network)
    header = extension.Fragment(packet.network + fragment)
    packet.transport = packet.network + fragment + 8
    packet.hash = header.offset_flags & extension.FRAGMENT_OFFSET
    packet.gso_size = HEADER + ip.length - fragment - 8
    more = header.offset_flags & extension.MORE_FRAGMENTS
    verdict, found = _add(worker, packet, ip.src_hi, ip.src_lo, ip.dst_hi, ip.dst_lo, header.ident, 0, more)
    if found == NONE:
        return verdict, Packet(0)
    return _whole6(worker, found)


@hot
def fragment_timers(worker: Worker) -> None:
    """Once per turn: end the datagrams that have waited too long."""
    own = Fragments(net_of(worker).fragments)
    for _ in range(EXPIRED):
        oldest = own.oldest4
        if oldest == NONE or own.datagrams[oldest].deadline > worker.now:
            oldest = own.oldest6
            if oldest == NONE or own.datagrams[oldest].deadline > worker.now:
                return
        first = worker.packets[own.datagrams[oldest].first]
        if first.hash == 0:
            report_incomplete(worker, first)
        _end(worker, own, oldest, FRAGMENT_TIMEOUT)


@leaf
def fragment_next(worker: Worker) -> int:
    """When (ns) fragment_timers next has something to do; NEVER when nothing waits."""
    own, when = Fragments(net_of(worker).fragments), NEVER
    if own.oldest4 != NONE:
        when = own.datagrams[own.oldest4].deadline
    if own.oldest6 != NONE:
        when = min(when, own.datagrams[own.oldest6].deadline)
    return when


# --- pieces -------------------------------------------------------------------------------------------------------


@hot
def _add(
    worker: Worker, packet: Packet, src_hi: int, src_lo: int, dst_hi: int, dst_lo: int,
    ident: int, protocol: int, more: int,
) -> tuple[int, int]:  # fmt: skip
    """Keep the piece. Returns its verdict, and the number of its datagram once that is complete (else NONE)."""
    own = Fragments(net_of(worker).fragments)
    secret = HashIndex(own.index).secret
    program = packet.port + 1 if packet.flags & FROM_PROGRAM != 0 else 0
    hash = mix(mix4(src_hi, src_lo, dst_hi, dst_lo, secret), ident << 8 | protocol, secret) & 0xFFFFFFFF
    found = _find(own, hash, src_hi, src_lo, dst_hi, dst_lo, ident, protocol, packet.family, program)
    if own.held >= own.limit:
        return FRAGMENT_LIMIT, NONE
    source = mix(src_hi, src_lo ^ program << 48, secret) & SOURCES - 1
    if own.sources[source] >= own.source_limit:
        return FRAGMENT_SOURCE_LIMIT, NONE
    if found == NONE:
        found = _new(worker, own, hash, packet.family)
        if found == NONE:
            return FRAGMENT_LIMIT, NONE
        datagram = own.datagrams[found]
        datagram.src_hi, datagram.src_lo, datagram.dst_hi, datagram.dst_lo = src_hi, src_lo, dst_hi, dst_lo
        datagram.ident, datagram.protocol, datagram.source = ident, protocol, source
        datagram.program = program
    verdict = _insert(worker, own.datagrams[found], packet, more)
    if verdict == CONTINUE:
        own.held += 1
        own.sources[source] += 1
        datagram = own.datagrams[found]
        return hold(worker), (found if datagram.received == datagram.end else NONE)
    if verdict != REASSEMBLED:
        _end(worker, own, found, verdict)
        return verdict, NONE
    return FRAGMENT_OVERLAP, NONE


@hot
def _find(
    own: Fragments, hash: int, src_hi: int, src_lo: int, dst_hi: int, dst_lo: int,
    ident: int, protocol: int, family: int, program: int,
) -> int:  # fmt: skip
    """Number of the datagram, or NONE."""
    index = HashIndex(own.index)
    found = hash_first(index, hash)
    while found >= 0:
        d = own.datagrams[found]
        same_addresses = d.src_lo == src_lo and d.dst_lo == dst_lo and d.src_hi == src_hi and d.dst_hi == dst_hi
        same = same_addresses and d.ident == ident and d.protocol == protocol and d.family == family
        if same and d.program == program:
            return found
        found = hash_next(index, hash, found)
    return NONE


@hot
def _insert(worker: Worker, datagram: Datagram, packet: Packet, more: int) -> int:
    """Put the piece in its place. CONTINUE; REASSEMBLED for a repetition; or the verdict that ends the datagram."""
    start, stop = packet.hash, packet.hash + packet.gso_size
    if more == 0:
        if datagram.end != NO_END and datagram.end != stop:
            return FRAGMENT_INCONSISTENT
        datagram.end = stop
    elif datagram.end != NO_END and stop > datagram.end:
        return FRAGMENT_INCONSISTENT
    if datagram.pieces >= PIECES:
        return FRAGMENT_TOO_MANY
    before, after = NO_PACKET, datagram.first
    while after != NO_PACKET and worker.packets[after].hash < start:
        before, after = after, worker.packets[after].next
    if after != NO_PACKET:
        other = worker.packets[after]
        if other.hash == start and other.gso_size == packet.gso_size:
            return REASSEMBLED
        if other.hash < stop:
            return FRAGMENT_OVERLAP
        if datagram.end != NO_END and stop == datagram.end:
            return FRAGMENT_INCONSISTENT
    packet.next = after
    if before == NO_PACKET:
        datagram.first = packet.index
    else:
        other = worker.packets[before]
        if other.hash + other.gso_size > start:
            return FRAGMENT_OVERLAP
        other.next = packet.index
    datagram.pieces += 1
    datagram.received += packet.gso_size
    return CONTINUE


# --- records ------------------------------------------------------------------------------------------------------


@hot
def _new(worker: Worker, own: Fragments, hash: int, family: int) -> int:
    """A fresh record, the newest of its family; NONE when there is none."""
    number = own.free
    if number == NONE or not hash_add(HashIndex(own.index), hash, number):
        return NONE
    datagram = own.datagrams[number]
    own.free = datagram.newer
    datagram.hash, datagram.family, datagram.pieces = hash, family, 0
    datagram.first, datagram.end, datagram.received = NO_PACKET, NO_END, 0
    datagram.newer = NONE
    if family == 4:
        datagram.deadline, datagram.older = worker.now + LIFETIME, own.newest4
        own.newest4 = number
        if datagram.older == NONE:
            own.oldest4 = number
    else:
        datagram.deadline, datagram.older = worker.now + LIFETIME6, own.newest6
        own.newest6 = number
        if datagram.older == NONE:
            own.oldest6 = number
    if datagram.older != NONE:
        own.datagrams[datagram.older].newer = number
    return number


@hot
def _end(worker: Worker, own: Fragments, number: int, verdict: int) -> None:
    """Every piece ends with `verdict`, and the record is free."""
    datagram = own.datagrams[number]
    place = datagram.first
    while place != NO_PACKET:
        packet = worker.packets[place]
        place = packet.next
        packet.gso_size = 0
        resume(worker)
        finish(worker, packet, verdict)
    own.held -= datagram.pieces
    own.sources[datagram.source] -= datagram.pieces
    hash_remove(HashIndex(own.index), datagram.hash, number)
    _unlink(own, datagram)
    datagram.family = 0
    datagram.newer = own.free
    own.free = number


@leaf
def _unlink(own: Fragments, datagram: Datagram) -> None:
    older, newer = datagram.older, datagram.newer
    if older != NONE:
        own.datagrams[older].newer = newer
    elif datagram.family == 4:
        own.oldest4 = newer
    else:
        own.oldest6 = newer
    if newer != NONE:
        own.datagrams[newer].older = older
    elif datagram.family == 4:
        own.newest4 = older
    else:
        own.newest6 = older


# --- the whole ----------------------------------------------------------------------------------------------------


@hot
def _whole4(worker: Worker, number: int) -> tuple[int, Packet]:
    """The IPv4 packet: the first piece's header, then every payload."""
    own = Fragments(net_of(worker).fragments)
    datagram = own.datagrams[number]
    first = worker.packets[datagram.first]
    header = first.transport - first.network
    if header + datagram.end > 0xFFFF:
        _end(worker, own, number, FRAGMENT_INCONSISTENT)
        return HELD, Packet(0)
    whole = _gather(worker, datagram, first, header)
    if whole.address != 0:
        ip = IPv4(whole.network)
        ip.length = header + datagram.end
        ip.fragment = ip.fragment & ~(ipv4.MORE_FRAGMENTS | ipv4.FRAGMENT_OFFSET)
        ipv4.fill_checksum(ip)
    _end(worker, own, number, REASSEMBLED if whole.address != 0 else NO_PACKETS)
    return HELD, whole


@hot
def _whole6(worker: Worker, number: int) -> tuple[int, Packet]:
    """The IPv6 packet: the first piece's headers without the fragment header, then every payload."""
    own = Fragments(net_of(worker).fragments)
    datagram = own.datagrams[number]
    first = worker.packets[datagram.first]
    header = first.transport - first.network - 8
    if header - HEADER + datagram.end > 0xFFFF:
        _end(worker, own, number, FRAGMENT_INCONSISTENT)
        return HELD, Packet(0)
    whole = _gather(worker, datagram, first, header)
    if whole.address != 0:
        ip = IPv6(whole.network)
        ip.length = header - HEADER + datagram.end
        _rename_next(ip, header, extension.Fragment(first.transport - 8).next_header)
    _end(worker, own, number, REASSEMBLED if whole.address != 0 else NO_PACKETS)
    return HELD, whole


@hot
def _rename_next(ip: IPv6, octets: int, protocol: int) -> None:
    """The last header before the removed fragment header now announces what followed that."""
    at, current = HEADER, ip.next_header
    if at == octets:
        ip.next_header = protocol
        return
    while at < octets:
        address = ip.address + at
        at += extension.header_octets(address, current)
        if at >= octets:
            extension.Extension(address).next_header = protocol
            return
        current = extension.Extension(address).next_header


@hot
def _gather(worker: Worker, datagram: Datagram, first: Packet, header: int) -> Packet:
    """A new packet with `header` octets of the first piece's headers and all payloads; address 0 without room."""
    before = first.network - first.data
    total = before + header + datagram.end
    whole = allocate(worker)
    if whole.address != 0 and total > whole.room - HEADROOM:
        release(worker, whole)
        whole = allocate_large(worker)
    if whole.address == 0:
        return whole
    worker.originated += 1
    copy(whole.data, first.data, before + header)
    whole.flags = first.flags & (BROADCAST | MULTICAST | FROM_PROGRAM) | WHOLE
    whole.length, whole.port, whole.vlan, whole.family = total, first.port, first.vlan, first.family
    whole.network = whole.data + before
    place = datagram.first
    while place != NO_PACKET:
        piece = worker.packets[place]
        copy(whole.network + header + piece.hash, piece.transport, piece.gso_size)
        place = piece.next
    return whole
