"""Clients behind a null port: what a worker's clients are, what they wait to send, and what they count."""

from __future__ import annotations

from pronghorn.compiled import Array, View, field, fixed, u8, u32, u64
from pronghorn.wire.tcp import TCPOptions

SHAPES = 4
S_SYN, S_ACK, S_REQUEST, S_FIN = range(SHAPES)
FRAME = 192
"""Octets that a shape may have."""


ENDINGS = 4096
"""Connections whose end is remembered, so that no end counts twice: more than are ever open at once."""


class Shape(View, align=64):
    """A frame whose source address, source port, sequence numbers, timestamps and checksums are 0."""

    octets: u32
    network_sum: u32  # total over the IPv4 header
    transport_sum: u32  # over pseudo header and segment
    frame: Array[u8] = fixed(FRAME, align=64)


class Reply(View, align=8, size=24):
    """A frame that a client is going to send."""

    flow: u32
    seq: u32
    ack: u32
    echo: u32  # TSecr
    shape: u32
    unused: u32


class ClientQueue(View, align=64):
    """The clients of one worker. Written by the control plane before traffic, and by the worker."""

    family: u32  # 4 or 6
    connections: u32  # that are open at once
    flows: u32  # clients that take turns, 1 << FLOW_BITS at most; kept alive: as many as connections
    active: u32  # of so many clients one sends requests; the others stay idle once they are connected
    closing: u32  # 1: one request per connection
    separate: u32  # 1: the handshake's ACK is a segment of its own
    response: u32  # octets of a response; 0: any
    verify: u32  # 1: hold the server's checksums against what is right
    stamps: u32  # 1: timestamps
    opened: u32  # of the first connections, those that were begun
    next: u32  # client of the next connection
    open_burst: u32  # SYNs of the first connections that one receive makes
    flags: u32  # Packet.flags of what the clients send: CHECKSUM_GOOD, or none
    shuffle: u32  # 1: clients send in random order; 0: in the order in which they were answered
    source_hi: u64  # first half of the clients' IPv6 addresses
    source: u64  # IPv4 address, or second half of the IPv6 address, of the first clients
    flood: u64  # SYNs a second from sources that never answer
    flood_from: u64  # ns: when it began; 0: has not
    replies: Array[Reply]
    mask: u32  # places of `replies`, less 1
    limit: u32  # 1: no further connection is begun
    head: u64 = field(align=64)  # replies taken
    tail: u64  # replies put
    begun: u64  # connections: SYNs
    established: u64
    requests: u64
    responses: u64
    completed: u64  # connections from SYN to the last ACK
    flooded: u64  # SYNs
    cookies: u64  # SYN-ACKs to those who flood
    acks: u64  # bare acknowledgements, which no client answers
    resets: u64
    odd: u64  # segments that no client expects: flags, acknowledgement number, size
    corrupt: u64  # bad checksums
    ignored: u64  # frames that are not TCP to a client
    dropped: u64  # replies for which there was no place
    repeated: u64  # endings that were heard before: the server had sent something again
    options: TCPOptions = field(align=64)
    shapes: Array[Shape] = fixed(SHAPES, align=64)
    ended: Array[u32] = fixed(ENDINGS, align=64)  # clients, plus 1, whose connections ended last, by their low bits
