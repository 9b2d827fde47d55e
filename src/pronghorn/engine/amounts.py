"""How much waits: what FIONREAD, SIOCOUTQ and SIOCOUTQNSD are on Linux, and what a program that ends waits for."""

from __future__ import annotations

import errno

from pronghorn.compiled import entry, hot
from pronghorn.engine.wishes import is_stream
from pronghorn.state.endpoints import LISTENER, endpoints_of, socket_number
from pronghorn.state.worker import Worker
from pronghorn.tcp.output import limit_of, not_sent
from pronghorn.tcp.tcb import CLOSED, FREE, LISTEN, SYN_SENT, tcp_of
from pronghorn.tcp.transfer import readable, record_of
from pronghorn.udp.endpoint import endpoint_of, udp_of
from pronghorn.udp.queue import queue_peek

MASK = 0xFFFF_FFFF
EINVAL = errno.EINVAL


@hot
def _not_listening(worker: Worker, handle: int) -> int:
    """The socket's number; -EINVAL of a listener, -EBADF."""
    endpoints = endpoints_of(worker)
    number = socket_number(endpoints, handle)
    return -EINVAL if number >= 0 and endpoints.sockets[number].kind == LISTENER else number


@entry
def unread(worker: Worker, handle: int) -> int:
    """Octets of a stream that can be read, or of the first datagram (FIONREAD); -EINVAL of a listener, -EBADF."""
    number = _not_listening(worker, handle)
    if number < 0:
        return number
    if is_stream(worker, number):
        tcb = record_of(worker, number)
        return readable(tcb) if tcb.address != 0 else 0
    endpoint = endpoint_of(worker, number)
    if endpoint.waiting == 0:
        return 0
    first = udp_of(worker).arrival  # not Udp.taken: that stays with what was received
    queue_peek(endpoints_of(worker), endpoint, first)
    return first.length


@entry
def unsent(worker: Worker, handle: int) -> int:
    """Octets of a stream that are not acknowledged (SIOCOUTQ); 0 of a datagram socket; -EINVAL of a listener."""
    number = _not_listening(worker, handle)
    if number < 0 or not is_stream(worker, number):
        return min(number, 0)
    tcb = record_of(worker, number)
    return tcb.snd_end - tcb.snd_una & MASK if tcb.address != 0 and tcb.state != CLOSED else 0


@entry
def waiting_to_be_sent(worker: Worker, handle: int) -> int:
    """Octets of a stream that were not sent even once (SIOCOUTQNSD); 0 of a datagram socket; -EINVAL of a listener."""
    number = _not_listening(worker, handle)
    if number < 0 or not is_stream(worker, number):
        return min(number, 0)
    tcb = record_of(worker, number)
    opened = tcb.address != 0 and tcb.state != CLOSED and tcb.state != SYN_SENT
    return not_sent(tcb) if opened else 0


@entry
def unfinished(worker: Worker) -> int:
    """Connections with octets, or an end, that the other side has not acknowledged: for a program that is about to end.
    Those that are not open yet do not count."""
    tcp, count = tcp_of(worker), 0
    for number in range(tcp.fresh):
        tcb = tcp.tcbs[number]
        state = tcb.state
        if state != FREE and state != LISTEN and state != SYN_SENT and state != CLOSED:
            count += 1 if limit_of(tcb) != tcb.snd_una else 0
    return count
