"""The neighbour table: who is on our links, and how sure we are of it. States of RFC 4861 section 7.3, for ARP too.

    (asked for) -> INCOMPLETE -> REACHABLE -> STALE -> DELAY -> PROBE -> REACHABLE ...
                       |                                          |
                       +---------------> FAILED <-----------------+

Rules:
* An entry is made because we want to send (it may evict), or because somebody who is on a link of ours asked for us
  (it takes a free record or none at all: a flood of askers evicts nobody).
* Evicted is who has been STALE or FAILED longest; the list is kept in that order. Evicting changes Net.generation.
* At most half of the table may be INCOMPLETE, so that a scan of a network leaves the known ones alone (RFC 6583).
* An entry keeps the Ethernet header ready as two overlapping words of 8 octets.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, swap64
from pronghorn.compiled.hashing import mix4
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_first, hash_next, hash_remove
from pronghorn.net.state import (
    DELAY,
    FAILED,
    FREE,
    INCOMPLETE,
    NONE,
    PERMANENT,
    PROBE,
    REACHABLE,
    SECOND,
    STALE,
    Neighbour,
    Net,
    net_of,
)
from pronghorn.net.waiting import send_waiting
from pronghorn.state.packet import NO_PACKET
from pronghorn.state.worker import Worker, random_number
from pronghorn.wire.numbers import ETHERTYPE_IPV4, ETHERTYPE_IPV6

REACHABLE_TIME = 30 * SECOND
"""RFC 4861 section 10; the time used is drawn between half and one and a half of it."""

# what an advertisement says of itself
SOLICITED = 1  # it answers a question of ours
OVERRIDE = 2  # it may replace what we know


@leaf
def _hash(net: Net, interface: int, hi: int, lo: int) -> int:
    return mix4(hi, lo, interface, 0, HashIndex(net.neighbour_index).secret)


@hot
def neighbour_find(net: Net, interface: int, hi: int, lo: int) -> int:
    """Index of the neighbour with this address on the interface, or -1."""
    index = HashIndex(net.neighbour_index)
    hash = _hash(net, interface, hi, lo)
    found = hash_first(index, hash)
    while found >= 0:
        neighbour = net.neighbours[found]
        if neighbour.lo == lo and neighbour.hi == hi and neighbour.interface == interface:
            return found
        found = hash_next(index, hash, found)
    return -1


@hot
def neighbour_add(net: Net, interface: int, hi: int, lo: int) -> int:
    """A new record, not in any state yet, if need be instead of the oldest that may go; -1 when there is none."""
    if net.neighbour_free == NONE and net.neighbour_high == net.neighbour_limit and net.oldest != NONE:
        neighbour_remove(net, net.oldest)
        net.evicted += 1
    return neighbour_place(net, interface, hi, lo)


@hot
def neighbour_place(net: Net, interface: int, hi: int, lo: int) -> int:
    """A new record in a free place; -1 when there is none."""
    found = net.neighbour_free if net.neighbour_free != NONE else net.neighbour_high
    if found == net.neighbour_limit:
        return -1
    if not hash_add(HashIndex(net.neighbour_index), _hash(net, interface, hi, lo), found):
        return -1
    neighbour = net.neighbours[found]
    if found == net.neighbour_high:
        net.neighbour_high = found + 1
    else:
        net.neighbour_free = neighbour.newer
    net.deadlines[found] = 0
    neighbour.hi, neighbour.lo, neighbour.interface = hi, lo, interface
    neighbour.port, neighbour.mtu = net.interfaces[interface].port, net.interfaces[interface].mtu
    neighbour.flags, neighbour.probes, neighbour.waiting, neighbour.state = 0, 0, 0, FREE
    neighbour.first, neighbour.last = NO_PACKET, NO_PACKET
    neighbour.confirmed, neighbour.retry, neighbour.mac = 0, 0, 0
    return found


@hot
def neighbour_remove(net: Net, index: int) -> None:
    """Free the record. Nothing waits for it: its packets were sent or ended before."""
    neighbour = net.neighbours[index]
    hash_remove(HashIndex(net.neighbour_index), _hash(net, neighbour.interface, neighbour.hi, neighbour.lo), index)
    enter(net, index, FREE, 0)
    neighbour.newer = net.neighbour_free
    net.neighbour_free = index
    net.generation += 1


# --- states -------------------------------------------------------------------------------------------------------


@leaf
def is_evictable(state: int) -> bool:
    """Whether a neighbour in this state may give way to another."""
    return state == STALE or state == FAILED


@hot
def enter(net: Net, index: int, state: int, deadline: int) -> None:
    """Go into a state, which ends at `deadline` (ns; 0 for never). All changes of state come through here."""
    neighbour = net.neighbours[index]
    old = neighbour.state
    if is_evictable(old):
        _unlink(net, neighbour)
    net.incomplete += (1 if state == INCOMPLETE else 0) - (1 if old == INCOMPLETE else 0)
    net.probing += (1 if state >= DELAY else 0) - (1 if old >= DELAY else 0)
    net.timed += (1 if deadline != 0 else 0) - (1 if net.deadlines[index] != 0 else 0)
    neighbour.state = state
    net.deadlines[index] = deadline
    if is_evictable(state):
        _append(net, neighbour, index)


@hot
def _append(net: Net, neighbour: Neighbour, index: int) -> None:
    neighbour.older, neighbour.newer = net.newest, NONE
    if net.newest == NONE:
        net.oldest = index
    else:
        net.neighbours[net.newest].newer = index
    net.newest = index


@hot
def _unlink(net: Net, neighbour: Neighbour) -> None:
    older, newer = neighbour.older, neighbour.newer
    if older == NONE:
        net.oldest = newer
    else:
        net.neighbours[older].newer = newer
    if newer == NONE:
        net.newest = older
    else:
        net.neighbours[newer].older = older


@leaf
def set_address(net: Net, neighbour: Neighbour, mac: int) -> None:
    """Take over the station's hardware address: write the Ethernet header that sending copies."""
    own = net.interfaces[neighbour.interface].mac
    ethertype = ETHERTYPE_IPV4 if neighbour.hi == 0 else ETHERTYPE_IPV6
    neighbour.mac = mac
    neighbour.head = swap64(mac << 16 | own >> 32)
    neighbour.tail = swap64(own << 16 | ethertype)


@hot
def _reachable(worker: Worker, net: Net, index: int) -> None:
    jitter = (random_number(worker) >> 11) * REACHABLE_TIME >> 20
    net.neighbours[index].confirmed = worker.now
    enter(net, index, REACHABLE, worker.now + (REACHABLE_TIME >> 1) + jitter)


# --- what others tell ---------------------------------------------------------------------------------------------


@hot
def advertised(worker: Worker, index: int, mac: int, flags: int) -> None:
    """The neighbour gave its address, `mac` (0: it left that out), with SOLICITED and OVERRIDE (RFC 4861 7.2.5)."""
    net = net_of(worker)
    neighbour = net.neighbours[index]
    if neighbour.flags & PERMANENT != 0:
        return
    if neighbour.state == INCOMPLETE or neighbour.state == FAILED:
        if mac != 0:
            _first_address(worker, net, index, mac, flags)
        return
    changed = mac != 0 and mac != neighbour.mac
    if changed and flags & OVERRIDE == 0:
        if neighbour.state == REACHABLE:
            enter(net, index, STALE, 0)
        return
    if changed:
        set_address(net, neighbour, mac)
    if flags & SOLICITED != 0:
        _reachable(worker, net, index)
    elif changed:
        enter(net, index, STALE, 0)


@hot
def _first_address(worker: Worker, net: Net, index: int, mac: int, flags: int) -> None:
    set_address(net, net.neighbours[index], mac)
    if flags & SOLICITED != 0:
        _reachable(worker, net, index)
    else:
        enter(net, index, STALE, 0)
    send_waiting(worker, index)


@hot
def heard(worker: Worker, interface: int, hi: int, lo: int, mac: int) -> None:
    """A neighbour asked for us and so told where it is (RFC 826; RFC 4861 7.2.3). New ones need a free record."""
    net = net_of(worker)
    index = neighbour_find(net, interface, hi, lo)
    if index < 0:
        index = neighbour_place(net, interface, hi, lo)
        if index >= 0:
            set_address(net, net.neighbours[index], mac)
            enter(net, index, STALE, 0)
        return
    neighbour = net.neighbours[index]
    if neighbour.mac != mac or neighbour.state <= FAILED:
        advertised(worker, index, mac, OVERRIDE)


@leaf
def is_asked(state: int) -> bool:
    """Whether a question of ours is open, so that an answer confirms the neighbour."""
    return state == INCOMPLETE or state == DELAY or state == PROBE
