"""A TCP connection that ends here, and the room's root. Read this first.

A `Tcb` (transmission control block, RFC 9293 3.3.1) is seven cache lines: what every segment asks stands in front. It
is written by its worker alone. Sequence numbers are 32 bits, compared by compiled/sequence.py. IPv4 addresses stand in
the IPv4-mapped block, as in net/state.py. Nothing that a connection may need some day is reserved: octets to send and
octets received lie in rings from the worker's Buddy (memory/stream.py), given back when they are empty; so do the
records of segments in flight (segments.py) and the ranges received out of order (memory/ranges.py).

Times: deadlines are u64 ns of worker.now; what is measured and compared within minutes is u32 microseconds (`stamp`),
which wrap after 71 minutes and are compared like sequence numbers.

Who writes what: lines 0 and 1 input, output and calls; line 2, 5 and the end of line 4 the sender's recovery and
congestion control (recovery.py and its neighbours); `timer` timers.py.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, field, fixed, leaf, sequence, u8, u16, u32, u64
from pronghorn.memory.ranges import Ranges
from pronghorn.memory.stream import Stream
from pronghorn.memory.wheel import Timer
from pronghorn.state.endpoints import Endpoints
from pronghorn.state.wishes import Wishes
from pronghorn.state.worker import Worker
from pronghorn.tcp.records import Cookie, FastKeys, Held, Rare, Strays
from pronghorn.tcp.sample import Sample
from pronghorn.wire.tcp import TCPOptions

# Tcb.state: numbers as Linux's tcp_states.h has them, which TCP_INFO shows
FREE = 0
ESTABLISHED, SYN_SENT, SYN_RECEIVED, FIN_WAIT_1, FIN_WAIT_2, TIME_WAIT = 1, 2, 3, 4, 5, 6
CLOSED, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING = 7, 8, 9, 10, 11

# Tcb.flags
FIN_QUEUED = 1  # the application has shut its direction down: FIN follows the last octet
FIN_SENT = 2  # FIN is in flight or acknowledged; snd_nxt counts it
NO_DELAY = 4  # TCP_NODELAY
CORKED = 8  # TCP_CORK, MSG_MORE
PENDING = 16  # stands on the list of connections to look at when the next turn begins
ACK_NOW = 32  # an acknowledgement is due when the next turn begins
ACK_LATER = 64  # an acknowledgement is due at ack_at
READ_CLOSED = 128  # the application reads no more: shutdown(SHUT_RD)
FIN_RECEIVED = 256  # the peer's FIN was taken: rcv_nxt counts it
WANTS_SPACE = 512  # the application was told EAGAIN by send
PING_PONG = 1024  # the application answers what it reads: acknowledgements ride on answers
ECE_OWED = 2048  # CE was seen: ECE until CWR comes
CWR_OWED = 4096  # cwnd was reduced because of ECE: CWR on the next new data
FIN_BEYOND = 8192  # the FIN has arrived out of order: `beyond` ends with it
PASSIVE = 16384  # came from a listener, and was not accepted yet
DATA_HEARD = 32768  # the last segment from the peer carried data

# Tcb.agreed: what both SYNs agreed on
TIMESTAMPS = 1
SACK = 2
SCALING = 4
ECN = 8
FAST_OPEN = 16

# Tcb.recovery: as Linux's tcp_ca_state, which TCP_INFO shows
OPEN, DISORDER, REDUCED, RECOVERY, LOSS = range(5)

NO_TCB = 0xFFFFFFFF
TICK = 16
"""The wheel's ticks are 2**16 ns, about 65 us."""

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
NEVER = 0
"""A deadline that is not set."""
PACING_MOST = 0xFFFF_FFFF
"""Octets a second: 34 Gbit/s."""
POSITIVE = (1 << 63) - 1
"""A time is never negative: said to the compiler, a division by a constant is a multiplication and a shift."""

CONTROL = 12
"""Words of 32 bits for a congestion control's own use."""


class Segments(View, align=8, size=16):
    """Descriptor of the ring of Segment records of what is in flight (segments.py)."""

    block: u32  # in the Buddy: a Flight and its records; 0: nothing is in flight
    order: u8  # log2 of the block's octets
    persist: u8  # RACK: recoveries for which the wider reordering window stays
    slow: u8  # back-off of the RTO, which stays until there is a sample again (RFC 6298 5.7, Karn)
    soft: u8  # errno of the last ICMP error since something was acknowledged (messages.py)
    flight_max: u32  # the most octets in flight in the round that ends ...
    flight_end: u32  # ... when this is acknowledged


class Tcb(View, align=64, size=448):
    """One connection."""

    # line 0: which connection; where it goes
    remote_hi: u64
    remote_lo: u64
    local_hi: u64
    local_lo: u64
    remote_port: u16
    local_port: u16
    state: u8
    family: u8  # of the packets, 4 or 6
    flags: u16
    index: u32  # own number; constant
    socket: u32  # number of the socket, or ANY_NUMBER
    neighbour: u32  # where packets go, valid while `generation` is net.generation's low half
    generation: u32
    next: u32  # tcb after this one: on the pending list, on an accept queue, among the free
    rare: u32  # number of the Rare; 0: none
    # line 1: the sequence spaces
    rcv_nxt: u32
    rcv_read: u32  # position after the last octet that the application has taken
    rcv_right: u32  # right edge of the window that was advertised last; goes back only for want of memory
    rcv_acked: u32  # acknowledgement number that was sent last
    snd_una: u32
    snd_nxt: u32
    snd_end: u32  # position after the last octet that the application has written; FIN's own, when it is queued
    snd_window: u32  # octets the peer takes beyond snd_una
    snd_wl1: u32
    small_end: u32  # end of the last segment that was shorter than full (Minshall's rule)
    snd_window_max: u32
    mss: u16  # octets of payload in a segment of ours now, options taken off
    rcv_mss: u16  # the peer's segments, estimated: the delayed acknowledgement asks
    snd_scale: u8
    rcv_scale: u8
    agreed: u8
    quick: u8  # segments that are still acknowledged at once (Linux: quick acks)
    ts_recent: u32
    receive_limit: u32  # octets that may wait to be read; grows with what the application reads in a round trip
    ts_offset: u32  # of our timestamps, which are milliseconds (RFC 7323 5.4, 7.1)
    # line 2: recovery and congestion control
    cwnd: u32 = field(align=64)  # octets
    ssthresh: u32  # octets
    srtt: u32  # us, times 8
    rttvar: u32  # us: what the RTO adds to srtt; Linux's rttvar_us
    mdev: u32  # us, times 4: mean deviation
    mdev_max: u32  # us, times 4: the largest of this round trip
    rtt_round: u32  # the round trip ends when this is acknowledged
    rto: u32  # us, back-off not counted
    rtt_min: u32  # us: least of the last minutes; 0: no sample yet
    rtt_next: u32  # us: least since rtt_next_at; takes over from rtt_min
    rtt_next_at: u32  # stamp
    sacked: u32  # octets in flight that SACK has reported; without SACK: what duplicate acknowledgements stand for
    lost: u32  # octets in flight that are considered lost and were not sent again
    resent: u32  # octets in flight that were sent again, and are not considered lost again
    recovery_point: u32  # snd_nxt when recovery began: Linux's high_seq
    recovery: u8
    congestion: u8  # number of the congestion control
    backoff: u8  # retransmission time-outs in a row
    duplicates: u8  # duplicate acknowledgements in a row, without SACK
    # line 3: memory, timer
    send: Stream = field(align=64)  # octets snd_una .. snd_end
    receive: Stream  # octets rcv_read .. rcv_nxt, and beyond it those of `beyond`
    beyond: Ranges  # received out of order
    segments: Segments  # in flight
    timer: Timer
    # line 4: deadlines, rates
    retransmit_at: u64 = field(align=64)  # RTO, loss probe, reordering or window probe; which, `retransmit_kind` says
    ack_at: u64  # delayed acknowledgement
    alarm_at: u64  # keep-alive, FIN-WAIT-2, user time-out, waiting for accept data
    paced_at: u64  # no new data before
    pacing_rate: u32  # octets a second, PACING_MOST at most; 0: not paced
    delivered: u32  # octets that arrived at the peer, as far as known; their low half
    delivered_at: u32  # stamp
    rate_octets: u32  # the delivery rate for TCP_INFO: so many octets ...
    rate_interval: u32  # ... in so many us; RATE_OF_APP: the application limited it (statistics.py)
    beyond_in: u32  # segments that came out of order
    heard: u32  # ms: of the last segment from the peer (`moment`)
    spoken: u32  # stamp: of the last data sent
    # line 5: the congestion control's own; rarely used
    control: Array[u32] = fixed(CONTROL, align=64)
    app_limited_until: u32  # `delivered` until which samples are application-limited
    tuning: u32  # number of the Tuning
    challenged: u16  # when it last sent a challenge acknowledgement (challenge.py); 0: never
    peer_mss: u16  # from the peer's SYN
    retransmit_kind: u8
    probes: u8  # window probes or keep-alives without an answer
    reorder_steps: u8  # RACK's window, in quarters of rtt_min
    marks: u8  # recovery.py's own bits (sample.py)
    # line 6: statistics, undo
    octets_in: u64 = field(align=64)  # taken in order
    octets_out: u64  # acknowledged
    segments_in: u32
    segments_out: u32
    retransmits: u32
    undo_cwnd: u32
    undo_ssthresh: u32
    undo_from: u32  # snd_una when the window was reduced
    undo_count: u32  # octets sent again since that no DSACK has explained
    dsack_round: u32  # RACK: a DSACK widens the reordering window again once this is acknowledged
    octets_resent: u32  # sent again, altogether
    drs_from: u32  # rcv_read when the current measurement for receive_limit began
    drs_at: u32  # stamp of that moment
    accept_next: u32  # PASSIVE: tcb behind it on the listener's queue, in SYN_RECEIVED the listener; else statistics


class Identity(View, size=36):
    """How both a Tcb and a Waiting begin."""

    remote_hi: u64
    remote_lo: u64
    local_hi: u64
    local_lo: u64
    remote_port: u16
    local_port: u16


class Waiting(View, align=64, size=64):
    """What is left of a connection in TIME_WAIT (time_wait.py). Ports 0: a gap in the ring."""

    remote_hi: u64
    remote_lo: u64
    local_hi: u64
    local_lo: u64
    remote_port: u16
    local_port: u16
    snd_nxt: u32
    rcv_nxt: u32
    ts_recent: u32
    ts_offset: u32
    until: u32  # ms
    challenged: u16
    agreed: u8
    family: u8
    window: u16  # as it was told last, scaled
    rcv_scale: u8
    given: u8  # 1: another engine has the connection, and is to get what comes (strays.py)


class Tuning(View, align=64, size=192):
    """Options that few connections change; shared by all that have the same, number 0 holds the defaults."""

    users: u32
    receive_limit: u32  # octets that may wait to be read: SO_RCVBUF
    send_limit: u32  # octets that may wait to be acknowledged: SO_SNDBUF
    low_water: u32  # TCP_NOTSENT_LOWAT
    keep_idle: u32  # s
    keep_interval: u32  # s
    keep_count: u16
    user_mss: u16  # TCP_MAXSEG; 0: none
    user_timeout: u32  # ms; 0: none
    linger: u32  # s; 0xFFFFFFFF: off
    fin_timeout: u32  # s: TCP_LINGER2
    defer_accept: u16  # s
    syn_retries: u8
    retries: u8  # time-outs until the connection is given up: tcp_retries2
    receive_low: u32  # SO_RCVLOWAT
    tos: u8
    ttl: u8
    congestion: u8
    fast_open: u8  # of a listener: TCP_FASTOPEN, connections that may be open before their handshake ends
    fixed_buffers: u8  # 1: SO_RCVBUF was set: no auto-tuning; 2: SO_SNDBUF was; 4: TCP_WINDOW_CLAMP was
    fast_connect: u8  # TCP_FASTOPEN_CONNECT
    flags: u16  # NO_DELAY and CORKED of a connection that is still to come
    next: u32
    window_clamp: u32  # TCP_WINDOW_CLAMP; 0: none
    wishes: Wishes
    keys: FastKeys


class Listener(View, align=64, size=64):
    """A bound address and port; a socket in LISTEN, or bound only (backlog 0)."""

    hi: u64  # address; 0, 0: any
    lo: u64
    port: u16
    family: u8  # 4, 6, or 10: both
    listening: u8
    socket: u32
    backlog: u32  # connections that may wait: half-open ones, and (as many) established ones
    half_open: u32
    waiting: u32  # established, not accepted
    first: u32  # of the accept queue; NO_TCB
    last: u32
    tuning: u32
    next: u32  # free list
    recent_overflow: u32  # stamp: cookies are believed only if one was sent not long ago
    cookies: u8  # 1: some were sent
    reuse: u8  # 1 SO_REUSEADDR, 2 SO_REUSEPORT
    fast_opens: u16  # connections that are open though their handshake has not ended


class Tcp(View, align=64):
    """The room's root, at Endpoints.tcp."""

    tcbs: Array[Tcb]
    waitings: Array[Waiting]  # one more than places in the ring
    rares: Array[Rare]  # number 0 is nobody's
    cookies: Array[Cookie]
    index: u64  # address of the HashIndex of tcbs
    wheel: u64  # address of the Wheel of Tcb.timer
    listeners: Array[Listener]
    listener_index: u64  # address of the HashIndex of listeners
    tunings: Array[Tuning]
    limit: u32  # tcbs
    fresh: u32  # tcbs that were ever used
    free: u32
    count: u32  # in use
    listener_limit: u32
    listener_free: u32
    tuning_limit: u32
    tuning_free: u32
    tuning_fresh: u32  # records below were used
    cookie_mask: u32  # places of `cookies`, less 1
    rare_limit: u32
    rare_free: u32
    rare_fresh: u32  # records below were used
    cookie_due: u32  # 1: the SYN-ACK being written carries a fast open cookie
    pending_first: u32
    pending_last: u32
    pending_count: u32
    waiting_head: u32  # counts TIME_WAITs that began; modulo the ring's size the place of the next
    waiting_tail: u32  # the oldest
    waiting_count: u32
    waiting_limit: u32
    waiting_mask: u32  # places in the ring less one
    port_low: u16  # ports for active opens (ip_local_port_range)
    port_high: u16
    scratch_info: u64 = field(align=8)  # address of room for a TcpInfo
    scratch_tcb: u64  # address of a Tcb that is no connection: addresses being looked up, cookies
    secret: u64  # of initial sequence numbers and cookies
    secret2: u64
    port_salt: u64  # RFC 6056 algorithm 5's counter
    challenge_until: u64  # ns: end of the interval of challenge acknowledgements
    challenge_left: u32
    challenge_limit: u32  # a second
    congestion: u8  # default
    ecn: u8  # 0 off, 1 ask and answer, 2 answer only (tcp_ecn)
    syncookies: u8  # 0 off, 1 when the backlog is full, 2 always
    timestamps: u8
    sack: u8
    window_scaling: u8
    time_wait_reuse: u8
    mtu_probing: u8  # 0 off, 1 where large segments vanish (tcp_mtu_probing)
    fast_open: u16  # bits as Linux's tcp_fastopen: 1 client, 2 server, 4 and 512 they need no cookie, 1024 all listen
    unused16: u16
    sweep: u32  # number of the connection that relief.py looks at next
    time_wait_ns: u64
    memory_low: u64  # octets of buffers: below, no pressure; tcp_mem[0]
    memory_pressure: u64  # above, buffers shrink; tcp_mem[1]
    memory_high: u64  # above, nothing more; tcp_mem[2]
    sweep_at: u64  # ns: when relief.py looks at the next connections
    receive_max: u32  # tcp_rmem[2]
    send_max: u32  # tcp_wmem[2]
    pressed: u32  # 0: no memory pressure; under pressure what one queue may hold, in octets (pressure.py)
    strays: Strays = field(align=8)
    held: Held
    sweep_left: u32  # connections that are still to be looked at when pressure is over
    initial_window: u32  # segments
    duplicate: u32  # 1: the segment being written reports a duplicate, as follows
    duplicate_left: u32
    duplicate_right: u32
    expired: Array[u32] = fixed(64, align=64)
    options: TCPOptions = field(align=64)  # scratch: of the segment being handled
    answer: TCPOptions = field(align=64)  # scratch: of the segment being written
    sample: Sample = field(align=64)  # scratch: what the acknowledgement being handled has brought


@leaf
def scratch_of(tcp: Tcp) -> Tcb:
    """A Tcb that is no connection: what is worked out and forgotten."""
    return Tcb(tcp.scratch_tcb)


@leaf
def identity_at(tcp: Tcp, number: int) -> Identity:
    """Addresses and ports of a number of the index: a Tcb's, or from tcp.limit on a Waiting's."""
    if number < tcp.limit:
        return Identity(tcp.tcbs[number].address)
    return Identity(tcp.waitings[number - tcp.limit].address)


@leaf
def tcp_of(worker: Worker) -> Tcp:
    """The worker's TCP state."""
    return Tcp(Endpoints(worker.transports).tcp)


@leaf
def stamp(worker: Worker) -> int:
    """Now, as u32 microseconds."""
    return (worker.now & POSITIVE) // 1000 & 0xFFFF_FFFF


@leaf
def moment(worker: Worker) -> int:
    """Now, as u32 milliseconds: for what lasts hours."""
    return (worker.now & POSITIVE) // MILLISECOND & 0xFFFF_FFFF


@leaf
def elapsed(now: int, then: int) -> int:
    """Microseconds between two stamps, at most 2**31 - 1; 0 when `then` is later."""
    return max(sequence.difference(now, then), 0)


@leaf
def in_flight(tcb: Tcb) -> int:
    """Octets that are on their way: RFC 6675's pipe, kept up to date. A loss probe's copy is not counted."""
    return (tcb.snd_nxt - tcb.snd_una & 0xFFFF_FFFF) - tcb.sacked - tcb.lost
