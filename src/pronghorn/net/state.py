"""Everything the room keeps, per worker: interfaces, own addresses, routes, neighbours, path MTUs. Read this first.

An address is 128 bits in two halves, `hi` and `lo`, as wire/ipv6 reads them. An IPv4 address stands in the
IPv4-mapped block ::ffff:0:0/96 (RFC 4291 2.5.5.2): hi 0, lo MAPPED | address. No IPv6 address on a wire lies there
(wire/ipv6 refuses ::/64), so one table serves both families, and a prefix length counts 128 bits (IPv4: 96 more than
usual).

Tables have limits, given when they are made (create.py); records are named by their index. Every record is written by
its worker alone: by the data plane, or by the control side (configure.py) between two turns.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, field, leaf, u8, u16, u32, u64
from pronghorn.state.worker import Worker
from pronghorn.wire.ndp import NDOptions

NONE = 0xFFFFFFFF
"""No record: the end of a list."""

MAPPED = 0xFFFF_0000_0000
"""`lo` of ::ffff:0.0.0.0."""

LINK_LOCAL_HI = (0xFE80 - 0x10000) << 48
"""`hi` of fe80::/64."""

FAR_MAC = 0x02_00_00_00_FF_FF
"""The station behind a DIRECT interface, in Ethernet headers that nobody sees."""

SECOND = 1_000_000_000
"""Nanoseconds."""

# Interface.flags
PRESENT = 1
FORWARDING = 2  # packets that arrive here for other hosts are sent on
DIRECT = 4  # nobody behind it has a hardware address: nothing is asked for or announced (change_routes.py)

# Neighbour.state (RFC 4861 section 7.3.2, used for IPv4 too)
FREE = 0
INCOMPLETE = 1  # being asked for; packets wait
FAILED = 2  # nobody answered
REACHABLE = 3  # confirmed not long ago
STALE = 4  # known, unconfirmed, not used since
DELAY = 5  # used since it was STALE: a confirmation may still come by itself
PROBE = 6  # being asked whether it is still there

# Neighbour.flags
PERMANENT = 1  # set by the control plane; never learnt, asked for or evicted

# Route.flags
USED = 1
GATEWAY = 2  # through a router; otherwise the destinations are neighbours
CONNECTED = 4  # follows from an address of the interface


class Interface(View, align=64, size=64):
    """The layer-3 side of a port. Written by the control side."""

    mac: u64
    link_local: u64  # `lo` of its fe80::/64 address
    source_hi: u64  # its first global IPv6 address; 0 when it has none
    source_lo: u64
    source4: u32  # its first IPv4 address; 0 when it has none
    mtu: u32  # octets of layer 3
    addresses: u32  # list of its Owned records
    port: u16
    flags: u16


class Owned(View, align=64, size=64):
    """An address that is ours: packets to it are local, and ARP and neighbour discovery answer for it."""

    hi: u64
    lo: u64
    announce_at: u64  # ns: when the next announcement is due
    defended: u64  # ns: when another station's claim was last answered
    conflicts: u64  # claims of other stations
    interface: u32
    next: u32  # of the same interface, or of the free records
    uses: u16  # times it was added; 0 when the record is free
    length: u8  # bits of its network, out of 128
    announcements: u8  # still to be sent


class Route(View, align=64, size=64):
    """Where packets to a prefix go. The record is also the next hop: a found route names it."""

    hi: u64
    lo: u64
    gateway_hi: u64
    gateway_lo: u64
    generation: u64  # of Net when `neighbour` was looked up
    interface: u32
    next: u32  # a later route to the same prefix, or the next free record
    neighbour: u32  # the gateway's
    flags: u16
    length: u8  # bits of the prefix, out of 128


class Neighbour(View, align=64, size=128):
    """A station on a link. First line: what sending needs."""

    head: u64  # octets 0 to 7 of the Ethernet header, in memory order
    tail: u64  # octets 6 to 13
    mac: u64
    hi: u64
    lo: u64
    mtu: u32  # of the interface
    interface: u32
    port: u16
    state: u8
    flags: u8
    probes: u8  # solicitations sent since it was asked for
    waiting: u8  # packets that wait for its address
    # second line
    confirmed: u64 = field(align=64)  # ns: when it last answered
    retry: u64  # ns: a FAILED neighbour is not asked for again before
    first: u32  # packet that has waited longest
    last: u32
    older: u32  # among those that may be evicted
    newer: u32  # the same; or the next free record


class PathMTU(View, align=32, size=32):
    """What a router on the way to a destination reported."""

    hi: u64
    lo: u64
    expires: u64  # ns; 0 when the place is free
    mtu: u32


class Net(View, align=64):
    """The room's root, at worker.net."""

    generation: u64  # changes when an index that somebody keeps may have become wrong; never 0
    neighbours: Array[Neighbour]
    interfaces: Array[Interface]
    routes: Array[Route]
    routes4: u64  # address of the PrefixTable of IPv4
    routes6: u64
    owned: Array[Owned]
    owned_index: u64  # address of the HashIndex of `owned`
    neighbour_index: u64 = field(align=64)  # address of the HashIndex of `neighbours`
    deadlines: Array[u64]  # per neighbour: ns when its state ends; 0 for never
    neighbour_free: u32
    neighbour_high: u32  # records that were ever used
    oldest: u32  # first to be evicted
    newest: u32
    incomplete: u32
    incomplete_limit: u32
    waiting: u32  # packets that wait for neighbours
    waiting_limit: u32
    next_sweep: u64  # ns
    cursor: u32  # of the sweep
    probing: u32  # neighbours in state DELAY or PROBE
    owned_free: u32
    owned_high: u32
    announcing: u32  # addresses with announcements to send
    route_free: u32
    route_high: u32
    interface_count: u32  # places used, gaps included
    path_mask: u32  # places in `paths` less one
    timed: u32  # neighbours whose state ends by itself
    paths: Array[PathMTU] = field(align=8)
    path_count: u64  # reports ever taken: 0 spares the look-up
    error_next: u64  # ns: rate limits, see rates.py
    echo_next: u64
    destinations: Array[u64]  # ns, by hash of the destination
    destination_mask: u64
    neighbour_limit: u32
    owned_limit: u32
    route_limit: u32
    interface_limit: u32
    # counts
    evicted: u64  # neighbours that gave way to others
    errors_sent: u64  # ICMP and ICMPv6 errors
    errors_limited: u64  # errors not sent because of a rate limit
    conflicts: u64  # claims of other stations to our addresses
    fragments: u64  # address of the Fragments (fragments.py)
    groups: u64  # address of the Groups (groups.py)
    passage_next: u64  # ns: a rate limit
    here: u32  # interface that leads back here, plus 1: own addresses are reached through it; 0: they are not
    shared: u32  # 1: own addresses may be others' too, behind a link: what nobody here takes leaves by it
    options: NDOptions  # scratch of discovery.py


@leaf
def net_of(worker: Worker) -> Net:
    """The worker's network state."""
    return Net(worker.net)
