"""What workers learn of each other's connections. The control plane's, a few times a second, while they run.

Every worker has tables of its own, so a server's connections are spread over them. `publish_totals` adds up what all
workers have and tells each what the others have (Server.others_conns, others_active); to that a worker adds its own
exact number. And it hands out the quotas of servers with an upper limit: those of all workers never add up to more
than the limit. A worker's quota sinks to what it has and its share of what is free; what that gives back is handed out
the next time, when every worker has seen it. What one worker's quota leaves unused reaches another within two rounds.

With one worker there is nothing to tell.
"""

from __future__ import annotations

from pronghorn.balancer.tables import SERVER_DRAIN, SERVER_UP, Balancer, Server, Service
from pronghorn.balancer.thresholds import is_relieved
from pronghorn.compiled import Array, entry, hot, u64


@entry
def publish_totals(balancers: Array[u64], workers: int, turn: int) -> None:
    """Add up over `workers` balancers, which have the same services and servers, in the same order; what has just
    changed on some of them is left out. `turn` grows by 1 each time: who gets what cannot be divided goes round."""
    first = Balancer(balancers[0])
    for number in range(first.service_limit):
        service = first.services[number]
        if service.ports != 0:
            for place in range(service.member_count):
                if is_everywhere(balancers, workers, service, place):
                    add_up(balancers, workers, number, place, turn)


@hot
def server_of_worker(balancers: Array[u64], worker: int, number: int, place: int) -> Server:
    """A worker's record of the member at that place of that service."""
    balancer = Balancer(balancers[worker])
    return balancer.servers[balancer.services[number].members[place]]


@hot
def is_everywhere(balancers: Array[u64], workers: int, service: Service, place: int) -> bool:
    """Whether all workers have the same server there."""
    wanted = server_of_worker(balancers, 0, service.index, place)
    for worker in range(workers):
        other = Balancer(balancers[worker]).services[service.index]
        if other.ports != service.ports or other.lo != service.lo or other.hi != service.hi:
            return False
        if place >= other.member_count:
            return False
        server = server_of_worker(balancers, worker, service.index, place)
        if server.identity != wanted.identity or (server.state != SERVER_UP and server.state != SERVER_DRAIN):
            return False
    return True


@hot
def add_up(balancers: Array[u64], workers: int, number: int, place: int, turn: int) -> None:
    """One server's totals, and its quotas."""
    conns, active, marks, promised = 0, 0, 0, 0
    for worker in range(workers):
        server = server_of_worker(balancers, worker, number, place)
        mine = server.conns
        conns, active, marks = conns + mine, active + server.active, marks + server.overloaded
        promised += max(mine, server.quota)
    for worker in range(workers):
        server = server_of_worker(balancers, worker, number, place)
        server.others_conns = max(conns - server.conns, 0)
        server.others_active = max(active - server.active, 0)
        if server.upper != 0:
            others = marks - server.overloaded
            server.others_overloaded = 1 if others > 0 and not is_relieved(server, conns) else 0
            share = share_of(max(server.upper - conns, 0), workers, worker + (turn >> 1))
            spare = max(server.upper - promised, 0)
            promised += change_quota(server, server.conns + share, spare)


@hot
def share_of(free: int, workers: int, worker: int) -> int:
    """What a worker may open of so many; what cannot be divided is for those who are first, by the turn."""
    return free // workers + (1 if worker % workers < free % workers else 0)


@hot
def change_quota(server: Server, wanted: int, spare: int) -> int:
    """Let the server's quota become that, or as much more as is to spare. Returns how much it has grown."""
    quota = server.quota
    if wanted <= quota:
        server.quota = max(wanted, server.conns)
        return 0
    grown = min(wanted - quota, spare)
    server.quota = quota + grown
    return grown
