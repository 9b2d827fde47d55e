"""What the control plane sets for schedulers: flags, hash target, slow start, limits of servers. Plain Python."""

from __future__ import annotations

from dataclasses import dataclass

from pronghorn.balancer.addresses import ConfigureError
from pronghorn.balancer.schedulers import FLAGS, HASH_TARGETS, SCHEDULERS
from pronghorn.balancer.schedulers.locality import forget_localities
from pronghorn.balancer.tables import LBLC, LBLCR, NQ, P2C, SED, WLC, WRR, Balancer, Server, Service

SLOWLY = (WRR, WLC, SED, NQ, P2C, LBLC, LBLCR)
"""Schedulers with which a new server can start slowly: those that go by weights and remember no table of them."""

LONGEST_START = 86_400
"""Seconds."""


@dataclass(frozen=True)
class Scheduling:
    """What a scheduler may be told."""

    flags: tuple[str, ...] = ()
    hash_target: str = "address"
    slow_start: int = 0


USUAL = Scheduling()


def check_scheduling(scheduler: str, scheduling: Scheduling) -> None:
    """Raises ConfigureError where something is not for this scheduler."""
    number = SCHEDULERS[scheduler]
    for flag in scheduling.flags:
        if flag not in FLAGS or SCHEDULERS[flag.partition("-")[0]] != number:
            raise ConfigureError(f"flag {flag}: not one of {scheduler}'s")
    target = scheduling.hash_target
    if target not in HASH_TARGETS or (target != "address" and scheduler != "conhash"):
        raise ConfigureError(f"hash target {target}: not one of {scheduler}'s")
    slow_start = scheduling.slow_start
    if not 0 <= slow_start <= LONGEST_START or (slow_start and number not in SLOWLY):
        raise ConfigureError(f"slow start of {slow_start} s: out of range, or not with {scheduler}")


def set_scheduling(balancer: Balancer, service: Service, scheduler: str, scheduling: Scheduling) -> None:
    """Let the service have this scheduler. Raises ConfigureError where something is not for it."""
    check_scheduling(scheduler, scheduling)
    number = SCHEDULERS[scheduler]
    service.scheduler, service.slow_start = number, scheduling.slow_start
    service.options = sum(FLAGS[flag] for flag in set(scheduling.flags))
    service.hash_target = HASH_TARGETS[scheduling.hash_target]
    if number in (LBLC, LBLCR):
        forget_localities(balancer, service)


def start_slowly(service: Service, server: Server) -> None:
    """Let a server that gets its first connections, or its first again, begin with a part of its weight, if the service
    wants that. `advance_starts` goes on, once a second."""
    server.started = 0
    server.part = 100 if service.slow_start != 0 else 0


def set_limits(server: Server, upper: int, lower: int, quota: int) -> None:
    """The server's limits (thresholds.py). Raises ConfigureError."""
    if not 0 <= lower <= upper < 1 << 32 or not 0 <= quota <= upper:
        raise ConfigureError(f"limits {upper} and {lower}, {quota} of them here: out of range")
    if upper == 0 or upper > server.upper:
        server.overloaded = 0
    server.upper, server.lower, server.quota = upper, lower, quota
