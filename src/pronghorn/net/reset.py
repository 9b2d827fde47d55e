"""The answer to a TCP segment that nobody here expects: a reset (RFC 9293 section 3.10.7.1).

Never to a reset, and to nobody who may not be sent an ICMP error either: groups, broadcast, ourselves. Resets share
the rate limits of ICMP errors, so that forged segments make little noise.
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.net.addresses import input_interface
from pronghorn.net.errors4 import HOPS, deserves_error4
from pronghorn.net.errors6 import deserves_error6
from pronghorn.net.rates import take_error_about
from pronghorn.net.resolve import packet_output, resolve4, resolve_back6
from pronghorn.net.state import MAPPED
from pronghorn.state.packet import Packet
from pronghorn.state.packets import finish, originate
from pronghorn.state.worker import Worker, random_number
from pronghorn.wire import icmpv6, ipv4, ipv6, tcp
from pronghorn.wire.ipv4 import DO_NOT_FRAGMENT, IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_TCP
from pronghorn.wire.tcp import ACK, FIN, RST, SYN, TCP


@hot
def send_reset(worker: Worker, packet: Packet) -> None:
    """Answer the segment at packet.transport, for one of our addresses and good. The packet stays its holder's."""
    if TCP(packet.transport).flags & RST != 0:
        return
    if packet.family == 4:
        _reset4(worker, packet)
    else:
        _reset6(worker, packet)


@hot
def _reset4(worker: Worker, packet: Packet) -> None:
    ip = IPv4(packet.network)
    if not deserves_error4(worker, packet) or not take_error_about(worker, packet, 0, MAPPED | ip.src):
        return
    reset = _emit(worker, packet, ipv4.HEADER)
    if reset.address == 0:
        return
    octets = ipv4.HEADER + tcp.HEADER
    ident = random_number(worker) & 0xFFFF
    ipv4.emit(reset.network, 0, octets, ident, DO_NOT_FRAGMENT, HOPS, PROTOCOL_TCP, ip.dst, ip.src)
    tcp.fill_checksum4(IPv4(reset.network), TCP(reset.transport), tcp.HEADER)
    finish(worker, reset, packet_output(worker, reset, resolve4(worker, ip.src)))


@hot
def _reset6(worker: Worker, packet: Packet) -> None:
    ip = IPv6(packet.network)
    interface = input_interface(worker, packet)
    if interface < 0 or not deserves_error6(worker, packet, icmpv6.UNREACHABLE, 0):
        return
    if not take_error_about(worker, packet, ip.src_hi, ip.src_lo):
        return
    reset = _emit(worker, packet, ipv6.HEADER)
    if reset.address == 0:
        return
    ipv6.emit(
        reset.network, 0, tcp.HEADER, PROTOCOL_TCP, HOPS, ip.dst_hi, ip.dst_lo, ip.src_hi, ip.src_lo
    )  # fmt: skip
    tcp.fill_checksum6(IPv6(reset.network), TCP(reset.transport), tcp.HEADER)
    finish(worker, reset, packet_output(worker, reset, resolve_back6(worker, interface, ip.src_hi, ip.src_lo)))


@hot
def _emit(worker: Worker, packet: Packet, header: int) -> Packet:
    """A packet of our own with the reset's TCP header after `header` octets of IP; address 0 when the pool is empty."""
    reset = originate(worker)
    if reset.address == 0:
        return reset
    reset.family, reset.protocol = packet.family, PROTOCOL_TCP
    reset.network, reset.transport, reset.length = reset.data, reset.data + header, header + tcp.HEADER
    segment = TCP(packet.transport)
    flags = segment.flags
    seq, ack, answer = segment.ack, 0, RST
    if flags & ACK == 0:
        octets = packet.data + packet.length - packet.transport - tcp.header_octets(segment)
        octets += (1 if flags & SYN != 0 else 0) + (1 if flags & FIN != 0 else 0)
        seq, ack, answer = 0, (segment.seq + octets) & 0xFFFFFFFF, RST | ACK
    tcp.emit(reset.transport, segment.dport, segment.sport, seq, ack, answer, 0, tcp.HEADER)
    return reset
