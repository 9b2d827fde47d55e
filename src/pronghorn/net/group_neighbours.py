"""Groups and the broadcast address as neighbours: their Ethernet addresses follow from the IP address (RFC 1112 6.4,
RFC 2464 7), nobody is asked.

A record is REACHABLE for a time, so that sending to it is sending to any neighbour, and then STALE, so that it gives
way to others. It must not be sent to in that state, which would ask for it: whoever sends to a group calls
`group_neighbour` each time.
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.net.neighbours import REACHABLE_TIME, enter, neighbour_add, neighbour_find, set_address
from pronghorn.net.state import REACHABLE, net_of
from pronghorn.state.worker import Worker
from pronghorn.wire import ethernet, ipv4, ipv6


@hot
def group_neighbour(worker: Worker, interface: int, hi: int, lo: int) -> int:
    """Index of the neighbour that stands for the group, or for 255.255.255.255, on the interface; -1: no room."""
    net = net_of(worker)
    index = neighbour_find(net, interface, hi, lo)
    if index < 0:
        index = neighbour_add(net, interface, hi, lo)
        if index < 0:
            return -1
        if hi != 0:
            mac = ipv6.group_mac(lo)
        elif ipv4.is_multicast(lo & 0xFFFF_FFFF):
            mac = ipv4.group_mac(lo & 0xFFFF_FFFF)
        else:
            mac = ethernet.BROADCAST
        set_address(net, net.neighbours[index], mac)
    enter(net, index, REACHABLE, worker.now + REACHABLE_TIME)
    return index
