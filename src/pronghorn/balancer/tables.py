"""What a worker's balancer remembers. Read this before any code of the room.

    Balancer     the root: where everything lies, timeouts, the pool of local addresses
    Flow         one direction of a connection: all that a packet needs to go on
    Conn         the connection itself: TCP state, timer, owners. Data packets of an open connection do not touch it
    Service      what clients connect to, and the state of its scheduler
    Server       a real server of one service, with its counters

The connection k has two flows: 2k from client to server ("request"), 2k + 1 from server to client ("reply"). Both
lie in one hash index under their own five-tuple, so that a packet finds its way by one look-up, whatever its
direction.

Addresses and ports are kept as they lie on the wire and read in the machine's order ("raw"): they are compared,
copied and hashed, never counted with. Time is counted in ticks of 2**20 ns (1.05 ms); the 32 bits in a flow reach
52 days.

Every table belongs to one worker: share-nothing. The control plane changes services and servers between turns.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, field, fixed, u8, u16, u32, u64
from pronghorn.memory.wheel import Timer

TICK = 20
"""worker.now >> TICK is the time in ticks."""

# Flow.flags
REPLY = 1  # from server to client; also the index of the direction in a server's counters
STEADY = 2  # segments without SYN, FIN and RST change nothing: the connection's record need not be read

# Conn.state; the timeouts have the same order. 0: the record is free
SYN_SENT = 1  # the client's SYN was forwarded
SYN_RECEIVED = 2  # the server has answered
ESTABLISHED = 3  # the client has confirmed
FIN_WAIT = 4  # the client has closed its direction
CLOSE_WAIT = 5  # the server has closed its direction
LAST_ACK = 6  # both have; an acknowledgement is missing
TIME_WAIT = 7  # closed in good order
CLOSED = 8  # reset
UDP_OPEN = 9
STATES = 10

# Server.state
SERVER_FREE = 0
SERVER_UP = 1
SERVER_DRAIN = 2  # keeps its connections, gets no new ones
SERVER_REMOVED = 3  # its connections are being ended; then it becomes free

# Service.scheduler; schedulers/__init__.py chooses by it
RR, WRR, MH, LC, WLC, SED, NQ, SH, DH, LBLC, LBLCR, FO, OVF, CONHASH, P2C = range(1, 16)

# Service.options
SH_FALLBACK, SH_PORT, MH_FALLBACK, MH_PORT = 1, 2, 4, 8

# Service.hash_target
TARGET_ADDRESS, TARGET_ADDRESS_PORT, TARGET_QUIC_ID = range(3)

LOCALITY_SET = 7
"""Servers that lblcr may use for one address."""

NOBODY = 0xFFFF
"""No server, in a scheduler's answer and in Maglev's tables; there are fewer servers than this."""

MEMBERS = 1024
"""Servers that a service can have."""

LOCALS = 64
"""Local addresses of each family."""

EXPIRED = 64
"""Connections whose timers are looked at in one turn."""


class Flow(View, align=64, size=128):
    """One direction of a connection. An IPv4 packet touches the first line only."""

    addresses: u64  # IPv4: source and destination
    ports: u64  # source and destination port, protocol << 32, family << 40; 0 when the flow is free
    new_addresses: u64  # IPv4: what they become
    new_ports: u32
    change: u16  # of a checksum over the addresses: IPv4 header, pseudo header; as wire/checksum.py counts
    change_all: u16  # of a checksum over addresses and ports
    packets: u64
    octets: u64  # of whole frames
    seen: u32  # tick of the last packet
    neighbour: u32  # next hop, valid while `generation` is the network's
    generation: u32
    server: u16  # index in Balancer.servers
    flags: u8
    spare: u8
    src_hi: u64  # IPv6
    src_lo: u64
    dst_hi: u64
    dst_lo: u64
    new_src_hi: u64
    new_src_lo: u64
    new_dst_hi: u64
    new_dst_lo: u64


class Conn(View, align=64, size=64):
    """What changes when a connection opens or closes, and what knows it by name."""

    timer: Timer
    state: u8  # SYN_SENT ...; 0 when free
    closer: u8  # direction (0 request, 1 reply) of the FIN that came second
    family: u8
    protocol: u8
    server: u16  # index in Balancer.servers
    local: u16  # index in Balancer.locals
    request_hash: u32
    reply_hash: u32
    created: u32  # tick
    next: u32  # free connections: the next one plus 1


class Server(View, align=64, size=128):
    """A real server of one service. Arrays of two: towards the server, and back."""

    packets: Array[u64] = fixed(2)
    octets: Array[u64] = fixed(2)
    state: u8
    family: u8
    port: u16  # raw
    weight: u32  # as configured
    conns: u32  # connections now
    active: u32  # of these ESTABLISHED or UDP
    service: u16
    spare: u16
    identity: u32  # hash of address and port, the same on every worker and machine
    connections: u64  # so far
    hi: u64 = field(align=64)  # address, raw; IPv4 in the low half of lo
    lo: u64
    started: u64  # when its slow start began, in ns of the control plane's clock; 0: it has not been seen yet
    upper: u32  # connections, of all workers, from which on it gets no more; 0: no limit (thresholds.py)
    lower: u32  # below which it gets some again; 0: below three quarters of `upper`
    quota: u32  # connections that this worker may give it, so that all keep to `upper`; the control plane's
    others_conns: u32  # `conns` and `active` of all other workers; the control plane's (totals.py)
    others_active: u32
    overloaded: u8  # 1 from `upper` until `lower`
    others_overloaded: u8  # 1 while it is so for another worker; the control plane's
    part: u16  # of its weight that counts while it starts slowly, in thousandths; 0: all of it


class Service(View, align=64, size=192):
    """What clients connect to."""

    hi: u64  # address, raw; IPv4 in the low half of lo
    lo: u64
    ports: u64  # port (raw, as destination), protocol << 32, family << 40; 0 when free
    members: Array[u16]  # indexes of its servers, in order of addition
    weights: Array[u32]  # weight that counts for each member: 0 while it drains
    lookup: Array[u16]  # Maglev: place -> server; 0 when there is none
    member_count: u32
    scheduler: u8
    stale: u8  # its servers have changed since `lookup` was made; the control plane's
    index: u16
    current: u32 = field(align=64)  # rr, wrr: the member that was chosen last, plus 1
    threshold: u32  # wrr: weight from which a member is chosen in this pass
    largest: u32  # wrr: largest weight
    step: u32  # wrr: greatest common divisor of the weights
    no_server: u64  # packets refused because no server takes new connections
    no_port: u64  # because the local ports are used up
    no_conn: u64  # TCP segments of no connection
    no_room: u64  # because the connection table is full
    removed: Array[u64] = fixed(4, align=64)  # packets and octets (to, from) of servers that are gone
    ring: u64  # address of conhash's ring: the number of its points, then these; 0 when there is none
    slow_start: u32  # seconds until a new server has its full weight; 0: at once
    scale: u32  # what the weights were multiplied with, for parts of them while servers start slowly
    options: u8  # of the scheduler: SH_FALLBACK ...
    hash_target: u8  # of conhash: TARGET_ADDRESS ...


class Locality(View, align=64, size=64):
    """Where lblc and lblcr send what is for an address."""

    hi: u64  # the address, raw
    lo: u64
    used: u32  # tick
    changed: u32  # tick when the set of servers changed last
    service: u16
    count: u16  # servers in the set; 0: the record is free
    servers: Array[u32] = fixed(LOCALITY_SET)  # the one that came last is the first


class Local(View, align=8, size=32):
    """A local address: what full NAT's packets to the servers come from."""

    hi: u64  # raw; IPv4 in the low half of lo
    lo: u64
    conns: u32
    family: u8
    state: u8  # SERVER_FREE, SERVER_UP or SERVER_REMOVED
    spare: u16


class Balancer(View, align=64):
    """The root of a worker's balancer; worker.balancer is its address."""

    flows: Array[Flow]
    flow_limit: u64  # flows there can be: twice the connections
    index: u64  # address of the HashIndex of flows
    servers: Array[Server]
    conns: Array[Conn]
    wheel: u64  # address of the Wheel of connections
    services: Array[Service]
    service_index: u64  # address of the HashIndex of services
    conn_limit: u32 = field(align=64)  # connections there can be
    fresh: u32  # connections ever used: all beyond have never been
    free: u32  # first free connection plus 1, of those used before; 0 when there is none
    count: u32  # connections now
    locals: Array[Local]
    local_counts: Array[u32] = fixed(2)  # usable local addresses: IPv4, IPv6
    first_port: u32  # local ports are first_port + k * port_step, k < port_count: those of this worker
    port_step: u32
    port_count: u32
    sweep: u32  # after a removal: the next connection to look at
    sweep_left: u32  # connections still to look at
    maglev_size: u32  # places of a Maglev table, a prime
    maglev_seed: u64  # key of Maglev's hash of clients, the same on every worker
    server_limit: u32
    service_limit: u32
    given_up: u64  # connections ended because the table was full
    lookups: Array[u16]  # two Maglev tables for each service, of which one is spare
    scratch: Array[u32]  # of fill_table: 4 * MEMBERS
    next_server: u32  # where the search for a free record goes on
    warmed: u32  # connections that have memory already; written by the control plane (growth.py)
    timeouts: Array[u32] = fixed(16, align=64)  # ticks, by Conn.state
    local_lists: Array[u16] = fixed(2 * LOCALS)  # indexes of usable local addresses: IPv4, then IPv6
    expired: Array[u32] = fixed(EXPIRED)  # scratch of the wheel
    rings: Array[u64]  # what conhash's rings are cut from (lookups.py)
    cache: Array[Locality]  # of lblc and lblcr (schedulers/locality.py)
