"""What a worker's balancer remembers. Read this before any code of the room.

    Balancer     the root: where everything lies, timeouts, the pool of local addresses
    Conn         a connection: what a packet of either direction needs to go on, in one cache line
    Wide         its IPv6 addresses
    ConnRecord       what changes when it opens or closes. Data packets of an open connection do not touch it
    Service      what clients connect to, and the state of its scheduler
    Server       a real server of one service, with its counters; Tunnel (tunnels.py): the header in front

The connection k has two flows, directions of it: 2k from client to server (REQUEST), 2k + 1 from server to client
(REPLY). Both lie in one hash index under what their packets carry when they arrive, so that a packet finds its way by
one look-up, whatever its direction; what it becomes is what the other flow's packets carry, turned round. Methods by
which the servers answer clients themselves have no second flow.

An IPv4 connection takes 96 octets and 32 of the index, one with IPv6 on either side 64 more. The first are numbered
from 0 up, the others from the end down, so that memory for IPv6 addresses is touched only where it is used.

Addresses and ports are kept as they lie on the wire and read in the machine's order ("raw"): they are compared,
copied and hashed, never counted with. Time is counted in ticks of 2**20 ns (1.05 ms); the 32 bits in a connection reach
52 days.

Every table belongs to one worker: share-nothing. The control plane changes services and servers between turns.
"""

from __future__ import annotations

from pronghorn.balancer.option_tables import Limits, Listen, Options, Template, Ties
from pronghorn.balancer.proxy_tables import Proxied, Proxy
from pronghorn.balancer.tunnels import Tunnel
from pronghorn.compiled import Array, View, field, fixed, leaf, u8, u16, u32, u64
from pronghorn.memory.wheel import Timer

TICK = 20
"""worker.now >> TICK is the time in ticks."""

# Directions: arrays of two, and the lowest bit of a flow's number
REQUEST, REPLY = 0, 1

# Conn.flags: a way, with marks
WAYS = 0x1F
TIED = 0x20  # it counts for more than its server (ties.py)
STEADY = 0x80  # segments without SYN, FIN and RST change nothing: the record need not be read
CLOSER = 0x40  # the FIN that came second is the server's

# Server.method: how packets reach it
FULL_NAT = 1  # both addresses change
NAT = 2  # the destination becomes the server; replies must come through here
DIRECT = 3  # nothing changes but the next hop: the server has the service's address
TUNNEL_IPIP = 4  # nothing changes, and another header is put in front: the server has the service's address
TUNNEL_GRE = 5
TUNNEL_GUE = 6
METHODS = {
    "full-nat": FULL_NAT, "nat": NAT, "direct": DIRECT,
    "tunnel-ipip": TUNNEL_IPIP, "tunnel-gre": TUNNEL_GRE, "tunnel-gue": TUNNEL_GUE,
}  # fmt: skip

# Conn.flags & WAYS: what is done with its packets (output.py)
REWRITE = 0  # addresses and ports become the other flow's, turned round
HAND_ON = 1  # DIRECT
ENCAPSULATE = 2  # tunnels (forwarding/tunnel.py)
TRANSLATE = 3  # FULL_NAT to a server of the other family (forwarding/translate.py)
REWRITE_SCTP = 4  # as REWRITE, another checksum (forwarding/sctp.py)
TELL = 6  # as REWRITE, and the client's address, until the server knows it (forwarding/toa.py)
PROXIED = 8  # as REWRITE, other sequence numbers (forwarding/proxied.py)

# ConnRecord.state; the timeouts have the same order. 0: the record is free
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
SERVER_LEAVING = 4  # it was removed and keeps its connections until they end; then it becomes free

# Service.scheduler; schedulers/__init__.py chooses by it
RR, WRR, MH, LC, WLC, SED, NQ, SH, DH, LBLC, LBLCR, FO, OVF, CONHASH, P2C = range(1, 16)

# Service.options
SH_FALLBACK, SH_PORT, MH_FALLBACK, MH_PORT = 1, 2, 4, 8

# Service.asks
ASKS_ACCESS = 1  # lists of sources, and their rates (access.py)
ASKS_PERSISTENCE = 2  # clients stay with the server that they had (persistence.py)
ASKS_LIMITS = 8  # limits.py
ASKS_TOA = 32  # its servers are told clients' addresses by a TCP option (forwarding/toa.py)
ASKS_COOKIE = 16  # SYN proxy (syn_proxy.py)
ASKS_ONE_PACKET = 4  # datagrams are scheduled one by one, where servers answer clients themselves

BLACK_SETS = 8
"""Sets that can be black lists."""

# Service.hash_target
TARGET_ADDRESS, TARGET_ADDRESS_PORT, TARGET_QUIC_ID = range(3)

LOCALITY_SET = 7
"""Servers that lblcr may use for one address."""

NOBODY = 0xFF_FFFF
"""No server, in a scheduler's answer and in Maglev's tables; there are fewer servers than this."""

MEMBERS = 1024
"""Servers that a service can have."""

LOCALS = 64
"""Local addresses of each family that can be in use."""

LOCAL_RECORDS = 255
"""Local addresses that are remembered, those that are going away included."""

NO_LOCAL = 255
"""ConnRecord.local of a connection that has no local address."""

HOP_BITS = 20
"""Conn.hop: the number of a neighbour, and above it Balancer.hop_tag."""

EXPIRED = 64
"""Connections whose timers are looked at in one turn."""


class Conn(View, align=64, size=64):
    """A connection as its packets meet it. Arrays of two: by direction."""

    addresses: Array[u64] = fixed(2)  # IPv4: source and destination as packets arrive; IPv6: in Wide
    keys: Array[u64] = fixed(2)  # source and destination port, protocol << 32, family << 40; 0: there is no such flow
    packets: Array[u32] = fixed(2)  # low 32 bits; more in ConnRecord
    octets: Array[u32] = fixed(2)  # of whole frames; the same
    seen: u32  # tick of the last packet
    hop: u32  # neighbour that replies go to, Balancer.hop_tag << HOP_BITS; the request's is the server's
    change: u16  # of a checksum over the addresses, for requests, as wire/checksum.py counts; replies: its complement
    change_all: u16  # of a checksum over addresses and ports
    flags: u8
    server_high: u8  # index in Balancer.servers: server_of
    server_low: u16


@leaf
def server_of(conn: Conn) -> int:
    """Index in Balancer.servers."""
    return conn.server_low | conn.server_high << 16


@leaf
def timeout_of(balancer: Balancer, conn: Conn, state: int) -> int:
    """Ticks that a silent connection is kept in that state."""
    return balancer.services[balancer.servers[server_of(conn)].service].timeouts[state]


class Wide(View, align=64, size=64):
    """IPv6 addresses of a connection, as its packets arrive."""

    words: Array[u64] = fixed(8)  # requests: source, destination, high and low half each; then replies


class ConnRecord(View, align=8, size=32):
    """What changes when a connection opens or closes, and what is told of it."""

    timer: Timer
    state: u8  # SYN_SENT ...; 0 when free
    local: u8  # index in Balancer.locals, of FULL_NAT
    packets_high: Array[u8] = fixed(2)
    octets_high: Array[u16] = fixed(2)
    created: u32  # tick
    next: u32  # free connections: the next one plus 1; in use: its further record of the kind that its way has, plus 1


class Server(View, align=64, size=192):
    """A real server of one service. Arrays of two: towards the server, and back."""

    packets: Array[u64] = fixed(2)
    octets: Array[u64] = fixed(2)
    hop: u32  # neighbour that its packets go to, valid while `generation` is the network's
    generation: u32
    state: u8
    family: u8
    method: u8  # FULL_NAT ...
    watched: u8  # 1: more is asked about its packets: it is SERVER_REMOVED, or its service has rates of packets
    service: u16
    port: u16  # raw
    weight: u32  # as configured
    conns: u32  # connections now
    active: u32  # of these ESTABLISHED or UDP
    identity: u32  # hash of address and port, the same on every worker and machine
    connections: u64 = field(align=64)  # so far
    hi: u64  # address, raw; IPv4 in the low half of lo
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
    refused: u64 = field(align=64)  # connections whose SYN it has answered by a reset
    unanswered: u64  # and those whose SYN it had not answered when their time was over
    keep_port: u8  # 1: connections go to the port that the client asked for


class Service(View, align=64, size=384):
    """What clients connect to."""

    hi: u64  # address, raw; IPv4 in the low half of lo
    lo: u64
    ports: u64  # port (raw, as destination), protocol << 32, family << 40; 0 when free
    members: Array[u32]  # indexes of its servers, in order of addition
    weights: Array[u32]  # weight that counts for each member: 0 while it drains
    lookup: Array[u32]  # Maglev: place -> server; 0 when there is none
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
    spare: u16
    asks: u32  # what more is asked when a connection opens: bits, of which none is the usual
    reject: u8  # whether what no server takes is answered: by a reset, or by ICMP
    nat: u8  # whether some server has, or had, NAT as its method (nat_owner.py)
    timeouts: Array[u32] = field(align=8)  # as Balancer.timeouts, which this is unless the service has its own
    conns: u32  # connections now, those of earlier services with this index included
    half_open: u32  # of these SYN_SENT or SYN_RECEIVED


class Locality(View, align=64, size=64):
    """Where lblc and lblcr send what is for an address."""

    hi: u64  # the address, raw
    lo: u64
    used: u32  # tick
    changed: u32  # tick when the set of servers changed last
    service: u16
    count: u16  # servers in the set; 0: the record is free
    servers: Array[u32] = fixed(LOCALITY_SET)  # the one that came last is the first


class Access(View, align=64, size=64):
    """What a service asks of who comes; of those with ASKS_ACCESS."""

    deny: u64  # address of the AccessSet whose members may not connect; 0: none
    allow: u64  # of the one whose members alone may
    conn_interval: u64  # ns between two connections of a source; 0: no limit
    conn_slack: u64  # ns that they may be ahead of that
    packet_interval: u64
    packet_slack: u64


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

    conns: Array[Conn]
    flow_limit: u64  # flows there can be: twice the connections
    index: u64  # address of the HashIndex of flows
    servers: Array[Server]
    records: Array[ConnRecord]
    wheel: u64  # address of the Wheel of connections
    services: Array[Service]
    service_index: u64  # address of the HashIndex of services
    wide: Array[Wide] = field(align=64)
    generation: u64  # of Net when hop_tag was chosen
    locals: Array[Local]
    hop_tag: u32  # what marks a Conn.hop as right
    conn_limit: u32  # connections there can be
    fresh: Array[u32] = fixed(2)  # numbers ever used: from the start, and from the end
    free: Array[u32] = fixed(2)  # first free connection plus 1, of those; 0 when there is none
    count: u32  # connections now
    first_port: u32  # local ports are first_port + k * port_step, k < port_count: those of this worker
    port_step: u32
    port_count: u32
    local_counts: Array[u32] = fixed(2)  # usable local addresses: IPv4, IPv6
    sweep: u32  # after a removal: the next connection to look at
    sweep_left: u32  # connections still to look at
    maglev_size: u32  # places of a Maglev table, a prime
    server_limit: u32
    maglev_seed: u64  # key of Maglev's hash of clients, the same on every worker
    service_limit: u32
    next_server: u32  # where the search for a free record goes on
    given_up: u64  # connections ended because the table was full
    hand: u32  # the next one that is looked at for this
    unused: u32
    lookups: Array[u32]  # two Maglev tables for each service, of which one is spare
    scratch: Array[u32]  # of fill_table: 4 * MEMBERS
    warmed: Array[u32] = fixed(2)  # connections that have memory already, from the start and from the end (growth.py)
    timeouts: Array[u32] = fixed(16, align=64)  # ticks, by ConnRecord.state
    local_lists: Array[u16] = fixed(2 * LOCALS)  # indexes of usable local addresses: IPv4, then IPv6
    expired: Array[u32] = fixed(EXPIRED)  # scratch of the wheel
    rings: Array[u64]  # what conhash's rings are cut from (lookups.py)
    cache: Array[Locality]  # of lblc and lblcr (schedulers/locality.py)
    nat: u8  # whether some service has, or had, NAT
    tunnels: Array[Tunnel] = field(align=8)  # of servers, by their numbers
    pieces: u64  # address of scratch for the segments of a frame that goes through a tunnel
    guards: u32 = field(align=8)  # what is asked of every packet (access.py)
    black_count: u32
    access: Array[Access]  # by service
    sources: u64  # address of the engine's Sources (source_rates.py)
    own: u64  # address of the AccessSet of services' addresses
    black: Array[u64] = fixed(BLACK_SETS)  # addresses of the AccessSets whose members' packets end here
    options: Array[Options]  # by service
    ties: Array[Ties]  # by connection
    templates: Array[Template]
    template_index: u64  # address of the HashIndex of templates
    template_wheel: u64  # address of their Wheel
    template_limit: u32
    template_fresh: u32  # numbers ever used
    template_free: u32  # first free one plus 1
    template_count: u32
    template_gone: u32  # given up for others because there was no room
    limits: Array[Limits] = field(align=8)  # by service
    clients: Array[u64]  # the engine's (clients.py)
    client_mask: u64  # lines of it - 1
    listens: Array[Listen]
    listen_limit: u32
    listen_fresh: u32  # numbers ever used
    listen_free: u32  # first free one plus 1
    any_port: u32  # listens at any port
    server_clients: Array[u32]  # clients that stay with each server, counted when somebody looks (show_clients.py)
    proxies: Array[Proxy] = field(align=8)  # by service
    proxied: Array[Proxied]  # by connection, of those with PROXIED
    said: u64  # address of a TCPOptions: scratch
