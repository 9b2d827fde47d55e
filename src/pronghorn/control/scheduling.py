"""How servers are chosen, and how many connections they may have, as the configuration says it: `scheduler`, what it is
told by `scheduler_flags`, `hash_target` and `slow_start`, and servers' `upper_connections`, `lower_connections`.

Changes are for new connections. Names are those of balancer/schedulers; those of flags are ipvsadm's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from pronghorn.control.fields import NotStrict

if TYPE_CHECKING:
    from pronghorn.control.model import Config, Server, Service

Scheduler = Literal[
    "rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh", "lblc", "lblcr", "fo", "ovf", "mh", "conhash", "p2c"
]  # fmt: skip
Flag = Literal["sh-fallback", "sh-port", "mh-fallback", "mh-port"]
Target = Literal["address", "address-port", "quic-id"]

CHOICE = (
    "how a server is chosen: in turn, in turn by weight (wrr), by connections (lc to nq, lblc, lblcr, p2c), by hash "
    "(sh, dh, mh: Maglev, conhash), the first with room (fo, ovf)"
)
SLOWLY = ("wrr", "wlc", "sed", "nq", "p2c", "lblc", "lblcr")
"""Schedulers that go by weights at each choice (balancer/scheduling.py)."""

Flags = Annotated[
    tuple[Flag, ...],
    NotStrict,
    Field(
        description="for sh and mh; ...-fallback: when a client's server takes none, another does; ...-port: the "
        "client's port counts as well as its address"
    ),
]
HashTarget = Annotated[
    Target, Field(description="what conhash hashes: the client's address, that and its port, a QUIC connection id")
]
SlowStart = Annotated[
    int,
    Field(
        ge=0,
        le=86_400,
        description="seconds in which a server that comes, or comes back, gets to its whole weight, from a tenth of "
        "it; 0: at once",
    ),
]
Upper = Annotated[
    int,
    Field(
        ge=0,
        le=4_294_967_295,
        description="connections, whatever their state, from which on it is overloaded and gets no new ones; 0: any "
        "number",
    ),
]
Lower = Annotated[
    int,
    Field(
        ge=0,
        le=4_294_967_294,
        description="connections below which it gets new ones again; 0: three quarters of `upper_connections`",
    ),
]

Found = tuple[tuple[str | int, ...], Any, str, str | None]  # path, value, what is wrong, what is allowed


class Scheduling(NamedTuple):
    """What a service says; names are its keys."""

    scheduler: Scheduler
    scheduler_flags: tuple[Flag, ...] = ()
    hash_target: Target = "address"
    slow_start: int = 0

    def __str__(self) -> str:
        asked: list[str] = list(self.scheduler_flags)
        if self.hash_target != "address":
            asked.append(f"by {self.hash_target}")
        if self.slow_start:
            asked.append(f"slow start {self.slow_start} s")
        return self.scheduler + (f" ({', '.join(asked)})" if asked else "")


class Limits(NamedTuple):
    """What a server says; names are its keys."""

    upper_connections: int = 0
    lower_connections: int = 0

    def __str__(self) -> str:
        if not self.upper_connections:
            return "no limit"
        return f"at most {self.upper_connections}" + (
            f", again below {self.lower_connections}" if self.lower_connections else ""
        )

    def is_more_than(self, other: Limits) -> bool:
        """Whether a server gets more connections with these."""
        mine, its = self.upper_connections or 1 << 62, other.upper_connections or 1 << 62
        return (mine, self.lower_connections) > (its, other.lower_connections)


def scheduling_of(service: Service) -> Scheduling:
    return Scheduling(service.scheduler, service.scheduler_flags, service.hash_target, service.slow_start)


def limits_of(server: Server) -> Limits:
    return Limits(server.upper_connections, server.lower_connections)


def findings(config: Config) -> Iterator[Found]:
    """What must hold between these keys (check.py)."""
    for number, service in enumerate(config.services):
        place: tuple[str | int, ...] = ("services", number)
        yield from _scheduling(service, place)
        for at, server in enumerate(service.servers):
            path, upper, lower = (*place, "servers", at), server.upper_connections, server.lower_connections
            if lower and not upper:
                wrong = "has no effect without upper_connections"
                yield (*path, "lower_connections"), lower, wrong, "0, or an upper_connections that is more"
            elif upper and lower >= upper:
                wrong = f"is not less than upper_connections = {upper}"
                yield (*path, "lower_connections"), lower, wrong, f"0..{upper - 1}"


def _scheduling(service: Service, place: tuple[str | int, ...]) -> Iterator[Found]:
    scheduler = service.scheduler
    for at, flag in enumerate(service.scheduler_flags):
        owner = flag.partition("-")[0]
        if owner != scheduler:
            own = [f'"{one}"' for one in Flag.__args__ if one.partition("-")[0] == scheduler]  # type: ignore[attr-defined]
            allowed = ", ".join(own) if own else f'none; with scheduler = "{owner}", this one'
            yield (*place, "scheduler_flags", at), flag, f'is not a flag of scheduler = "{scheduler}"', allowed
    if service.hash_target != "address" and scheduler != "conhash":
        wrong = f'is not for scheduler = "{scheduler}"'
        yield (*place, "hash_target"), service.hash_target, wrong, '"address"; with scheduler = "conhash", any'
    if service.slow_start and scheduler not in SLOWLY:
        wrong = f'is not for scheduler = "{scheduler}", which does not go by weights when it chooses'
        yield (*place, "slow_start"), service.slow_start, wrong, f"0; with scheduler {', '.join(SLOWLY)}, any"
