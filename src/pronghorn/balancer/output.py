"""The way out: a flow's next hop is looked up once, and again when the network has changed."""

from __future__ import annotations

from pronghorn.balancer.tables import Flow
from pronghorn.compiled import hot, leaf, load_be32, load_be64
from pronghorn.net.resolve import resolve4, resolve6
from pronghorn.net.state import net_of
from pronghorn.state.worker import Worker

_DST4 = Flow.offset("new_addresses") + 4
_DST6_HI, _DST6_LO = Flow.offset("new_dst_hi"), Flow.offset("new_dst_lo")


@leaf
def next_hop(worker: Worker, flow: Flow) -> int:
    """Index of the neighbour that the flow's packets go to, or what net/resolve.py says instead (below 0)."""
    if flow.generation == net_of(worker).generation & 0xFFFFFFFF:
        return flow.neighbour
    return find_hop(worker, flow)


@hot
def find_hop(worker: Worker, flow: Flow) -> int:
    """The same by look-up; remembered in the flow when there is one."""
    if flow.ports >> 40 == 4:
        found = resolve4(worker, load_be32(flow.address + _DST4))
    else:
        found = resolve6(worker, load_be64(flow.address + _DST6_HI), load_be64(flow.address + _DST6_LO))
    if found >= 0:
        flow.neighbour, flow.generation = found, net_of(worker).generation
    return found
