"""Limits on a server's connections, with IPVS's hysteresis (`ipvsadm -x upper -y lower`).

A server that has `upper` connections is overloaded and gets no new ones until it has fewer than `lower`; where that
is 0, until it has fewer than three quarters of `upper`. Connections of all workers count: a worker adds its own exact
number to what the control plane last told of the others (totals.py), and keeps to its `quota` as well. The quotas of
all workers never add up to more than `upper`, so the limit holds in total however late the news are.

A server's connections grow only when one is opened, so its mark is put on there, and taken off when a scheduler
next looks at it: the same servers are passed over as if it were taken off at once.
"""

from __future__ import annotations

from pronghorn.balancer.tables import Server
from pronghorn.compiled import hot, leaf


@leaf
def note_opened(server: Server) -> None:
    """The server has just got a connection, which `conns` counts already."""
    if server.upper != 0 and server.conns + server.others_conns >= server.upper:
        server.overloaded = 1


@leaf
def is_full(server: Server) -> bool:
    """Whether its limits keep new connections from the server."""
    return server.upper != 0 and is_over(server)


@hot
def is_over(server: Server) -> bool:
    """The same of a server with an upper limit. Puts its mark right."""
    total = server.conns + server.others_conns
    if server.overloaded != 0:
        if not is_relieved(server, total):
            return True
        server.overloaded = 0
    elif total >= server.upper:
        server.overloaded = 1
        return True
    return server.others_overloaded != 0 or server.conns >= server.quota


@leaf
def is_relieved(server: Server, total: int) -> bool:
    """Whether so many connections are few enough for an overloaded server to get new ones."""
    return total < server.lower if server.lower != 0 else total * 4 < server.upper * 3
