"""What a datagram socket keeps, and the room's root. Read this first.

An `Endpoint` is five cache lines: the first says which datagrams are its own, the second what waits to be read, the
third where the last datagram went, the others options. It is written by its worker alone. Nothing is reserved for an
idle one: what waits to be read lies in a ring from the worker's Buddy (memory/stream.py), given back when it is empty.

ICMP echo sockets are endpoints too: their port is the identifier, their protocol ICMP's.

Addresses are as in net/state.py: IPv4 in the IPv4-mapped block. The any address of IPv4 is ::ffff:0.0.0.0, that of
IPv6 is ::, which a dual-stack socket (family 10) also uses for IPv4.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, field, leaf, u8, u16, u32, u64
from pronghorn.memory.stream import Stream
from pronghorn.state.ancillary import Control
from pronghorn.state.endpoints import Address, Endpoints
from pronghorn.state.parts import Part
from pronghorn.state.wishes import Wishes
from pronghorn.state.worker import Worker

# Endpoint.flags
BOUND = 1  # has a local port
CONNECTED = 2  # has a remote address
ADDRESS_CHOSEN = 4  # the local address was chosen by connect, and goes when the connection does
PORT_CHOSEN = 8  # the same for the port
NO_CHECK = 16  # SO_NO_CHECK: no checksum over IPv4
NO_CHECK6_TX = 32  # UDP_NO_CHECK6_TX
MULTICAST_LOOP = 64  # what we send to a group is delivered here too
MULTICAST_ALL = 128  # groups that others here have joined are delivered too
COALESCE = 256  # UDP_GRO
READ_CLOSED = 512
WRITE_CLOSED = 1024
WANTS_SPACE = 2048  # told EAGAIN by send: stands on Udp.waiting
CORKED = 4096  # UDP_CORK

NO_ENDPOINT = 0xFFFFFFFF

UNICAST, GROUP, EVERYBODY, SELF = range(4)
"""Way.kind: one station, a group, a broadcast address, or one of our own addresses."""

OVERHEAD = 64
"""What a waiting datagram counts beside its octets: its header and the rounding."""

RECEIVE_LIMIT = 212_992
SEND_LIMIT = 212_992
"""Linux's net.core.rmem_default and wmem_default."""
SEND_OVERHEAD = 704
"""What a datagram on its way counts beside its octets: what Linux's bookkeeping makes of a small one (sk_buff)."""


class Way(View, align=8, size=56):
    """Where datagrams to an address go; good as long as `generation` is net.generation."""

    hi: u64  # the destination
    lo: u64
    source_hi: u64
    source_lo: u64
    generation: u64
    neighbour: u32  # of kinds UNICAST, GROUP and EVERYBODY
    interface: u32  # by which they leave
    scope: u32  # interface that was asked for, plus 1; 0: any
    kind: u8
    unused: u8
    unused16: u16


class Arrival(View, align=8, size=56):
    """Header of a datagram on a receive ring."""

    source_hi: u64
    source_lo: u64
    to_hi: u64
    to_lo: u64
    at: u64  # worker.now when it came
    length: u32  # octets that follow
    source_port: u16
    interface: u16  # by which it came
    segment: u16  # octets of each datagram of several that were left together (UDP_GRO); 0: it is one
    ttl: u8
    tos: u8
    family: u8  # of the packet
    unused: u8
    unused16: u16


class Endpoint(View, align=64, size=320):
    """One socket's datagrams."""

    # line 0: which datagrams
    local_hi: u64
    local_lo: u64
    remote_hi: u64  # zero unless CONNECTED
    remote_lo: u64
    local_port: u16
    remote_port: u16
    flags: u16
    family: u8  # 4, 6 or 10, as Socket.family
    protocol: u8  # UDP, ICMP or ICMPv6
    socket: u32
    interface: u32  # SO_BINDTODEVICE, plus 1; 0: any
    group_next: u32  # the next endpoint with all of the above the same, which was bound before; NO_ENDPOINT
    group_before: u32
    port_next: u32  # the next endpoint with the same port and protocol
    port_before: u32
    # line 1: what waits to be read
    queue: Stream = field(align=64)
    read: u32  # position of the first octet that waits
    write: u32  # position after the last one
    waiting: u32  # datagrams
    held: u32  # octets, overhead counted
    receive_limit: u32
    send_limit: u32
    index: u32  # own number; constant
    next: u32  # among the free, or on Udp.waiting
    dropped: u32  # datagrams that found no room
    memberships: u32  # first of its Membership records
    # line 2: where the last datagram went
    way: Way = field(align=64)
    # line 3: options
    multicast_interface: u32 = field(align=64)  # plus 1; 0: as the route has it
    segment: u16  # UDP_SEGMENT: octets of payload in a datagram of a longer send; 0: off
    tos: u8
    traffic_class: u8
    ttl: u8  # 0: the default
    hops: u8
    multicast_ttl: u8
    multicast_hops: u8
    discover: u8  # IP_MTU_DISCOVER
    discover6: u8
    unused16: u16
    multicast_hi: u64  # IP_MULTICAST_IF by address; 0: not
    multicast_lo: u64
    sent: u32  # octets given to ports in turn `sent_turn`, overhead counted: what SO_SNDBUF limits
    cork_octets: u32  # that wait for the rest of their datagram (cork.py), its Address counted
    cork: Stream
    sent_turn: u64
    # line 4: what few sockets set
    wishes: Wishes = field(align=64)


class Udp(View, align=64):
    """The room's root, at Endpoints.udp."""

    endpoints: Array[Endpoint]
    index: u64  # address of the HashIndex of endpoints, by addresses and ports
    ports: Array[u32]  # per port: first UDP endpoint plus 1
    identifiers: Array[u32]  # the same for echo sockets
    users: Array[u64]  # per port: a bit for each worker that has it; shared by all workers
    identifier_users: Array[u64]
    members: u64  # address of the Members (members.py)
    limit: u32  # endpoints
    fresh: u32  # endpoints ever used
    free: u32
    count: u32  # in use
    connected: u32  # endpoints with a remote address
    specific: u32  # endpoints with a local address, not connected
    blocked: u32  # first that waits for room to send; NO_ENDPOINT
    port_low: u16  # ip_local_port_range
    port_high: u16
    receive_limit: u32  # of a new socket
    send_limit: u32
    way: Way = field(align=64)  # scratch: of a datagram whose destination is not the endpoint's last one
    arrival: Arrival  # scratch: of the datagram being handled
    taken: Arrival  # of the datagram that was read last
    part: Part  # scratch: of a send that has one part
    kept_ttl: u8  # the socket's options while ancillary data stands in for them (aside.py)
    kept_tos: u8
    kept_hops: u8
    kept_class: u8
    kept_multicast_ttl: u8
    kept_multicast_hops: u8
    kept_segment: u16
    source_hi: u64  # address to send one datagram from; 0, 0: as usual
    source_lo: u64
    scope: u32  # interface to send one datagram by, plus 1; 0: as usual
    unused: u32
    control: Control  # scratch: ancillary data that is being written
    cork_to: Address  # scratch: where a datagram that was put together goes


@leaf
def udp_of(worker: Worker) -> Udp:
    """The worker's datagram sockets."""
    return Udp(Endpoints(worker.transports).udp)


@leaf
def endpoint_of(worker: Worker, number: int) -> Endpoint:
    """The endpoint of socket `number`."""
    endpoints = Endpoints(worker.transports)
    return Udp(endpoints.udp).endpoints[endpoints.sockets[number].record]


@leaf
def is_any(hi: int, lo: int) -> bool:
    """Whether an address is the any address of either family."""
    return hi == 0 and (lo == 0 or lo == 0xFFFF_0000_0000)


@leaf
def is_four(hi: int, lo: int) -> bool:
    """Whether an address is one of IPv4."""
    return hi == 0 and lo >> 32 == 0xFFFF
