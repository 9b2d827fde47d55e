"""Telling the other workers what neighbours say.

Every worker keeps neighbours of its own, but an answer arrives at one of them, and not always at the one that asked.
So answers that were understood here, asked for or not, are copied to the others, which learn from them as if they had
received them.
"""

from __future__ import annotations

from pronghorn.compiled import leaf
from pronghorn.state.dispatch import tell_others
from pronghorn.state.packet import REDIRECTED, Packet
from pronghorn.state.verdicts import ARP_UNSOLICITED, CONSUMED, ND_UNSOLICITED
from pronghorn.state.worker import Worker
from pronghorn.wire.icmpv6 import NEIGHBOUR_ADVERTISEMENT, ICMPv6


@leaf
def share(worker: Worker, packet: Packet, verdict: int) -> int:
    """An ARP or ICMPv6 message that ended with `verdict` here. Returns the verdict."""
    if worker.workers == 1 or packet.flags & REDIRECTED != 0:
        return verdict
    if verdict != CONSUMED and verdict != ARP_UNSOLICITED and verdict != ND_UNSOLICITED:
        return verdict
    if packet.transport == 0 or ICMPv6(packet.transport).type == NEIGHBOUR_ADVERTISEMENT:
        tell_others(worker, packet)
    return verdict
