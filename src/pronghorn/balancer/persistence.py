"""Persistence: a client goes to the server that it had, as with IPVS's `-p SECONDS -M MASK`.

A client is its masked address. Its first connection is scheduled and leaves a template (templates.py); later ones,
to any port of the group's services, go to the server at the template's address, whatever the scheduler says. Each
starts the timeout anew. When the server was removed, drains, is full (thresholds.py), or has weight 0 (unless the
service wants it otherwise: IPVS's expire_quiescent_template = 0), the template is dropped and the client scheduled
again. A server that was removed and comes back in time has its clients again. (In IPVS an overloaded server goes on
taking its clients: ip_vs_check_template of net/netfilter/ipvs/ip_vs_conn.c asks whether it is available and quiesced,
not whether it is overloaded. Then its upper limit is none.)

A client whose template lies with a server that this service does not have, but the service which chose it does, is
scheduled without a template: services of a group are expected to have the same servers.

Several workers: a client's connections may come to any of them, and each has templates of its own. So where there are
several a new template's server does not depend on what the worker did before: it is the client's choice by a hash that
all workers share, weighted, of which hardly any changes when servers do (highest random weight: Thaler and
Ravishankar 1998; with weights: Schindelhauer and Schomaker 2005). All workers then agree while the service's
servers and weights stay; after a change they agree on clients that are new since, and on all those whose choice it was
not. `fo` is the same on all workers and stays itself.
"""

from __future__ import annotations

from pronghorn.balancer.lookup import SRC4, SRC6_HI, SRC6_LO
from pronghorn.balancer.option_tables import HINTS, TEMPLATE_LIVE, Options, Template
from pronghorn.balancer.schedulers import choose
from pronghorn.balancer.schedulers.rendezvous import distance_of
from pronghorn.balancer.tables import FO, NOBODY, SERVER_UP, TICK, Balancer, Server, Service
from pronghorn.balancer.templates import add_template, drop_template, find_template
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import entry, hashing, hot, leaf, load32, load64
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker


@hot
def choose_persistent(worker: Worker, balancer: Balancer, service: Service, packet: Packet) -> tuple[int, int]:
    """The server for a new connection, or NOBODY, and the number of the client's template, or -1."""
    options = balancer.options[service.index]
    hi, lo = client_of(options, packet)
    number = find_template(balancer, options.group, packet.family, hi, lo)
    if number >= 0:
        template = balancer.templates[number]
        server = server_of_template(balancer, service, template)
        if is_usable(balancer, options, server):
            template.seen, template.timeout = worker.now >> TICK, options.persistence
            return server, number
        if template.service != service.index:
            home = balancer.services[template.service]
            if is_usable(balancer, options, server_of_template(balancer, home, template)):
                return choose(worker, balancer, service, packet), -1
        drop_template(balancer, number)
    if worker.workers == 1 or service.scheduler == FO:
        server = choose(worker, balancer, service, packet)
    else:
        server = choose_agreed(balancer, service, hi, lo)
    if server == NOBODY:
        return NOBODY, -1
    number = add_template(worker, balancer, options.group, packet.family, hi, lo, options.persistence)
    if number < 0:
        options.templates_full += 1
    else:
        set_server(balancer.templates[number], service, balancer.servers[server], server)
    return server, number


@hot
def client_of(options: Options, packet: Packet) -> tuple[int, int]:
    """The packet's source, masked; raw."""
    network = packet.network
    if packet.family == 4:
        return 0, load32(network + SRC4) & options.mask_lo
    return load64(network + SRC6_HI) & options.mask_hi, load64(network + SRC6_LO) & options.mask_lo


@leaf
def set_server(template: Template, service: Service, server: Server, number: int) -> None:
    """Let the client go to this server from now on."""
    template.server_hi, template.server_lo, template.server_port = server.hi, server.lo, server.port
    template.service = service.index
    template.hints[service.index % HINTS] = number


@leaf
def is_at(template: Template, service: Service, server: Server) -> bool:
    """Whether the server is the one that the template speaks of, for this service."""
    return (
        server.lo == template.server_lo
        and server.hi == template.server_hi
        and server.service == service.index
        and (server.port == template.server_port or service.index != template.service)
    )


@hot
def server_of_template(balancer: Balancer, service: Service, template: Template) -> int:
    """Index of the service's server at the template's address (and port, for the service that chose it), or NOBODY."""
    hint = template.hints[service.index % HINTS]
    if hint < balancer.server_limit:
        server = balancer.servers[hint]
        if is_at(template, service, server) and server.state == SERVER_UP:
            return hint
    for place in range(service.member_count):
        number = service.members[place]
        if is_at(template, service, balancer.servers[number]):
            template.hints[service.index % HINTS] = number
            return number
    return NOBODY


@leaf
def is_usable(balancer: Balancer, options: Options, number: int) -> bool:
    """Whether clients may go on to this server."""
    if number == NOBODY:
        return False
    server = balancer.servers[number]
    return server.state == SERVER_UP and (server.weight > 0 or options.quiesced != 0) and not is_full(server)


@entry
def count_clients(balancer: Balancer) -> None:
    """Count the clients of every server, into Balancer.server_clients; for who looks, while the worker runs."""
    if balancer.template_fresh == 0:
        return
    for number in range(balancer.server_limit):
        balancer.server_clients[number] = 0
    for number in range(balancer.template_fresh):
        template = balancer.templates[number]
        service = balancer.services[template.service]
        server = template.hints[template.service % HINTS]
        if template.state == TEMPLATE_LIVE and is_at(template, service, balancer.servers[server]):
            balancer.server_clients[server] += 1


@hot
def choose_agreed(balancer: Balancer, service: Service, hi: int, lo: int) -> int:
    """The server that all workers choose for a client, or NOBODY: the least of distances divided by weights."""
    best, best_distance, best_weight = NOBODY, 0, 0
    client = hashing.mix(hi, lo, balancer.maglev_seed)
    for place in range(service.member_count):
        weight = service.weights[place]
        number = service.members[place]
        if weight == 0 or is_full(balancer.servers[number]):
            continue
        distance = distance_of(hashing.mix(client, balancer.servers[number].identity, balancer.maglev_seed))
        if best == NOBODY or distance * best_weight < best_distance * weight:
            best, best_distance, best_weight = number, distance, weight
    return best
