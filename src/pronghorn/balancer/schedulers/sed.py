"""Shortest expected delay: the least (open connections + 1) / weight (IPVS's `sed`)."""

from __future__ import annotations

from pronghorn.balancer.schedulers.least import least_loaded
from pronghorn.balancer.tables import Balancer, Service
from pronghorn.compiled import hot


@hot
def choose_sed(balancer: Balancer, service: Service) -> int:
    """The server, or NOBODY."""
    return least_loaded(balancer, service, True)
