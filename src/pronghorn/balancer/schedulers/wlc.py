"""Weighted least connections: the server with the least overhead for its weight (IPVS's `wlc`)."""

from __future__ import annotations

from pronghorn.balancer.schedulers.least import least_overhead
from pronghorn.balancer.tables import Balancer, Service
from pronghorn.compiled import leaf


@leaf
def choose_wlc(balancer: Balancer, service: Service) -> int:
    """The server, or NOBODY."""
    return least_overhead(balancer, service)
