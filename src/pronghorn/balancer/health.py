"""What health asks of a worker's balancer (control/health/); the control plane's hand, between two turns."""

from __future__ import annotations

import ctypes

from pronghorn.balancer.configure import ConfigureError, refresh, server_at, service_at
from pronghorn.balancer.local_addresses import start_sweep
from pronghorn.balancer.services import search_free_server
from pronghorn.balancer.tables import SERVER_REMOVED, Balancer, Server
from pronghorn.balancer.tunnels import Tunnel


def change_reject(balancer: Balancer, service: int, reject: bool) -> None:
    """Whether connections that no server takes are refused, or dropped."""
    service_at(balancer, service).reject = int(reject)


def reset_server(balancer: Balancer, number: int) -> None:
    """End the server's connections. It goes on under another number, with what was counted so far."""
    server = server_at(balancer, number)
    other = search_free_server(balancer)
    if other < 0:
        raise ConfigureError(f"there are {balancer.server_limit} servers already")
    fresh = balancer.servers[other]
    ctypes.memmove(fresh.address, server.address, Server.SIZE)
    tunnels = balancer.tunnels
    ctypes.memmove(tunnels[other].address, tunnels[number].address, Tunnel.SIZE)
    fresh.conns = fresh.active = fresh.generation = 0
    service = balancer.services[server.service]
    place = [service.members[one] for one in range(service.member_count)].index(number)
    service.members[place] = other
    server.state, server.watched = SERVER_REMOVED, 1
    balancer.next_server = min(balancer.next_server, number)
    refresh(balancer, server.service)
    start_sweep(balancer)
