"""The control plane's hand in what services ask beyond the usual. Plain Python, between the worker's turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from pronghorn.balancer.addresses import Address, ConfigureError, raw_port, to_raw
from pronghorn.balancer.configure import service_at
from pronghorn.balancer.create import LONGEST_TIMEOUT, TIMEOUTS, set_timeouts, ticks, timeout_ticks
from pronghorn.balancer.listens import add_listen, drop_listens
from pronghorn.balancer.option_tables import GROUPS
from pronghorn.balancer.services import search_exact
from pronghorn.balancer.set_limits import Wanted
from pronghorn.balancer.tables import ASKS_ONE_PACKET, ASKS_PERSISTENCE, ASKS_TOA, STATES, TICK, Balancer, Service
from pronghorn.balancer.templates import drop_templates
from pronghorn.compiled import array_at, u32
from pronghorn.memory.hashtable import HashIndex
from pronghorn.wire.numbers import PROTOCOL_TCP, PROTOCOL_UDP

_ALL = (1 << 64) - 1


def change_persistence(
    balancer: Balancer,
    number: int,
    seconds: int,
    prefix: int | None = None,
    group: int | None = None,
    keep_quiesced: bool = False,
) -> None:
    """Let clients of the service stay with their servers for so many seconds after their last new connection; 0: not.

    A client is the first `prefix` bits of its address (all of them if None). Services with the same number as `group`
    (0 up) share their clients. Clients of a service without group are forgotten when anything but the seconds changes.
    """
    service, options = service_at(balancer, number), balancer.options[number]
    family = service.ports >> 40
    bits = 32 if family == 4 else 128
    length = bits if prefix is None else prefix
    if (
        not 0 <= seconds <= LONGEST_TIMEOUT
        or not 0 <= length <= bits
        or (group is not None and not 0 <= group < 1 << 31)
    ):
        raise ConfigureError(f"persistence of {seconds} s, prefix /{length}, group {group}: out of range")
    mask = ip_network(f"{'0.0.0.0' if family == 4 else '::'}/{length}").netmask
    wanted = (*to_raw(mask), number if group is None else GROUPS + group)
    if options.persistence != 0 and (seconds == 0 or wanted != (options.mask_hi, options.mask_lo, options.group)):
        _forget(balancer, number)
    options.mask_hi, options.mask_lo, options.group = wanted
    options.persistence = ticks(seconds) if seconds else 0
    options.quiesced = int(keep_quiesced)
    _ask(service, ASKS_PERSISTENCE, seconds != 0)


def change_service_timeouts(balancer: Balancer, number: int, seconds: Mapping[str, int]) -> None:
    """Timeouts of the service's own, as in create.TIMEOUTS; those that are not given are the balancer's.

    Connections meet the new ones when they change state or their timers expire.
    """
    service, options, own = service_at(balancer, number), balancer.options[number], timeout_ticks(seconds)
    for state in range(STATES):
        options.own[state] = own.get(state, 0)
    set_timeouts(balancer, number)
    times = options.timeouts if seconds else balancer.timeouts
    service.timeouts = array_at(u32, times.address)


def change_one_packet(balancer: Balancer, number: int, one_packet: bool) -> None:
    """Schedule every datagram by itself and keep no connection: IPVS's `-o`. Servers with a method whose replies come
    through here have connections as usual, for replies could not be told apart otherwise."""
    service = service_at(balancer, number)
    if one_packet and service.ports >> 32 & 0xFF != PROTOCOL_UDP:
        raise ConfigureError("one packet at a time: of UDP alone")
    _ask(service, ASKS_ONE_PACKET, one_packet)


def change_toa(balancer: Balancer, number: int, toa: bool) -> None:
    """Tell servers of full NAT the addresses of clients that connect from now on, by a TCP option."""
    service = service_at(balancer, number)
    if toa and service.ports >> 32 & 0xFF != PROTOCOL_TCP:
        raise ConfigureError("an address as a TCP option: of TCP alone")
    _ask(service, ASKS_TOA, toa)


Place = tuple[Address, int, int]
"""Address, first and last port; 0 and 0: any port."""

MOST_PORTS = 4096
"""Ports of one service, besides its own."""


def change_listens(balancer: Balancer, number: int, places: Sequence[Place]) -> None:
    """Let the service be found at these too, and nowhere else besides its own address and port."""
    service = service_at(balancer, number)
    tail = service.ports & ~0xFFFFFFFF
    entries = []
    for address, first, last in places:
        if address.version != service.ports >> 40 or not 0 <= first <= last <= 65535 or (first == 0 and last != 0):
            raise ConfigureError(f"{address}, ports {first} to {last}: not of the service's family, or out of range")
        entries += [(*to_raw(address), raw_port(port) << 16 | tail) for port in range(first, last + 1)]
    if len(entries) > MOST_PORTS:
        raise ConfigureError(
            f"{len(entries)} ports, of {MOST_PORTS} that a service may have; any port of an address is one"
        )
    known = [search_exact(balancer, *entry) for entry in entries]
    own = (service.hi, service.lo, service.ports)
    if len(set(entries)) != len(entries) or own in entries or any(one not in (-1, number) for one in known):
        raise ConfigureError("a port that is listed twice, or that another service has")
    there = sum(1 for one in known if one == number)
    if len(entries) - there > balancer.listen_limit - _listens(balancer):
        raise ConfigureError(f"there are {balancer.listen_limit} ports of services already")
    drop_listens(balancer, number)
    for entry in entries:
        if not add_listen(balancer, number, *entry):
            drop_listens(balancer, number)
            raise ConfigureError("no room for another port")


def _listens(balancer: Balancer) -> int:
    """How many there are now, of all services: the index has them and services."""
    return HashIndex(balancer.service_index).count


def change_keep_port(balancer: Balancer, number: int, keep_port: bool) -> None:
    """Let servers get connections at the port that the client asked for, instead of at their own."""
    service = service_at(balancer, number)
    balancer.options[number].keep_port = int(keep_port)
    for place in range(service.member_count):
        balancer.servers[service.members[place]].keep_port = int(keep_port)


def _ask(service: Service, bit: int, wanted: bool) -> None:
    service.asks = service.asks | bit if wanted else service.asks & ~bit


def _forget(balancer: Balancer, number: int) -> None:
    """Clients of a group stay while other services have it: theirs are forgotten in time."""
    if balancer.options[number].group == number:
        drop_templates(balancer, number)


def changes_made(balancer: Balancer, number: int) -> dict[str, Any]:
    """What the worker has of the service's options, as people write it."""
    service, options, limits = service_at(balancer, number), balancer.options[number], balancer.limits[number]
    words = (options.mask_hi & _ALL, options.mask_lo & _ALL)
    return {
        "persistence": options.persistence * (1 << TICK) // 1_000_000_000,
        "mask": sum(word.bit_count() for word in words) if options.persistence else None,
        "group": options.group if options.persistence else None,
        "quiesced": options.quiesced,
        "toa": service.asks & ASKS_TOA != 0,
        "one_packet": service.asks & ASKS_ONE_PACKET != 0,
        "timeouts": {
            name: service.timeouts[state] * (1 << TICK) // 1_000_000_000 for state, name in enumerate(TIMEOUTS, 1)
        },
        "connections": limits.upper,
        "quota": limits.quota,
        "per_client": limits.per_client,
        "rates": [getattr(limits, name).rate for name in Wanted().rates],
    }
