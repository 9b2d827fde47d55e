"""The table of clients that stay with their servers: found, added, dropped, forgotten in time. All bounded.

A template is found by group, family and masked address. Its timer is lazy, as those of connections are: a new
connection notes its tick, and an expired timer says whether the client really was idle for its timeout; while
connections live that count for it, it is kept. A template that is dropped while they do is not found any more, and its
record is free when the last of them has ended.

A full table gives up templates without connections, found by a few random looks; else the client is not remembered.
"""

from __future__ import annotations

from pronghorn.balancer.lookup import hash6
from pronghorn.balancer.option_tables import TEMPLATE_GONE, TEMPLATE_LIVE, Template
from pronghorn.balancer.tables import EXPIRED, TICK, Balancer
from pronghorn.compiled import cold, entry, fill, hot, leaf, sequence
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_first, hash_next, hash_remove
from pronghorn.memory.wheel import Wheel, timer_add, timer_cancel, wheel_advance
from pronghorn.state.worker import Worker, random_number

LOOKS = 16
"""Records that are looked at for one that can be given up."""

AGAIN = 60_000_000_000 >> TICK
"""Ticks until a client whose connections live is looked at again: IPVS's minute, or its timeout if that is less."""


@leaf
def template_hash(group: int, family: int, hi: int, lo: int, secret: int) -> int:
    """32 bits for a client of a group."""
    return hash6(0, 0, hi, lo, group | family << 32, secret)


@hot
def find_template(balancer: Balancer, group: int, family: int, hi: int, lo: int) -> int:
    """The client's template, or -1."""
    index = HashIndex(balancer.template_index)
    hash = template_hash(group, family, hi, lo, index.secret)
    found = hash_first(index, hash)
    while found >= 0:
        template = balancer.templates[found]
        if template.lo == lo and template.hi == hi and template.group == group and template.family == family:
            return found
        found = hash_next(index, hash, found)
    return -1


@hot
def add_template(worker: Worker, balancer: Balancer, group: int, family: int, hi: int, lo: int, timeout: int) -> int:
    """A template for a client that has none, its server not set yet; -1: there is no room."""
    number = _take(balancer)
    if number < 0 and _give_up_one(worker, balancer):
        number = _take(balancer)
    if number < 0:
        return -1
    template, tick = balancer.templates[number], worker.now >> TICK
    fill(template.address, 0, Template.SIZE)
    template.hi, template.lo, template.group, template.family = hi, lo, group, family
    template.seen, template.timeout = tick, timeout
    index = HashIndex(balancer.template_index)
    if not hash_add(index, template_hash(group, family, hi, lo, index.secret), number):
        _give(balancer, number)
        return -1
    template.state = TEMPLATE_LIVE
    timer_add(Wheel(balancer.template_wheel), number, tick + timeout)
    return number


@hot
def drop_template(balancer: Balancer, number: int) -> None:
    """Forget the client; its connections go on."""
    template, index = balancer.templates[number], HashIndex(balancer.template_index)
    hash_remove(index, template_hash(template.group, template.family, template.hi, template.lo, index.secret), number)
    timer_cancel(Wheel(balancer.template_wheel), number)
    if template.conns == 0:
        _give(balancer, number)
    else:
        template.state = TEMPLATE_GONE


@hot
def release_template(balancer: Balancer, number: int) -> None:
    """A connection that counted for it has ended."""
    template = balancer.templates[number]
    template.conns -= 1
    if template.conns == 0 and template.state == TEMPLATE_GONE:
        _give(balancer, number)


@cold
def run_templates(balancer: Balancer, tick: int) -> int:
    """Forget clients that were idle for their timeouts. Returns 1 when there is more to do."""
    wheel = Wheel(balancer.template_wheel)
    for place in range(wheel_advance(wheel, tick, balancer.expired, EXPIRED)):
        number = balancer.expired[place]
        template = balancer.templates[number]
        left = template.timeout - sequence.difference(tick, template.seen)
        if left > 0:
            timer_add(wheel, number, tick + left)
        elif template.conns != 0:
            timer_add(wheel, number, tick + min(AGAIN, template.timeout))
        else:
            drop_template(balancer, number)
    return 1 if wheel.tick < tick else 0


@entry
def drop_templates(balancer: Balancer, group: int) -> None:
    """Forget all clients of a group: a walk over the table."""
    for number in range(balancer.template_fresh):
        template = balancer.templates[number]
        if template.state == TEMPLATE_LIVE and template.group == group:
            drop_template(balancer, number)


@entry
def next_template(balancer: Balancer, start: int) -> int:
    """The first client that is remembered from record `start` on, or -1."""
    for number in range(start, balancer.template_fresh):
        if balancer.templates[number].state == TEMPLATE_LIVE:
            return number
    return -1


@hot
def _give_up_one(worker: Worker, balancer: Balancer) -> bool:
    """Drop a template without connections, chosen at random; whether one was found."""
    for _ in range(LOOKS):
        number = random_number(worker) % balancer.template_limit
        template = balancer.templates[number]
        if template.state == TEMPLATE_LIVE and template.conns == 0:
            drop_template(balancer, number)
            balancer.template_gone += 1
            return True
    return False


@hot
def _take(balancer: Balancer) -> int:
    """A free record, or -1."""
    number = balancer.template_free - 1
    if number >= 0:
        balancer.template_free = balancer.templates[number].next
    elif balancer.template_fresh < balancer.template_limit:
        number = balancer.template_fresh
        balancer.template_fresh = number + 1
    else:
        return -1
    balancer.template_count += 1
    return number


@hot
def _give(balancer: Balancer, number: int) -> None:
    template = balancer.templates[number]
    template.state = 0
    template.next = balancer.template_free
    balancer.template_free = number + 1
    balancer.template_count -= 1
