"""A null port with TCP servers behind it, the data plane: every frame sent to it comes back as a server's answer.

The servers keep no state, and answer for every address and port. The packet itself waits to be received, turned round:

    SYN                -> SYN-ACK, its options those of the SYN
    ACK with a request -> a response as long, with FIN
    FIN                -> ACK
    anything else      -> nothing

which are the servers that closing clients of null_client.py expect. Checksums are changed by difference. IPv4 without
options and IPv6 without extension headers; other frames are freed.

Left out: losses are not repaired; a second segment of a request would be a second request.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, fixed, hot, leaf, load_be16, u32, u64
from pronghorn.state.packet import Packet
from pronghorn.state.packets import release
from pronghorn.state.port import Port, Queue
from pronghorn.state.worker import Worker
from pronghorn.wire.checksum import apply, change16, change32
from pronghorn.wire.ethernet import HEADER as ETHERNET
from pronghorn.wire.ethernet import Ethernet, swap
from pronghorn.wire.ipv4 import HEADER as IPV4
from pronghorn.wire.ipv4 import PLAIN, IPv4
from pronghorn.wire.ipv6 import HEADER as IPV6
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTOCOL_TCP
from pronghorn.wire.tcp import ACK, FIN, RST, SYN, TCP, header_octets

WAITING = 1024
"""Answers that wait, a power of two."""

INITIAL = 0x5E52_0000
"""The servers' initial sequence number."""


class ServerQueue(View, align=64):
    """One worker's servers."""

    waiting: Array[u64] = fixed(WAITING)  # addresses of packets
    head: u64  # answers ever taken
    tail: u64  # answers ever given
    answered: u64
    ignored: u64  # frames that are nothing for a server
    dropped: u32  # answers for which there was no place
    spare: u32


@hot
def server_receive(worker: Worker, port: Port, queue: Queue, room: int) -> int:
    """The servers' answers into worker.burst; returns how many."""
    own = ServerQueue(queue.driver)
    head, octets, count = own.head, 0, 0
    end = min(own.tail, head + room)
    while head < end:
        packet = Packet(own.waiting[head & WAITING - 1])
        packet.port, packet.flags = port.index, 0
        octets += packet.length
        worker.burst[count] = packet.address
        count += 1
        head += 1
    own.head = head
    queue.rx_packets += count
    queue.rx_octets += octets
    return count


@hot
def server_transmit(worker: Worker, port: Port, queue: Queue, packets: Array[u64], count: int) -> int:
    """Turn what is for a server round, free the rest."""
    own = ServerQueue(queue.driver)
    octets = 0
    for place in range(count):
        packet = Packet(packets[place])
        octets += packet.length
        if not _is_answered(packet):
            own.ignored += 1
            release(worker, packet)
        elif own.tail - own.head == WAITING:
            own.dropped += 1
            release(worker, packet)
        else:
            own.waiting[own.tail & WAITING - 1] = packet.address
            own.tail += 1
            own.answered += 1
    queue.tx_packets += count
    queue.tx_octets += octets
    return count


@hot
def _is_answered(packet: Packet) -> bool:
    """Make the frame its answer, if it has one."""
    frame, ethertype = packet.data, load_be16(packet.data + 12)
    if ethertype == ETHERTYPE_IPV4:
        ip4 = IPv4(frame + ETHERNET)
        if ip4.version_ihl != PLAIN or ip4.protocol != PROTOCOL_TCP:
            return False
        tcp, octets = TCP(frame + ETHERNET + IPV4), ip4.length - IPV4
        if not _answer(tcp, octets - header_octets(tcp)):
            return False
        src = ip4.src
        ip4.src = ip4.dst
        ip4.dst = src
    elif ethertype == ETHERTYPE_IPV6 and IPv6(frame + ETHERNET).next_header == PROTOCOL_TCP:
        ip6 = IPv6(frame + ETHERNET)
        tcp, octets = TCP(frame + ETHERNET + IPV6), ip6.length
        if not _answer(tcp, octets - header_octets(tcp)):
            return False
        hi, lo = ip6.src_hi, ip6.src_lo
        ip6.src_hi, ip6.src_lo = ip6.dst_hi, ip6.dst_lo
        ip6.dst_hi, ip6.dst_lo = hi, lo
    else:
        return False
    swap(Ethernet(frame))
    return True


@leaf
def _answer(tcp: TCP, payload: int) -> bool:
    """Turn the segment round."""
    flags, seq, ack = tcp.flags & (SYN | ACK | FIN | RST), tcp.seq, tcp.ack
    if flags == SYN:
        answer, new_seq, new_ack = SYN | ACK, INITIAL, seq + 1
    elif flags == ACK and payload > 0:
        answer, new_seq, new_ack = ACK | FIN, ack, seq + payload
    elif flags == ACK | FIN:
        answer, new_seq, new_ack = ACK, ack, seq + payload + 1
    else:
        return False
    new_ack &= 0xFFFF_FFFF
    change = change32(seq, new_seq) + change32(ack, new_ack) + change16(tcp.flags, answer)
    tcp.flags = answer
    tcp.seq, tcp.ack = new_seq, new_ack
    tcp.checksum = apply(tcp.checksum, change)
    sport = tcp.sport
    tcp.sport = tcp.dport
    tcp.dport = sport
    return True
