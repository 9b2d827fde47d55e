"""The control plane's hand in who may (access.py): a worker's services, its black list, its defences. Plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pronghorn.balancer.access import BLACK_LIST, DEFEND_TCP, DEFEND_UDP, PACKET_RATES
from pronghorn.balancer.addresses import ConfigureError
from pronghorn.balancer.configure import service_at
from pronghorn.balancer.source_rates import interval_of
from pronghorn.balancer.tables import ASKS_ACCESS, BLACK_SETS, Balancer


@dataclass(frozen=True)
class Rules:
    """What a service asks of who comes. Sets are addresses (Sets.address); rates are per second, and 0 is no limit."""

    deny: int = 0
    allow: int = 0
    connections: int = 0
    connections_burst: int = 1
    packets: int = 0
    packets_burst: int = 1


def change_rules(balancer: Balancer, number: int, rules: Rules) -> None:
    """The service's rules from now on, for new connections; limits of packets hold for open ones, too."""
    service, access = service_at(balancer, number), balancer.access[number]
    if (rules.connections or rules.packets) and balancer.sources == 0:
        raise ConfigureError("sources cannot be limited: the engine has no table of them")
    access.deny, access.allow = rules.deny, rules.allow
    access.conn_interval, access.conn_slack = interval_of(rules.connections, rules.connections_burst)
    access.packet_interval, access.packet_slack = interval_of(rules.packets, rules.packets_burst)
    asked = rules.deny or rules.allow or rules.connections or rules.packets
    service.asks = service.asks & ~ASKS_ACCESS | (ASKS_ACCESS if asked else 0)
    limited = any(
        balancer.access[n].packet_interval for n in range(balancer.service_limit) if balancer.services[n].ports
    )
    _guard(balancer, PACKET_RATES, limited)


def change_black_list(balancer: Balancer, sets: Sequence[int]) -> None:
    """Packets in any of these sets (their addresses) end here."""
    if len(sets) > BLACK_SETS:
        raise ConfigureError(f"{len(sets)} sets are black lists; {BLACK_SETS} can be")
    balancer.black_count = 0
    for place, address in enumerate(sets):
        balancer.black[place] = address
    balancer.black_count = len(sets)
    _guard(balancer, BLACK_LIST, bool(sets))


def change_defences(balancer: Balancer, tcp: bool, udp: bool, own: int) -> None:
    """Whether packets to a service's address at another port end here; `own`: the set of services' addresses."""
    balancer.own = own
    _guard(balancer, DEFEND_TCP, tcp)
    _guard(balancer, DEFEND_UDP, udp)


def _guard(balancer: Balancer, bit: int, wanted: bool) -> None:
    balancer.guards = balancer.guards & ~bit | (bit if wanted else 0)
