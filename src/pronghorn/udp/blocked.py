"""Sockets whose last send found no room on its port: they can send again when the turn has flushed the port."""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.state.endpoints import WRITABLE, Endpoints, endpoints_of, socket_event, socket_quiet
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import NO_ENDPOINT, WANTS_SPACE, Endpoint, Udp, udp_of


@hot
def block(endpoints: Endpoints, udp: Udp, endpoint: Endpoint) -> None:
    """The socket was told EAGAIN by a send."""
    if endpoint.flags & WANTS_SPACE == 0:
        endpoint.flags |= WANTS_SPACE
        endpoint.next = udp.blocked
        udp.blocked = endpoint.index
        socket_quiet(endpoints, endpoint.socket, WRITABLE)


@hot
def unblock(udp: Udp, endpoint: Endpoint) -> None:
    """Take a socket that is being closed off the list."""
    if endpoint.flags & WANTS_SPACE == 0:
        return
    endpoint.flags &= ~WANTS_SPACE
    if udp.blocked == endpoint.index:
        udp.blocked = endpoint.next
        return
    number = udp.blocked
    while number != NO_ENDPOINT:
        other = udp.endpoints[number]
        if other.next == endpoint.index:
            other.next = endpoint.next
            return
        number = other.next


@leaf
def udp_timers(worker: Worker) -> None:
    """Once per turn: whoever waited for room hears that there is some."""
    if udp_of(worker).blocked != NO_ENDPOINT:
        _release(worker)


@hot
def _release(worker: Worker) -> None:
    endpoints, udp = endpoints_of(worker), udp_of(worker)
    while udp.blocked != NO_ENDPOINT:
        endpoint = udp.endpoints[udp.blocked]
        udp.blocked = endpoint.next
        endpoint.flags &= ~WANTS_SPACE
        socket_event(endpoints, endpoint.socket, WRITABLE)
