"""Which server gets a new connection. One scheduler per file; this is the table that chooses among them.

A scheduler is a function that returns a server's index, or NOBODY; it never chooses a server that drains or has weight
0. What it remembers lies in Service and is put right by the control plane when servers change (configure.py).
"""

from __future__ import annotations

from pronghorn.balancer.schedulers.maglev import choose_maglev
from pronghorn.balancer.schedulers.rr import choose_rr
from pronghorn.balancer.schedulers.wrr import choose_wrr
from pronghorn.balancer.tables import MH, NOBODY, RR, WRR, Balancer, Service
from pronghorn.compiled import hot
from pronghorn.state.packet import Packet

SCHEDULERS = {"rr": RR, "wrr": WRR, "maglev": MH}
"""Names in the configuration."""


@hot
def choose(balancer: Balancer, service: Service, packet: Packet) -> int:
    """Index in Balancer.servers of the server for the packet's new connection, or NOBODY."""
    scheduler = service.scheduler
    if service.member_count == 0:
        return NOBODY
    if scheduler == WRR:
        return choose_wrr(service)
    if scheduler == MH:
        server = choose_maglev(balancer, service, packet)
        if server != NOBODY:
            return server  # else its table is still being made
    return choose_rr(service)
