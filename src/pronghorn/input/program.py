"""Frames from attached programs (docs/adr/0013-accelerated-programs.md).

What an Ethernet header says on a program's link means nothing, its EtherType excepted: it is written anew, so that a
frame that another worker handles is read there like any other. IP and what it carries is checked as everybody's is; the
program's rights are asked for in input/transport.py, where packets are whole.
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.input.ipv4 import ipv4_input
from pronghorn.input.ipv6 import ipv6_input
from pronghorn.net.state import FAR_MAC
from pronghorn.programs.input import count_drop
from pronghorn.state.packet import CHECKSUM_PARTIAL, FROM_PROGRAM, UNSEGMENTED, Packet
from pronghorn.state.packets import finish
from pronghorn.state.port import Port
from pronghorn.state.verdicts import DISPATCHED, UNKNOWN_ETHERTYPE
from pronghorn.state.worker import Worker
from pronghorn.wire import ethernet
from pronghorn.wire.ethernet import Ethernet
from pronghorn.wire.numbers import ETHERTYPE_IPV4, ETHERTYPE_IPV6
from pronghorn.wire.reasons import GOOD


@hot
def programs_input(worker: Worker, port: Port, count: int) -> None:
    """Every packet of worker.burst, all of them from the program behind `port`, to its verdict."""
    for place in range(count):
        packet = Packet(worker.burst[place])
        packet.flags = packet.flags & (CHECKSUM_PARTIAL | UNSEGMENTED) | FROM_PROGRAM
        verdict = program_frame(worker, port, packet)
        if verdict < DISPATCHED:
            count_drop(worker, port, verdict)
        finish(worker, packet, verdict)


@hot
def program_frame(worker: Worker, port: Port, packet: Packet) -> int:
    """A frame from a program: reads data, length and flags. Returns the verdict."""
    address, octets = packet.data, packet.length
    reason = ethernet.check(address, octets)
    if reason == GOOD and packet.flags & UNSEGMENTED == 0:
        reason = ethernet.check_size(octets, port.mtu)
    if reason != GOOD:
        return reason
    ethertype = Ethernet(address).ethertype
    ethernet.emit(address, FAR_MAC, FAR_MAC, ethertype)
    packet.network = address + ethernet.HEADER
    if ethertype == ETHERTYPE_IPV4:
        return ipv4_input(worker, packet)
    if ethertype == ETHERTYPE_IPV6:
        return ipv6_input(worker, packet)
    return UNKNOWN_ETHERTYPE
