"""What there is to know about attached programs, for people: numbers summed over the workers. Plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pronghorn.engine.program_claims import Held
from pronghorn.net.configure_routes import address_of
from pronghorn.ports.program_port import ProgramPort
from pronghorn.programs.tables import Program
from pronghorn.state.attach import REUSE, SHARED
from pronghorn.state.port import Queue
from pronghorn.state.verdicts import VERDICTS, Severity
from pronghorn.wire.numbers import PROTOCOL_TCP


@dataclass(frozen=True)
class ClaimFacts:
    """A claim."""

    protocol: str  # tcp or udp
    address: str  # * for any of the program's
    family: int  # 4, 6, or 10: both
    port: int
    shared: bool
    reuse: bool


@dataclass(frozen=True)
class ProgramFacts:
    """An attached program."""

    number: int
    port: int  # of the engine
    linked: bool  # frames pass
    packets_in: int  # from the program, that passed the checks
    octets_in: int
    packets_out: int  # to it
    octets_out: int
    flows: int  # records of its connections
    untracked: int  # connections for which there was no record
    full: int  # frames that its link had no room for
    broken: int  # times that it broke the rules of its lanes
    drops: dict[str, int]  # frames from and for it that ended, by the name of the verdict
    claims: list[ClaimFacts]


def program_facts(
    number: int,
    port: int,
    records: Sequence[Program],
    queues: Sequence[Queue],
    driver: ProgramPort,
    claims: list[ClaimFacts],
) -> ProgramFacts:
    """`records` and `queues` are the workers'."""
    drops = {
        verdict.name: count
        for verdict in VERDICTS.values()
        if verdict.severity != Severity.NORMAL and (count := sum(each.drops[verdict.number] for each in records))
    }
    return ProgramFacts(
        number=number,
        port=port,
        linked=driver.up(),
        packets_in=sum(each.packets_in for each in records),
        octets_in=sum(each.octets_in for each in records),
        packets_out=sum(each.packets_out for each in records),
        octets_out=sum(each.octets_out for each in records),
        flows=sum(each.flows for each in records),
        untracked=sum(each.untracked for each in records),
        full=sum(each.tx_full for each in queues),
        broken=driver.broken(),
        drops=drops,
        claims=claims,
    )


def claim_facts(held: Held) -> ClaimFacts:
    """A claim in words."""
    return ClaimFacts(
        protocol="tcp" if held.protocol == PROTOCOL_TCP else "udp",
        address="*" if held.any else str(address_of(held.hi, held.lo)),
        family=held.family,
        port=held.port,
        shared=bool(held.flags & SHARED),
        reuse=bool(held.flags & REUSE),
    )
