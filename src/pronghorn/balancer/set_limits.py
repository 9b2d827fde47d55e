"""The control plane's hand in limits of services: what each worker may have of them. Plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network

from pronghorn.balancer.addresses import ConfigureError, to_raw
from pronghorn.balancer.limits import SCALE
from pronghorn.balancer.option_tables import Limits, RateBucket
from pronghorn.balancer.tables import ASKS_LIMITS, Balancer

PER_SECOND = SCALE // 1_000_000
"""RateBucket.rate of one unit a second."""

BURST = 100_000
"""Microseconds' worth that may come at once."""

MOST_RATE = 1_000_000_000_000
MOST_CONNS = (1 << 24) - 2
_LONG = 1 << 62


@dataclass(frozen=True)
class Wanted:
    """What a service may have in all; 0: no limit. Rates are per second, packets and octets for each direction."""

    connections: int = 0
    per_client: int = 0
    connection_rate: int = 0
    packet_rate: int = 0
    octet_rate: int = 0

    @property
    def rates(self) -> dict[str, int]:
        """By Limits' buckets."""
        packets, octets = self.packet_rate, self.octet_rate
        return {
            "connections": self.connection_rate,
            "packets_in": packets,
            "packets_out": packets,
            "octets_in": octets,
            "octets_out": octets,
        }


def has_packet_rates(limits: Limits) -> bool:
    """Whether every packet of the service is asked about."""
    return bool(limits.packets_in.rate or limits.octets_in.rate)


def change_limits(balancer: Balancer, number: int, wanted: Wanted, worker: int = 0, workers: int = 1) -> None:
    """Let the service have that, of which this worker has an equal share for the time being (shares.py).

    Connections that there are count for the service, but not for their clients.
    """
    service, limits = balancer.services[number], balancer.limits[number]
    if service.ports == 0:
        raise ConfigureError(f"there is no service {number}")
    if not all(0 <= rate <= MOST_RATE for rate in wanted.rates.values()):
        raise ConfigureError(f"{wanted}: rates are 0 to {MOST_RATE}")
    if not (0 <= wanted.connections < 1 << 32 and 0 <= wanted.per_client <= MOST_CONNS):
        raise ConfigureError(f"{wanted}: connections of a client are 0 to {MOST_CONNS}")
    mask = ip_network("0.0.0.0/32" if service.ports >> 40 == 4 else "::/64").netmask
    limits.mask_hi, limits.mask_lo = to_raw(mask)
    limits.upper, limits.per_client = wanted.connections, wanted.per_client
    limits.quota = wanted.connections // workers + (worker < wanted.connections % workers)
    for name, rate in wanted.rates.items():
        whole = rate * PER_SECOND
        set_rate(getattr(limits, name), whole // workers + (worker < whole % workers), anew=True)
    service.asks = service.asks & ~ASKS_LIMITS | (ASKS_LIMITS if wanted != Wanted() else 0)
    for place in range(service.member_count):
        balancer.servers[service.members[place]].watched = int(has_packet_rates(limits))


def set_rate(bucket: RateBucket, rate: int, anew: bool = False) -> None:
    """Let the bucket fill at this rate (PER_SECOND for one unit a second). `anew`: it is full."""
    bucket.rate = rate
    bucket.cap = max(rate * BURST, SCALE) if rate else 0
    bucket.longest = _LONG // rate if rate else 0
    if anew or bucket.credit > bucket.cap:
        bucket.credit = bucket.cap
