"""Path MTUs that routers reported, by destination (RFC 1191, RFC 8201; what to believe: RFC 5927).

A hash table of a fixed number of places, four of which an address may take; a fifth takes the one that expires first.
A report is believed for ten minutes (RFC 1191 6.3), and never below a floor: 552 octets for IPv4, as Linux has it (68
would let a forger make every segment tiny), 1280 for IPv6 (RFC 8201 4).
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.compiled.hashing import mix
from pronghorn.net.state import SECOND, Net, PathMTU, net_of
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv6 import MINIMUM_MTU

FLOOR4 = 552
FLOOR6 = MINIMUM_MTU
LIFETIME = 600 * SECOND
WAYS = 4


@leaf
def _set_of(worker: Worker, net: Net, hi: int, lo: int) -> int:
    """First of the places of an address."""
    return mix(hi, lo, worker.secret) & net.path_mask & ~(WAYS - 1)


@hot
def path_mtu_find(worker: Worker, hi: int, lo: int) -> int:
    """Octets of layer 3 that reach the destination, or 0 when nobody said."""
    net = net_of(worker)
    first = _set_of(worker, net, hi, lo)
    for way in range(WAYS):
        place = net.paths[first + way]
        if place.lo == lo and place.hi == hi and place.expires > worker.now:
            return place.mtu
    return 0


@leaf
def path_limit(worker: Worker, hi: int, lo: int, mtu: int) -> int:
    """The lower of `mtu` and what is known of the path."""
    if net_of(worker).path_count == 0:
        return mtu
    found = path_mtu_find(worker, hi, lo)
    return mtu if found == 0 or found > mtu else found


@hot
def path_mtu_add(worker: Worker, hi: int, lo: int, mtu: int) -> None:
    """Believe a report about the path. It may only lower what is known until that expires."""
    net = net_of(worker)
    mtu = max(mtu, FLOOR4 if hi == 0 else FLOOR6)
    known = path_mtu_find(worker, hi, lo)
    if known != 0 and known <= mtu:
        return
    place = _place(worker, net, hi, lo)
    place.hi, place.lo, place.mtu = hi, lo, mtu
    place.expires = worker.now + LIFETIME
    net.path_count += 1


@hot
def _place(worker: Worker, net: Net, hi: int, lo: int) -> PathMTU:
    """The address's own place, or of its four the one that expires first; free ones have expired."""
    first = _set_of(worker, net, hi, lo)
    best = net.paths[first]
    for way in range(WAYS):
        place = net.paths[first + way]
        if place.lo == lo and place.hi == hi:
            return place
        if place.expires < best.expires:
            best = place
    return best
