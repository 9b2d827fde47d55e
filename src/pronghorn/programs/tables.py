"""What a worker's gateway side remembers of attached programs. Read this before any code of the room.

    Programs    the root: where everything lies
    Program     an attached program: its link, its addresses, its block of ports, its counters
    Claimed     an address and a port that a program listens at or is bound to
    ProgramFlow        a connection of a program, or a datagram flow of a port that several programs share
    Bucket      a program's rate limits, shared by all workers

Every worker has its own tables, and all have the same programs and claims: the control plane writes them between two
turns (docs/adr/0013-accelerated-programs.md). Flows are of the worker that sees them.

A port finds its program in one of two ways, both of them an array by port: `heads` leads to a list of claims, `blocks`
to the program whose outgoing connections have the port. Addresses are two halves as in net/state.py, ports are plain
numbers. "Own" is the program's end of a flow, "far" the other one.

A program's number may be used again as soon as it has ended; `life` tells one from the next.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, au64, field, fixed, u8, u16, u32, u64
from pronghorn.state.attach import ADDRESSES
from pronghorn.state.worker import VERDICTS

TICK = 20
"""worker.now >> TICK is the time in ticks of 2**20 ns."""

PORTS = 65_536

# ProgramFlow.state; the timeouts have the same order. 0: the record is free
OPENING = 1  # a SYN was seen
OPEN = 2
CLOSING = 3  # a FIN from each side
CLOSED = 4  # reset
DATAGRAM = 5
DEAD = 6  # its program has ended: the far end was reset, and is again if it goes on
STATES = 7

# ProgramFlow.marks
SEEN_OWN, SEEN_FAR = 1, 2  # a segment from this end was seen: own_next, far_next are good
ACKED = 4  # far_ack is good
FIN_OWN, FIN_FAR = 8, 16


class Program(View, align=64):
    """An attached program, on one worker."""

    life: u64  # of this one, never the same again; 0: the number is free
    bucket: u64  # address of its Bucket; 0: no limits
    port: u32  # of the engine: its link
    family: u32  # of processes that came from one by fork
    neighbour4: u32  # what leads to it, on its own interface
    neighbour6: u32
    low: u16  # block of ports, both ends included; 0: none
    high: u16
    count: u32  # addresses
    flow_limit: u32
    flows: u32
    packets_in: u64  # from the program, that passed the checks
    octets_in: u64
    packets_out: u64  # to the program, given to its link
    octets_out: u64
    untracked: u64  # connections for which there was no record
    hi: Array[u64] = fixed(ADDRESSES, align=64)
    lo: Array[u64] = fixed(ADDRESSES)
    drops: Array[u64] = fixed(VERDICTS, align=64)  # frames from and for the program that ended, by verdict


class Claimed(View, align=64, size=64):
    """A claim. Written by the control plane."""

    hi: u64  # both 0: any of the program's addresses
    lo: u64
    program: u32
    next: u32  # of the same protocol and port, or of the free ones, plus 1; 0 at the end
    port: u16
    protocol: u8
    family: u8  # 4, 6, or 10: both
    used: u8


class Key(View, align=8, size=48):
    """What a packet's flow is called."""

    far_hi: u64
    far_lo: u64
    own_hi: u64
    own_lo: u64
    ports: u64  # far port, own port << 16, protocol << 32, family << 40
    hash: u64  # 32 bits of them all, keyed


class ProgramFlow(View, align=64, size=128):
    """A connection as the gateway follows it: coarsely."""

    far_hi: u64  # as in Key; ports 0: free
    far_lo: u64
    own_hi: u64
    own_lo: u64
    ports: u64
    life: u64  # the program's
    program: u32
    seen: u32  # tick of the last packet
    state: u8
    marks: u8
    resets: u8  # sent since its program ended
    unused: u8
    next: u32  # free record after this one, plus 1
    own_next: u32  # sequence number after the last octet that the program sent
    far_next: u32  # and after the last one that the far end sent
    far_ack: u32  # what the far end expects, by its last acknowledgement
    hash: u32


class Bucket(View, align=64, size=64):
    """Rate limits of a program; the words are shared by the workers (net/rates.py says how they count)."""

    packets: au64  # ns: when all packets may be sent again
    octets: au64
    packet_cost: u64  # ns; 0: no limit
    octet_rate: u64  # octets per second; 0: no limit
    depth: u64  # ns that may be sent ahead


class Programs(View, align=64):
    """The root of a worker."""

    programs: Array[Program]
    heads: Array[u32]  # by port, UDP's behind TCP's: first claim, plus 1
    blocks: Array[u32]  # by port: the program in whose block it is, plus 1
    claims: Array[Claimed]
    flows: Array[ProgramFlow]
    index: u64  # address of the HashIndex of the flows
    limit: u32  # programs
    claim_limit: u32
    flow_limit: u32
    claim_free: u32  # first free claim, plus 1
    claim_fresh: u32  # claims ever used
    flow_free: u32
    flow_fresh: u32
    flow_count: u32
    sweep: u32  # next flow to look at
    left: u32  # flows to look at for one whose program has ended
    sweep_at: u64  # ns: when the next flows are looked at for idle ones
    given_up: u64  # flows that made room for others
    shared_ports: u32  # 1: more than one claim took the last packet's port (claims.py)
    unused: u32
    key: Key = field(align=64)
