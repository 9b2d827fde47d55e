"""A null port with TCP clients behind it, the data plane: every frame sent to it is answered by the client's next ones.

The clients keep no state. What a frame says (addresses, ports, sequence and acknowledgement numbers, timestamp) is all
that is needed for the answer, which waits as a `Reply` of 24 octets until the port is received from; then it becomes a
frame, copied from a `Shape` and completed with six numbers and two checksums. No octet of a payload is summed or read.

    kept alive   SYN -> [SYN-ACK] -> ACK with request -> [response] -> ACK with the next request -> ...
    closing      SYN -> [SYN-ACK] -> ACK, request -> [response, FIN] -> FIN-ACK -> [ACK] -> SYN of the next connection

The server closes first, as HTTP servers do that were told `Connection: close`. `separate` says whether the ACK of the
handshake is a segment of its own, as it is when a Linux client connects; `active` leaves connections idle. Beside
them, SYNs of sources that never answer come at `flood` a second.

The initial sequence number is a function of the client's address and port, and a request has REQUEST octets (a power
of two), so that acknowledgement numbers are held against what a client can have sent without remembering it.

Left out: losses are not repaired, windows of the server are not looked at (an answer is smaller than any), and the
clients take whatever is sent at once, in one segment.
"""

from __future__ import annotations

from pronghorn.compiled import (
    Array,
    copy,
    hot,
    leaf,
    load_be16,
    load_be32,
    store_be32,
    u64,
)
from pronghorn.ports.null_client_view import ENDINGS, FRAME, S_ACK, S_FIN, S_REQUEST, S_SYN, ClientQueue, Reply, Shape
from pronghorn.state.packet import Packet
from pronghorn.state.packets import allocate, release
from pronghorn.state.port import Port, Queue
from pronghorn.state.worker import Worker, random_number
from pronghorn.wire import tcp as wire_tcp
from pronghorn.wire.checksum import finish, halves
from pronghorn.wire.ethernet import HEADER as ETHERNET
from pronghorn.wire.ipv4 import HEADER as IPV4
from pronghorn.wire.ipv4 import PLAIN, IPv4
from pronghorn.wire.ipv6 import HEADER as IPV6
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTOCOL_TCP
from pronghorn.wire.reasons import GOOD
from pronghorn.wire.tcp import ACK, ALIGNED_TIMESTAMPS, FIN, HAS_TIMESTAMPS, RST, SYN, TCP, parse_options

REQUEST = 64
"""Octets of a request; a power of two."""

FLOW_BITS = 25
"""Log2 of the clients of one worker: so many pairs of address and port, PORT_BITS of them the port."""

PORT_BITS = 14
FIRST_PORT = 1024
FLOOD_PORT = 1 << 15
"""Flooding sources have higher ports than clients."""

SPREAD = 0x9E37_79B1
"""Odd; turns the number of a client into its initial sequence number."""

ARREARS = 10_000
"""A flood makes up for what it has missed in a ten-thousandth of a second, and forgets what came before."""

MILLISECOND = 1_000_000
SECOND = 1_000_000_000


# --- what clients send --------------------------------------------------------------------------------------------


@hot
def client_receive(worker: Worker, port: Port, queue: Queue, room: int) -> int:
    """The clients' frames into worker.burst; returns how many. Half of the room is for new connections at most."""
    own = ClientQueue(queue.driver)
    stamp = worker.now // MILLISECOND & 0xFFFF_FFFF if own.stamps != 0 else 0
    if own.opened < own.connections and own.limit == 0:
        _open(own, min(own.open_burst, room >> 1))
    count = 0
    if own.flood != 0:
        count = _flood(worker, own, port.index, room >> 1)
    head, octets = own.head, 0
    end = min(own.tail, head + room - count)
    while head < end:
        packet = allocate(worker)
        if packet.address == 0:
            break
        reply = own.replies[head & own.mask]
        if own.shuffle != 0:
            _exchange(reply, own.replies[head + (random_number(worker) * (own.tail - head) >> 31) & own.mask])
        shape = own.shapes[reply.shape]
        packet.port, packet.length, packet.flags = port.index, shape.octets, own.flags
        octets += shape.octets
        _write(own, shape, packet.data, reply.flow, reply.seq, reply.ack, stamp, reply.echo)
        worker.burst[count] = packet.address
        count += 1
        head += 1
    own.head = head
    queue.rx_packets += count
    queue.rx_octets += octets
    return count


@leaf
def _exchange(one: Reply, other: Reply) -> None:
    """Let each be sent in the other's place."""
    shape, flow, seq, ack, echo = one.shape, one.flow, one.seq, one.ack, one.echo
    one.shape, one.flow, one.seq, one.ack, one.echo = other.shape, other.flow, other.seq, other.ack, other.echo
    other.shape, other.flow, other.seq, other.ack, other.echo = shape, flow, seq, ack, echo


@hot
def _open(own: ClientQueue, burst: int) -> None:
    """Begin some of the first connections."""
    for _ in range(min(burst, own.connections - own.opened)):
        own.opened += 1
        _connect(own)


@leaf
def _connect(own: ClientQueue) -> None:
    """The next client begins."""
    flow = own.next
    own.next = flow + 1 if flow + 1 < own.flows else 0
    own.begun += 1
    _put(own, S_SYN, flow, initial(flow), 0, 0)


@hot
def _flood(worker: Worker, own: ClientQueue, index: int, room: int) -> int:
    """SYNs that are due of sources nobody will hear of again; returns how many."""
    if own.flood_from == 0:
        own.flood_from, own.flooded = worker.now, 0
    due = (worker.now - own.flood_from) * own.flood // SECOND - own.flooded
    if due * ARREARS > own.flood:  # the worker did not run for a while
        due = own.flood // ARREARS
        own.flood_from = worker.now - (own.flooded + due) * SECOND // own.flood
    count, shape = 0, own.shapes[S_SYN]
    while count < min(room, due):
        packet = allocate(worker)
        if packet.address == 0:
            break
        packet.port, packet.length, packet.flags = index, shape.octets, own.flags
        seed = random_number(worker)
        flow = seed & (1 << FLOW_BITS) - 1 | 1 << FLOW_BITS
        _write(own, shape, packet.data, flow, seed, 0, 0, 0)
        worker.burst[count] = packet.address
        count += 1
    own.flooded += count
    return count


@leaf
def initial(flow: int) -> int:
    """A client's initial sequence number."""
    return flow * SPREAD & 0xFFFF_FFFF


@leaf
def port_of(flow: int) -> int:
    """A client's port; those who flood have the upper ones."""
    return FIRST_PORT + (flow & (1 << PORT_BITS) - 1) + (flow >> FLOW_BITS) * FLOOD_PORT


@leaf
def address_of(own: ClientQueue, flow: int) -> int:
    """A client's IPv4 address, or the second half of its IPv6 address."""
    return own.source + ((flow & (1 << FLOW_BITS) - 1) >> PORT_BITS)


@leaf
def _write(
    own: ClientQueue, shape: Shape, frame: int, flow: int, seq: int, ack: int, stamp: int, echo: int
) -> None:  # fmt: skip
    """A frame of this shape from this client."""
    copy(frame, shape.frame.address, FRAME)
    source, port = address_of(own, flow), port_of(flow)
    if own.family == 4:
        ip = IPv4(frame + ETHERNET)
        ip.src = source
        ip.checksum = finish(shape.network_sum + source)
        _complete(shape, TCP(frame + ETHERNET + IPV4), port, seq, ack, stamp, echo, source)
    else:
        IPv6(frame + ETHERNET).src_lo = source
        _complete(shape, TCP(frame + ETHERNET + IPV6), port, seq, ack, stamp, echo, halves(source))


@leaf
def _complete(shape: Shape, tcp: TCP, sport: int, seq: int, ack: int, stamp: int, echo: int, source: int) -> None:
    """What differs from the shape in the segment; `source` is the address as a total."""
    tcp.sport = sport
    tcp.seq = seq
    tcp.ack = ack
    header = wire_tcp.header_octets(tcp)
    total = shape.transport_sum + source + sport + seq + ack
    if header > wire_tcp.HEADER + 4:
        # Linux's order: MSS, SACK permitted, timestamps, window scale; later two NOPs and timestamps
        place = tcp.address + (28 if tcp.flags & SYN != 0 else 24)
        store_be32(place, stamp)
        store_be32(place + 4, echo)
        total += stamp + echo
    tcp.checksum = finish(total)


# --- what clients hear --------------------------------------------------------------------------------------------


@hot
def client_transmit(worker: Worker, port: Port, queue: Queue, packets: Array[u64], count: int) -> int:
    """Answer and free the frames."""
    own = ClientQueue(queue.driver)
    octets = 0
    for place in range(count):
        packet = Packet(packets[place])
        octets += packet.length
        _hear(own, packet.data, packet.length)
        release(worker, packet)
    queue.tx_packets += count
    queue.tx_octets += octets
    return count


@hot
def _hear(own: ClientQueue, frame: int, length: int) -> None:
    """One frame of the server's."""
    ethertype = load_be16(frame + 12)
    if own.family == 4:
        ip4 = IPv4(frame + ETHERNET)
        if ethertype != ETHERTYPE_IPV4 or ip4.version_ihl != PLAIN or ip4.protocol != PROTOCOL_TCP:
            own.ignored += 1
            return
        address, octets, tcp = ip4.dst, ip4.length - IPV4, TCP(frame + ETHERNET + IPV4)
        if own.verify != 0 and (wire_tcp.verify4(ip4, tcp, octets) != GOOD or ETHERNET + IPV4 + octets > length):
            own.corrupt += 1
            return
    else:
        ip6 = IPv6(frame + ETHERNET)
        if ethertype != ETHERTYPE_IPV6 or ip6.next_header != PROTOCOL_TCP or ip6.dst_hi != own.source_hi:
            own.ignored += 1
            return
        address, octets, tcp = ip6.dst_lo, ip6.length, TCP(frame + ETHERNET + IPV6)
        if own.verify != 0 and (wire_tcp.verify6(ip6, tcp, octets) != GOOD or ETHERNET + IPV6 + octets > length):
            own.corrupt += 1
            return
    port = tcp.dport
    if port >= FLOOD_PORT:
        own.cookies += 1
        return
    flow = address - own.source << PORT_BITS | port - FIRST_PORT
    if flow < 0 or flow >= own.flows:
        own.ignored += 1
        return
    _answer(own, tcp, flow, octets - wire_tcp.header_octets(tcp))


@leaf
def _answer(own: ClientQueue, tcp: TCP, flow: int, payload: int) -> None:
    """A segment of the server's for client `flow`."""
    flags = tcp.flags & (SYN | ACK | FIN | RST)
    sent = tcp.ack - initial(flow) & 0xFFFF_FFFF  # sequence numbers of the client's that the server has
    echo = _timestamp(own, tcp)
    if payload > 0 and flags & ~FIN == ACK:
        _responded(own, tcp, flow, payload, sent, echo)
    elif flags == ACK:
        if own.closing != 0 and sent == REQUEST + 2:
            _ended(own, flow)
        else:
            own.acks += 1
    elif flags == SYN | ACK and sent == 1:
        _established(own, tcp, flow, echo)
    elif flags == FIN | ACK and own.closing != 0 and sent == REQUEST + 1:
        _put(own, S_FIN, flow, tcp.ack, tcp.seq + 1, echo)
    elif flags & RST != 0:
        own.resets += 1
    else:
        own.odd += 1


@leaf
def _ended(own: ClientQueue, flow: int) -> None:
    """The server has acknowledged the client's FIN."""
    place = flow & ENDINGS - 1
    if own.ended[place] == flow + 1:
        own.repeated += 1
        return
    own.ended[place] = flow + 1
    own.completed += 1
    if own.limit == 0:
        _connect(own)


@leaf
def _responded(own: ClientQueue, tcp: TCP, flow: int, payload: int, sent: int, echo: int) -> None:
    """A response has come: the next request, or the end."""
    own.responses += 1
    expected = sent == REQUEST + 1 if own.closing != 0 else sent & REQUEST - 1 == 1
    if not expected or (payload != own.response and own.response != 0):
        own.odd += 1
        return
    if own.closing == 0:
        own.requests += 1
        _put(own, S_REQUEST, flow, tcp.ack, tcp.seq + payload, echo)
    elif tcp.flags & FIN != 0:
        _put(own, S_FIN, flow, tcp.ack, tcp.seq + payload + 1, echo)
    else:
        _put(own, S_ACK, flow, tcp.ack, tcp.seq + payload, echo)


@leaf
def _established(own: ClientQueue, tcp: TCP, flow: int, echo: int) -> None:
    """The server has taken the connection."""
    own.established += 1
    ack = tcp.seq + 1
    idle = own.active != 1 and flow % own.active != 0
    if idle or own.separate != 0:
        _put(own, S_ACK, flow, tcp.ack, ack, echo)
    if not idle:
        own.requests += 1
        _put(own, S_REQUEST, flow, tcp.ack, ack, echo)


@leaf
def _timestamp(own: ClientQueue, tcp: TCP) -> int:
    """The server's TSval; 0 without one."""
    if own.stamps == 0:
        return 0
    if tcp.flags & SYN == 0 and load_be32(tcp.address + 20) == ALIGNED_TIMESTAMPS:
        return load_be32(tcp.address + 24)
    parse_options(tcp, own.options)
    return own.options.timestamp if own.options.present & HAS_TIMESTAMPS != 0 else 0


@leaf
def _put(own: ClientQueue, shape: int, flow: int, seq: int, ack: int, echo: int) -> None:
    """Let the client send such a frame."""
    tail = own.tail
    if tail - own.head > own.mask:
        own.dropped += 1
        return
    reply = own.replies[tail & own.mask]
    reply.shape, reply.flow = shape, flow
    reply.seq, reply.ack, reply.echo = seq, ack, echo
    own.tail = tail + 1
