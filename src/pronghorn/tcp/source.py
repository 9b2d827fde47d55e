"""From which address and port an active open speaks (RFC 6056, RFC 6724).

The address is the one that the route's interface speaks with. The port is one that makes the four-tuple unique: the
search begins at a place that a keyed hash of the destination gives, so that outsiders cannot guess it, and goes on
from a counter, so that ports are used again as late as possible (RFC 6056 3.3.3, "simple hash-based"). With several
workers the port's remainder by their number is the worker's own, so that any worker knows whose the answers are.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot
from pronghorn.compiled.siphash import sip5
from pronghorn.net.addresses import owned_find, source4, source6
from pronghorn.net.resolve import UNREACHABLE, resolve4, resolve6
from pronghorn.net.state import MAPPED, net_of
from pronghorn.state.endpoints import count
from pronghorn.state.mib import LOCAL_PORTS_EXHAUSTED
from pronghorn.state.worker import Worker
from pronghorn.tcp.lookup import find_twin
from pronghorn.tcp.tcb import Tcb, Tcp, tcp_of
from pronghorn.tcp.time_wait import reuse, waiting_end

EADDRNOTAVAIL, ENETUNREACH, EHOSTUNREACH = errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EHOSTUNREACH
TRIES = 4096
"""Ports that one open tries at most."""


@hot
def choose_address(worker: Worker, tcb: Tcb) -> int:
    """Set the local address from the way to the remote one. 0, or minus an errno."""
    if tcb.family == 4:
        index = resolve4(worker, tcb.remote_lo & 0xFFFF_FFFF)
    else:
        index = resolve6(worker, tcb.remote_hi, tcb.remote_lo)
    if index < 0:
        return -ENETUNREACH if index == UNREACHABLE else -EHOSTUNREACH
    only = tcp_of(worker).tunings[tcb.tuning].wishes.interface
    if only != 0 and net_of(worker).neighbours[index].interface != only - 1:
        return -ENETUNREACH  # SO_BINDTODEVICE
    if tcb.local_hi != 0 or tcb.local_lo != 0:
        return 0
    net = net_of(worker)
    if net.here != 0 and owned_find(net, tcb.remote_hi, tcb.remote_lo) >= 0:  # as Linux: to oneself, from oneself
        tcb.local_hi, tcb.local_lo = tcb.remote_hi, tcb.remote_lo
        return 0
    interface = net.neighbours[index].interface
    if tcb.family == 4:
        address = source4(worker, interface, tcb.remote_lo & 0xFFFF_FFFF)
        if address == 0:
            return -EADDRNOTAVAIL
        tcb.local_hi, tcb.local_lo = 0, MAPPED | address
    else:
        tcb.local_hi, tcb.local_lo = source6(worker, interface, tcb.remote_hi, tcb.remote_lo)
    return 0


@hot
def choose_port(worker: Worker, tcp: Tcp, tcb: Tcb) -> int:
    """Set the local port. 0, or -EADDRNOTAVAIL when all of them are in use towards the remote address."""
    workers = worker.workers
    first = tcp.port_low + (worker.index - tcp.port_low) % workers
    places = (tcp.port_high - first) // workers + 1
    start = sip5(tcp.secret, tcp.secret2, tcb.remote_hi, tcb.remote_lo, tcb.local_hi, tcb.local_lo, tcb.remote_port)
    tcp.port_salt += 1
    place = ((start & 0x7FFF_FFFF) + tcp.port_salt) % max(places, 1)
    for _ in range(min(places, TRIES)):
        tcb.local_port = first + workers * place
        if is_free(worker, tcp, tcb):
            return 0
        place = place + 1 if place + 1 < places else 0
    count(worker, LOCAL_PORTS_EXHAUSTED, 1)
    return -EADDRNOTAVAIL


@hot
def is_free(worker: Worker, tcp: Tcp, tcb: Tcb) -> bool:
    """Whether no other connection has the four-tuple; one in TIME_WAIT may give way."""
    found = find_twin(worker, tcp, tcb)
    if found < 0:
        return True
    if found >= tcp.limit and reuse(worker, tcp, found):
        waiting_end(worker, tcp, found)
        return find_twin(worker, tcp, tcb) < 0
    return False
