"""A port that leads back here: a user-veth (veth.py) whose two ends are one, of an engine with one worker.

What is sent by it arrives by it in the next turn, as it is: unsummed and unsegmented. Nobody sleeps on it.
"""

from __future__ import annotations

from pronghorn.compiled import array_at, hot, i32, leaf
from pronghorn.memory.ring import RING_HEADER, Ring, RingEnd, ring_open
from pronghorn.ports.veth import VethQueue
from pronghorn.ports.veth_rings import CONSENT, RING, Inlet, Outlet


@leaf
def here_octets() -> int:
    """Octets of memory for one."""
    return VethQueue.SIZE + Inlet.SIZE + Outlet.SIZE + 2 * RingEnd.SIZE + 64 + RING_HEADER + 8 * RING


@hot
def here_lay(start: int) -> VethQueue:
    """Lay one out in `here_octets` zeroed octets at `start`, a multiple of 64."""
    end, inlet = VethQueue(start), Inlet(start + VethQueue.SIZE)
    outlet = Outlet(inlet.address + Inlet.SIZE)
    sender, receiver = RingEnd(outlet.address + Outlet.SIZE), RingEnd(outlet.address + Outlet.SIZE + RingEnd.SIZE)
    descriptors = array_at(i32, receiver.address + RingEnd.SIZE)
    ring = Ring(descriptors.address + 64)
    ring_open(sender, ring, RING)
    ring_open(receiver, ring, RING)
    descriptors[0] = -1
    inlet.rings, inlet.count, inlet.fd = array_at(RingEnd, receiver.address), 1, -1
    outlet.rings, outlet.count, outlet.consent = array_at(RingEnd, sender.address), 1, CONSENT
    outlet.fds = descriptors
    end.inlet, end.outlet = inlet.address, outlet.address
    return end
