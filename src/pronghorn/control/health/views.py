"""What `pronghorn show health` shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True, kw_only=True)
class CheckView:
    name: Annotated[str, "the check's name, or its type"]
    type: Annotated[str, "its kind"]
    via: Annotated[str, "gateway or kernel: whose sockets it uses"]
    port: Annotated[int, "where it asks"]
    state: Annotated[str, "up or down; new: no result yet"]
    age: Annotated[float, "seconds in this state"]
    ok: Annotated[int, "checks that passed"]
    failed: Annotated[int, "checks that failed"]
    streak: Annotated[int, "results in a row that contradict the state"]
    ups: Annotated[int, "times that it became up"]
    downs: Annotated[int, "times that it became down"]
    last: Annotated[float | None, "seconds since the last result; none: there was none"]
    took: Annotated[float, "how long the last check took, ms"]
    error: Annotated[str | None, "why the last failed check has failed, until it is up again"]


@dataclass(frozen=True, kw_only=True)
class HealthView:
    service: Annotated[str, "the service's name"]
    server: Annotated[str, "the server's name, or its address"]
    address: Annotated[str, "where it answers"]
    state: Annotated[str, "up, down, probation (passive checks), drain or maint (its agent), or unchecked"]
    age: Annotated[float | None, "seconds since it became so, as far as up and down go; none: since it was added"]
    reason: Annotated[str | None, "why it is down, or what its agent says"]
    weight: Annotated[int, "its configured weight"]
    share: Annotated[int, "the weight that counts now: 0 while it gets no new connections"]
    ups: Annotated[int, "times that it became up"]
    downs: Annotated[int, "times that it became down"]
    passive_downs: Annotated[int, "of these, by what traffic said"]
    service_up: Annotated[bool, "whether the service has servers enough (its quorum)"]
    withdrawn: Annotated[bool, "whether the service's address is withdrawn"]
    checks: Annotated[tuple[CheckView, ...], "its checks"]

    @property
    def key(self) -> str:
        return f"{self.service} {self.address}"
