"""Fast open cookies that servers gave us (RFC 7413 4.1.3), by the server's address, with the MSS that it announced.

A hash table of a fixed number of places, four of which an address may take; a fifth takes the one that was used longest
ago. Where data in a SYN was lost, so that only a SYN without it came through, the way does not like it: none is sent
there for an hour, twice as long after each further loss (RFC 7413 4.1.3.1; Linux does so for all servers together).

Cookies belong to a worker, as connections do: another worker asks for its own.
"""

from __future__ import annotations

from pronghorn.compiled import copy, fill, hot, leaf
from pronghorn.compiled.hashing import mix
from pronghorn.state.endpoints import count
from pronghorn.state.mib import FAST_OPEN_BLACKHOLE
from pronghorn.state.worker import Worker
from pronghorn.tcp.records import Cookie
from pronghorn.tcp.tcb import Tcb, Tcp, elapsed, moment
from pronghorn.wire.tcp import HAS_FAST_OPEN, TCPOptions

WAYS = 4
PATIENCE = 3_600_000
"""ms without data in SYNs, after the first loss."""
DOUBLINGS = 6
CLIENT_NO_COOKIE = 4
"""Bit of Tcp.fast_open: no cookie is needed."""


@leaf
def _set_of(worker: Worker, tcp: Tcp, hi: int, lo: int) -> int:
    return mix(hi, lo, worker.secret) & tcp.cookie_mask & ~(WAYS - 1)


@hot
def cookie_find(worker: Worker, tcp: Tcp, tcb: Tcb) -> Cookie:
    """What is known of the connection's remote address; address 0: nothing."""
    first = _set_of(worker, tcp, tcb.remote_hi, tcb.remote_lo)
    for way in range(WAYS):
        place = tcp.cookies[first + way]
        if place.lo == tcb.remote_lo and place.hi == tcb.remote_hi:
            place.used = moment(worker)
            return place
    return Cookie(0)


@hot
def _place(worker: Worker, tcp: Tcp, tcb: Tcb) -> Cookie:
    """The address's place; made when there is none."""
    found = cookie_find(worker, tcp, tcb)
    if found.address != 0:
        return found
    first = _set_of(worker, tcp, tcb.remote_hi, tcb.remote_lo)
    now = moment(worker)
    best = tcp.cookies[first]
    for way in range(WAYS):
        place = tcp.cookies[first + way]
        if place.lo == 0 and place.hi == 0:
            best = place
            break
        if elapsed(now, place.used) > elapsed(now, best.used):
            best = place
    fill(best.address, 0, Cookie.SIZE)
    best.hi, best.lo, best.used = tcb.remote_hi, tcb.remote_lo, now
    return best


@hot
def cookie_learn(worker: Worker, tcp: Tcp, tcb: Tcb, options: TCPOptions) -> None:
    """A SYN-ACK has brought a cookie."""
    place = _place(worker, tcp, tcb)
    copy(place.cookie.address, options.cookie.address, options.cookie_octets)
    place.octets, place.mss = options.cookie_octets, tcb.peer_mss


@hot
def data_lost(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """Only a SYN without data came through."""
    count(worker, FAST_OPEN_BLACKHOLE, 1)
    place = _place(worker, tcp, tcb)
    place.failures, place.failed = min(place.failures + 1, DOUBLINGS), moment(worker)


@leaf
def data_passed(place: Cookie) -> None:
    """A SYN with data came through."""
    if place.address != 0:
        place.failures = 0


@leaf
def is_blocked(worker: Worker, place: Cookie) -> bool:
    """Whether data in SYNs was lost on the way there not long ago."""
    if place.address == 0 or place.failures == 0:
        return False
    return elapsed(moment(worker), place.failed) < PATIENCE << (place.failures - 1)


@hot
def offer_cookie(worker: Worker, tcp: Tcp, tcb: Tcb, answer: TCPOptions) -> None:
    """Put the server's cookie into a SYN's options, or the wish for one."""
    if tcp.fast_open & CLIENT_NO_COOKIE != 0:
        return
    place = cookie_find(worker, tcp, tcb)
    if is_blocked(worker, place):
        return
    answer.present |= HAS_FAST_OPEN
    answer.cookie_octets = 0
    if place.address != 0:
        copy(answer.cookie.address, place.cookie.address, place.octets)
        answer.cookie_octets = place.octets
