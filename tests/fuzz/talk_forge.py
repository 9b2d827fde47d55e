"""Forged frames for a fuzzed conversation: segments that know a connection's numbers or guess near them, SYNs, and
ICMP errors about a connection. A forged frame is put together in the chunk of a `scratch` packet.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, sequence, store8, store_be16, store_be32
from pronghorn.state.packet import Packet
from pronghorn.tcp.tcb import CLOSED, FREE, LISTEN, SYN_SENT, TIME_WAIT, Tcb, Tcp, tcp_of
from pronghorn.wire import ethernet, ipv4, ipv6, tcp
from pronghorn.wire.ipv4 import DO_NOT_FRAGMENT
from pronghorn.wire.numbers import ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP
from pronghorn.wire.tcp import (
    ACK,
    FIN,
    HAS_MSS,
    HAS_SACK,
    HAS_SACK_PERMITTED,
    HAS_TIMESTAMPS,
    HAS_WINDOW_SCALE,
    RST,
    SYN,
    TCPOptions,
)
from tests.fuzz.mutate import mend_checksums
from tests.fuzz.talk_state import HOSTILE, Talk, below, one_in, worker_of
from tests.fuzz.talk_wire import launch

MASK = 0xFFFF_FFFF
ETHERNET = 14


@hot
def forge(talk: Talk, side: int, scratch: Packet) -> None:
    """A frame of nobody arrives at `side`."""
    tcp_state = tcp_of(worker_of(talk, side))
    tcb = Tcb(0)
    for _ in range(8):
        if tcp_state.fresh != 0:
            tcb = tcp_state.tcbs[below(talk, tcp_state.fresh)]
            if tcb.state != FREE and tcb.state != CLOSED and tcb.state != LISTEN:
                break
            tcb = Tcb(0)
    if tcb.address == 0:
        return
    kind = below(talk, 10)
    if kind == 0:
        _forge_message(talk, side, scratch, tcb)
    elif kind == 1 and talk.quality == HOSTILE:
        _forge_syn(talk, side, scratch, tcb)
    else:
        _forge_segment(talk, side, scratch, tcb, tcp_state)


@leaf
def _near(talk: Talk, one: int, other: int) -> int:
    """A position that means something to the connection, or lies near one, or far away."""
    kind = below(talk, 8)
    if kind < 4:
        return one
    if kind == 4:
        return other
    if kind == 5:
        return one + below(talk, 5) - 2 & MASK
    if kind == 6:
        return one + below(talk, 200_000) - 100_000 & MASK
    return one ^ 1 << below(talk, 32)


@hot
def _forge_segment(talk: Talk, side: int, scratch: Packet, tcb: Tcb, tcp_state: Tcp) -> None:
    """A segment that could be the peer's."""
    flags = ACK
    kind = below(talk, 16)
    if kind == 0:
        flags = RST if one_in(talk, 2) else RST | ACK
    elif kind == 1 and (talk.quality == HOSTILE or (tcb.state != SYN_SENT and tcb.state != TIME_WAIT)):
        flags = SYN if one_in(talk, 2) else SYN | ACK
    elif kind == 2:
        flags = FIN | ACK
    elif kind == 3 and talk.quality == HOSTILE:
        flags = below(talk, 256)
    flags |= below(talk, 8) << 5 if one_in(talk, 4) else 0
    if talk.quality != HOSTILE and tcb.state == SYN_SENT:
        flags &= ~SYN
    seq = _near(talk, tcb.rcv_nxt, tcb.rcv_right)
    ack = _near(talk, tcb.snd_nxt if one_in(talk, 2) else tcb.snd_una, tcb.snd_end)
    options = talk.options
    _options(talk, tcb, options, flags)
    at = _network(talk, side, scratch, tcb)
    header = 20 + tcp.emit_options(at + 20, options)
    if one_in(talk, 16) and header > 20:
        store8(at + 20 + below(talk, header - 20), below(talk, 256))
    window = below(talk, 65536) if one_in(talk, 4) else tcb.snd_window >> tcb.snd_scale & 0xFFFF
    if one_in(talk, 16):
        window = below(talk, 4)
    tcp.emit(at, tcb.remote_port, tcb.local_port, seq, ack, flags, window, header)
    store_be16(at + 18, below(talk, 65536) if one_in(talk, 8) else 0)
    payload = 0
    if talk.quality == HOSTILE and one_in(talk, 2):
        payload = below(talk, 1400) if one_in(talk, 2) else 1 + below(talk, 3)
        for place in range(min(payload, 16)):
            store8(at + header + place, below(talk, 256))
    _send(talk, side, scratch, tcb, header + payload, PROTOCOL_TCP)


@hot
def _options(talk: Talk, tcb: Tcb, options: TCPOptions, flags: int) -> None:
    options.present, options.sack_blocks = 0, 0
    if flags & SYN != 0:
        options.present = below(talk, 16)
        options.mss = below(talk, 65536) if one_in(talk, 2) else below(talk, 100)
        options.window_scale = below(talk, 256)
        options.present &= HAS_MSS | HAS_WINDOW_SCALE | HAS_SACK_PERMITTED | HAS_TIMESTAMPS
    elif not one_in(talk, 6):
        options.present = HAS_TIMESTAMPS
    options.timestamp = tcb.ts_recent
    if one_in(talk, 3):
        options.timestamp = tcb.ts_recent + below(talk, 2000) - 1000 & MASK
    if one_in(talk, 16):
        options.timestamp = tcb.ts_recent ^ 1 << below(talk, 32)
    options.echo = talk.now // 1_000_000 + tcb.ts_offset - below(talk, 500) & MASK
    if one_in(talk, 16):
        options.echo = below(talk, 1 << 31)
    if flags & SYN == 0 and one_in(talk, 2):
        options.present |= HAS_SACK
        options.sack_blocks = 1 + below(talk, 3)
        span = max(sequence.difference(tcb.snd_nxt, tcb.snd_una), 1)
        for place in range(2 * options.sack_blocks):
            edge = tcb.snd_una + below(talk, span + 2)
            if one_in(talk, 4):
                edge = tcb.snd_una + below(talk, 1 + span // tcb.mss) * tcb.mss
            if one_in(talk, 16):
                edge = _near(talk, tcb.snd_nxt, tcb.snd_una)
            options.sack[place] = edge & MASK


@hot
def _forge_syn(talk: Talk, side: int, scratch: Packet, tcb: Tcb) -> None:
    """A SYN, or the acknowledgement of a cookie, for a listener, from any port."""
    at = _network(talk, side, scratch, tcb)
    options = talk.options
    flags = SYN if one_in(talk, 2) else ACK
    _options(talk, tcb, options, flags)
    header = 20 + tcp.emit_options(at + 20, options)
    tcp.emit(
        at, 1 + below(talk, 65535), 80, below(talk, 1 << 31), below(talk, 1 << 31), flags, below(talk, 65536), header
    )
    _send(talk, side, scratch, tcb, header, PROTOCOL_TCP)


@hot
def _forge_message(talk: Talk, side: int, scratch: Packet, tcb: Tcb) -> None:
    """An ICMP error that quotes a segment of the connection's, or nearly."""
    at = _network(talk, side, scratch, tcb)
    four = tcb.family == 4
    store_be32(at + 4, 0)
    mtu = below(talk, 65536) if one_in(talk, 2) else below(talk, 1600)
    if four:
        store8(at, 3 if not one_in(talk, 4) else (11 if one_in(talk, 2) else 12))
        store8(at + 1, 4 if one_in(talk, 2) else below(talk, 16))
        store_be16(at + 6, mtu)
    else:
        store8(at, 2 if one_in(talk, 2) else 1 + below(talk, 4))
        store8(at + 1, below(talk, 8) if one_in(talk, 2) else 0)
        store_be32(at + 4, mtu)
    quoted = at + 8
    length = 1500 if one_in(talk, 2) else 100 + below(talk, 1400)
    if four:
        ipv4.emit(quoted, 0, length, 1, DO_NOT_FRAGMENT, 60, PROTOCOL_TCP, tcb.local_lo & MASK, tcb.remote_lo & MASK)
        quoted += 20
    else:
        ipv6.emit(
            quoted, 0, length - 40, PROTOCOL_TCP, 60, tcb.local_hi, tcb.local_lo, tcb.remote_hi, tcb.remote_lo
        )  # fmt: skip
        quoted += 40
    store_be16(quoted, tcb.local_port)
    store_be16(quoted + 2, tcb.remote_port)
    store_be32(quoted + 4, _near(talk, tcb.snd_una, tcb.snd_nxt))
    octets = quoted + 8 + (12 if one_in(talk, 2) else 0) - at
    _send(talk, side, scratch, tcb, octets, PROTOCOL_ICMP if four else PROTOCOL_ICMPV6)


@leaf
def _network(talk: Talk, side: int, scratch: Packet, tcb: Tcb) -> int:
    """Zero the frame, and write its Ethernet header; where layer 4 begins."""
    data = scratch.chunk
    for place in range(32):
        store_be32(data + 4 * place, 0)
    mac, other = worker_of(talk, side).ports[0].mac, worker_of(talk, side ^ 1).ports[0].mac
    ethernet.emit(data, mac, other, ETHERTYPE_IPV4 if tcb.family == 4 else ETHERTYPE_IPV6)
    return data + ETHERNET + (20 if tcb.family == 4 else 40)


@hot
def _send(talk: Talk, side: int, scratch: Packet, tcb: Tcb, octets: int, protocol: int) -> None:
    """From the connection's peer: the IP header, right checksums, and off."""
    packet = scratch
    packet.data = scratch.chunk
    network = packet.data + ETHERNET
    if tcb.family == 4:
        ipv4.emit(network, 0, 20 + octets, 7, DO_NOT_FRAGMENT, 64, protocol, tcb.remote_lo & MASK, tcb.local_lo & MASK)
        packet.length = ETHERNET + 20 + octets
    else:
        ipv6.emit(network, 0, octets, protocol, 64, tcb.remote_hi, tcb.remote_lo, tcb.local_hi, tcb.local_lo)
        packet.length = ETHERNET + 40 + octets
    mend_checksums(packet)
    launch(talk, side, packet.data, packet.length, 0, 0)
