"""What TCP and UDP have in common, made for a worker: its root, its sockets, and the memory that their buffers share.

    create_transports(arena, worker, Limits(sockets=1000))       # worker.transports; called for every worker, 0 first
    transports_lay(layout, worker, sockets, buffers, ...)            # the same in compiled code

`transports_timers` is what happens by time, once per turn.
"""

from __future__ import annotations

from dataclasses import dataclass

from pronghorn.compiled import array_at, fill, hot, leaf
from pronghorn.compiled.hashing import mix
from pronghorn.memory.arena import Arena
from pronghorn.memory.buddy import buddy_lay, create_buddy
from pronghorn.memory.layout import Layout, lay
from pronghorn.state.endpoints import ANY_NUMBER, Endpoints, Socket
from pronghorn.state.error_queue import Errors, errors_open
from pronghorn.state.interests import EpollSet, Interest, Interests, interests_lay, interests_open
from pronghorn.state.loans import PAIRS, Loan, Loans, loans_lay, loans_open
from pronghorn.state.owners import Owners, owners_open
from pronghorn.state.worker import Worker
from pronghorn.tcp.create import LISTENERS, create_tcp, tcp_lay
from pronghorn.tcp.output import tcp_flush
from pronghorn.tcp.tcb import tcp_of
from pronghorn.tcp.timers import tcp_next, tcp_timers
from pronghorn.udp.blocked import udp_timers
from pronghorn.udp.create import create_udp, udp_lay

INTERESTS = 4
"""Interests for each socket, so that each may be in so many sets."""
EPOLL_SETS = 1 << 16


@dataclass(frozen=True)
class Limits:
    """Sizes of one worker's tables. Memory comes as it is used."""

    sockets: int = 65_536
    datagrams: int = 4096  # sockets of UDP and ICMP echo
    conns: int = 1 << 20  # TCP connections
    buffers: int = 1 << 30  # octets that wait to be sent, acknowledged or read, all together


@hot
def endpoints_begin(endpoints: Endpoints, sockets: int, limit: int, buddy: int) -> None:
    """Fill in a root whose socket table lies at `sockets`."""
    fill(endpoints.address, 0, Endpoints.SIZE)
    endpoints.sockets, endpoints.socket_limit, endpoints.buddy = array_at(Socket, sockets), limit, buddy
    endpoints.socket_free = ANY_NUMBER


def create_transports(arena: Arena, worker: Worker, limits: Limits | None = None) -> Endpoints:
    """Empty tables for the worker, set as worker.transports. What an earlier process left in the arena is forgotten."""
    limits = limits or Limits()
    name, owner = f"transports{worker.index}", worker.index
    endpoints: Endpoints = arena.table(f"{name}.root", Endpoints, 1, owner)[0]
    sockets = arena.table(f"{name}.sockets", Socket, limits.sockets, owner)
    buddy = create_buddy(arena, f"{name}.buffers", limits.buffers, owner)
    endpoints_begin(endpoints, sockets.address, limits.sockets, buddy.address)
    errors: Errors = arena.table(f"{name}.errors", Errors, 1, owner)[0]
    errors_open(errors)
    endpoints.errors = errors.address
    _create_waiting(arena, endpoints, name, limits.sockets, owner)
    endpoints.udp = create_udp(arena, worker, limits.datagrams).address
    endpoints.tcp = create_tcp(arena, worker, limits.conns, limits.buffers).address
    if worker.workers > 1:
        endpoints.owners = _create_owners(arena, worker).address
    worker.transports = endpoints.address
    return endpoints


def _create_waiting(arena: Arena, endpoints: Endpoints, name: str, sockets: int, owner: int) -> None:
    """Sets, interests and loans."""
    interests: Interests = arena.table(f"{name}.interests", Interests, 1, owner)[0]
    many, sets = INTERESTS * sockets + 1, min(EPOLL_SETS, sockets) + 1
    table = arena.table(f"{name}.interests.all", Interest, many, owner)
    epolls = arena.table(f"{name}.epolls", EpollSet, sets, owner)
    interests_open(interests, table.address, many, epolls.address, sets)
    loans: Loans = arena.table(f"{name}.loans", Loans, 1, owner)[0]
    pairs = min(sockets, PAIRS)
    loans_open(loans, arena.table(f"{name}.loans.all", Loan, 2 * (pairs + 1), owner).address, pairs)
    endpoints.interests, endpoints.loans = interests.address, loans.address


def _create_owners(arena: Arena, worker: Worker) -> Owners:
    """The table that all workers share; the first one's tables come first."""
    before = arena.find("owners", Owners)
    if worker.index != 0:
        if before is None:
            raise ValueError("the tables of worker 0 come first: the others share one of them")
        return Owners(before.address)
    owners: Owners = arena.table("owners", Owners, 1)[0]
    if before is not None:
        owners_open(owners)  # a new one is zero without being touched
    return owners


@hot
def transports_lay(
    layout: Layout, worker: Worker, sockets: int, buffers: int, datagrams: int, users: int, conns: int, secret: int
) -> int:
    """The address of a new root with room for so many; 0: no room. `users` is as for `udp_lay`."""
    root = lay(layout, Endpoints.SIZE, Endpoints.ALIGN)
    table = lay(layout, sockets * Socket.SIZE, 64)
    buddy = buddy_lay(layout, buffers)
    udp = udp_lay(layout, datagrams, users, secret)
    own, other = mix(secret, 5, secret), mix(secret, 6, secret)
    tcp = tcp_lay(layout, worker, conns, min(LISTENERS, sockets), buffers, own, other)
    errors = lay(layout, Errors.SIZE, Errors.ALIGN)
    interests = interests_lay(layout, INTERESTS * sockets, min(EPOLL_SETS, sockets))
    loans = loans_lay(layout, min(sockets, PAIRS))
    if layout.full != 0:
        return 0
    endpoints_begin(Endpoints(root), table, sockets, buddy)
    Endpoints(root).udp, Endpoints(root).tcp, Endpoints(root).errors = udp, tcp, errors
    errors_open(Errors(errors))
    Endpoints(root).interests, Endpoints(root).loans = interests, loans
    worker.transports = root
    return root


@leaf
def transports_timers(worker: Worker) -> int:
    """Once per turn: do what is due. Returns 1 when there is more to do at once."""
    udp_timers(worker)
    tcp = tcp_of(worker)
    more = tcp_timers(worker, tcp)
    return 1 if tcp.pending_count > tcp.held.count else more


@leaf
def transports_output(worker: Worker) -> int:
    """What connections want to say since the last turn, and what the application has not said for them in between.

    An acknowledgement that is due rides on an answer, if the application has one ready. Returns how many were served.
    """
    return tcp_flush(worker, tcp_of(worker))


@leaf
def transports_next(worker: Worker) -> int:
    """When (ns) there is something to do, for a worker that wants to sleep."""
    return tcp_next(worker, tcp_of(worker))
