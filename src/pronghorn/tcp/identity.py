"""Whose segment it is: the addresses and ports of a packet, as a Tcb holds them."""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.net.state import MAPPED
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker
from pronghorn.tcp.tcb import Tcb
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.tcp import TCP


@hot
def identify(worker: Worker, tcb: Tcb, packet: Packet) -> None:
    """Set the four-tuple and family from a packet that came for us."""
    segment = TCP(packet.transport)
    tcb.family = packet.family
    tcb.remote_port, tcb.local_port = segment.sport, segment.dport
    if packet.family == 4:
        ip4 = IPv4(packet.network)
        tcb.remote_hi, tcb.remote_lo = 0, MAPPED | ip4.src
        tcb.local_hi, tcb.local_lo = 0, MAPPED | ip4.dst
    else:
        ip6 = IPv6(packet.network)
        tcb.remote_hi, tcb.remote_lo = ip6.src_hi, ip6.src_lo
        tcb.local_hi, tcb.local_lo = ip6.dst_hi, ip6.dst_lo
