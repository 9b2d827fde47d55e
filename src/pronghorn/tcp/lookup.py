"""Which connection a segment belongs to, and which listener.

Connections are found by a keyed hash of the four-tuple; the candidate's addresses and ports are compared. A listener
is found by its port and address, the exact address before any address (RFC 9293 3.9.1.1, Linux's order).
"""

from __future__ import annotations

from pronghorn.compiled import hashing, hot, leaf
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_first, hash_next, hash_remove
from pronghorn.state.worker import Worker
from pronghorn.tcp.tcb import NO_TCB, Listener, Tcb, Tcp, identity_at
from pronghorn.tcp.tuning import tuning_drop

MASK = 0xFFFF_FFFF


@leaf
def tuple_hash(
    remote_hi: int, remote_lo: int, local_hi: int, local_lo: int, remote_port: int, local_port: int, secret: int
) -> int:
    """32 bits for a four-tuple."""
    ports = remote_port << 16 | local_port
    if remote_hi == 0:
        return hashing.mix(hashing.wrap((remote_lo & MASK) << 32 | local_lo & MASK), ports, secret) & MASK
    return hashing.mix(hashing.mix4(remote_hi, remote_lo, local_hi, local_lo, secret), ports, secret) & MASK


@hot
def find_tcb(
    tcp: Tcp, hash: int, remote_hi: int, remote_lo: int, local_hi: int, local_lo: int, remote_port: int, local_port: int
) -> int:
    """Number of the connection, or -1; from tcp.limit on it is one in TIME_WAIT (time_wait.py)."""
    index = HashIndex(tcp.index)
    found = hash_first(index, hash)
    while found >= 0:
        own = identity_at(tcp, found)
        if (
            own.remote_port == remote_port
            and own.local_port == local_port
            and own.remote_lo == remote_lo
            and own.local_lo == local_lo
            and own.remote_hi == remote_hi
            and own.local_hi == local_hi
        ):
            return found
        found = hash_next(index, hash, found)
    return -1


@leaf
def hash_of(worker: Worker, tcb: Tcb) -> int:
    """The hash of the connection's four-tuple."""
    return tuple_hash(
        tcb.remote_hi, tcb.remote_lo, tcb.local_hi, tcb.local_lo, tcb.remote_port, tcb.local_port, worker.secret
    )


@hot
def find_twin(worker: Worker, tcp: Tcp, tcb: Tcb) -> int:
    """Number of another connection that has the addresses and ports of `tcb`, or -1."""
    return find_tcb(
        tcp,
        hash_of(worker, tcb),
        tcb.remote_hi,
        tcb.remote_lo,
        tcb.local_hi,
        tcb.local_lo,
        tcb.remote_port,
        tcb.local_port,
    )


@hot
def enter(worker: Worker, tcp: Tcp, tcb: Tcb) -> bool:
    """Make the connection findable. False when the index is full."""
    return hash_add(HashIndex(tcp.index), hash_of(worker, tcb), tcb.index)


@hot
def leave(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """It is found no more."""
    hash_remove(HashIndex(tcp.index), hash_of(worker, tcb), tcb.index)


# --- listeners ----------------------------------------------------------------------------------------------------


@leaf
def listener_hash(tcp: Tcp, port: int) -> int:
    """All addresses of a port lie together: there are few."""
    return hashing.mix(port, 0, HashIndex(tcp.listener_index).secret) & MASK


@leaf
def serves(family: int, packet_family: int) -> bool:
    """Whether a socket of this family (4, 6, or 10: both) takes packets of that one."""
    return family == packet_family or family == 10


@hot
def find_listener(tcp: Tcp, family: int, hi: int, lo: int, port: int, spread: int) -> int:
    """Number of the listener that takes a connection to this address and port, or -1.

    Of several that share the address (SO_REUSEPORT) the one that `spread`, a hash of the connection, leads to.
    """
    index = HashIndex(tcp.listener_index)
    hash = listener_hash(tcp, port)
    best, score, peers = -1, 0, 0
    found = hash_first(index, hash)
    while found >= 0:
        listener = tcp.listeners[found]
        if listener.port == port and listener.listening != 0 and serves(listener.family, family):
            points = _score(listener, family, hi, lo)
            if points > score:
                best, score, peers = found, points, 1
            elif points == score and points > 0:
                peers += 1
                if spread % peers == 0:
                    best = found
        found = hash_next(index, hash, found)
    return best


@leaf
def _score(listener: Listener, family: int, hi: int, lo: int) -> int:
    """How well the listener's address fits: 0 not at all; an exact one beats any; one family beats both."""
    if listener.hi == 0 and listener.lo == 0:
        return 1 if listener.family == 10 and family == 4 else 2
    return 3 if listener.hi == hi and listener.lo == lo else 0


@hot
def is_conflict(tcp: Tcp, wanted: Listener, number: int, reuse: int) -> bool:
    """Whether another binding to the same port stands in the way of binding `number`, as Linux decides it.

    `reuse`, and Listener.reuse of the other: 1 SO_REUSEADDR (both have it, and the other does not listen), 2
    SO_REUSEPORT (both have it).
    """
    index = HashIndex(tcp.listener_index)
    hash = listener_hash(tcp, wanted.port)
    found = hash_first(index, hash)
    while found >= 0:
        other = tcp.listeners[found]
        if found != number and other.port == wanted.port and _overlap(other, wanted):
            shares = other.reuse & reuse
            if shares & 2 == 0 and (shares & 1 == 0 or other.listening != 0):
                return True
        found = hash_next(index, hash, found)
    return False


@leaf
def _overlap(one: Listener, other: Listener) -> bool:
    """Whether some packet could be for both."""
    if one.family != other.family and one.family != 10 and other.family != 10:
        return False
    any_one, any_other = one.hi == 0 and one.lo == 0, other.hi == 0 and other.lo == 0
    return any_one or any_other or (one.hi == other.hi and one.lo == other.lo)


@hot
def listener_add(tcp: Tcp, number: int) -> bool:
    """Make the binding findable."""
    return hash_add(HashIndex(tcp.listener_index), listener_hash(tcp, tcp.listeners[number].port), number)


@hot
def listener_remove(tcp: Tcp, number: int) -> None:
    """It is found no more; its record is free."""
    listener = tcp.listeners[number]
    hash_remove(HashIndex(tcp.listener_index), listener_hash(tcp, listener.port), number)
    listener.port, listener.listening = 0, 0
    tuning_drop(tcp, listener.tuning)
    listener.tuning = 0
    listener.next = tcp.listener_free
    tcp.listener_free = number


@hot
def listener_new(tcp: Tcp) -> int:
    """An empty binding, or -1 when there are too many."""
    number = tcp.listener_free
    if number == NO_TCB:
        return -1
    listener = tcp.listeners[number]
    tcp.listener_free = listener.next
    listener.listening, listener.backlog, listener.half_open, listener.waiting = 0, 0, 0, 0
    listener.first, listener.last = NO_TCB, NO_TCB
    listener.recent_overflow, listener.cookies, listener.tuning, listener.reuse = 0, 0, 0, 0
    return number
