"""Addresses and ports at which a service is found besides its own: IPVS's services by firewall mark, without marks.

All of them share the service's scheduler, its servers and whatever it asks and may have. A range of ports is an entry
for each, in the same index as services, so that a packet finds its service by one look-up, however many there are; any
port of an address is one entry, which is looked for when nothing else was found. A port of its own wins over it.
"""

from __future__ import annotations

from pronghorn.balancer.option_tables import Listen
from pronghorn.balancer.services import service_hash
from pronghorn.balancer.tables import Balancer
from pronghorn.compiled import entry, hot
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_remove


@entry
def add_listen(balancer: Balancer, service: int, hi: int, lo: int, ports: int) -> bool:
    """Let the service be found there too; False: there is no room. `ports` as in Service.ports; without a port: any."""
    number = balancer.listen_free - 1
    if number < 0:
        number = balancer.listen_fresh
        if number == balancer.listen_limit:
            return False
    index = HashIndex(balancer.service_index)
    if not hash_add(index, service_hash(hi, lo, ports, index.secret), balancer.service_limit + number):
        return False
    listen = balancer.listens[number]
    if balancer.listen_free != 0:
        balancer.listen_free = listen.next
    else:
        balancer.listen_fresh = number + 1
    listen.hi, listen.lo, listen.ports, listen.service, listen.next = hi, lo, ports, service, 0
    if ports & 0xFFFF0000 == 0:
        balancer.any_port += 1
    return True


@entry
def drop_listens(balancer: Balancer, service: int) -> None:
    """Let the service be found under its own address and port alone: a walk over the table."""
    for number in range(balancer.listen_fresh):
        listen = balancer.listens[number]
        if listen.ports != 0 and listen.service == service:
            drop_listen(balancer, listen, number)


@hot
def drop_listen(balancer: Balancer, listen: Listen, number: int) -> None:
    """Take out one of them."""
    index = HashIndex(balancer.service_index)
    hash_remove(index, service_hash(listen.hi, listen.lo, listen.ports, index.secret), balancer.service_limit + number)
    if listen.ports & 0xFFFF0000 == 0:
        balancer.any_port -= 1
    listen.ports = 0
    listen.next = balancer.listen_free
    balancer.listen_free = number + 1
