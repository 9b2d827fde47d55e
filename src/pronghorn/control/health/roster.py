"""Servers as they are configured, as they are found to be, and as the engine has them. Pure.

The configuration's weight and state are never overwritten: what the engine is given is computed from both each time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pronghorn.control.endpoint import Endpoint
from pronghorn.control.health.agents import weight_of
from pronghorn.control.health.passive import Watch
from pronghorn.control.health.quorum import is_enough
from pronghorn.control.model import Server, Service


@dataclass(eq=False)
class Real:
    """A server of one service."""

    server: Server  # as configured
    given: Server  # as the engine has it
    up: bool = True  # what checks, agent and traffic say together
    reason: str = ""  # why it is not
    since: float = 0.0  # of `up`, seconds of the clock on the wall
    ups: int = 0  # times that it became up
    downs: int = 0
    percent: int | None = None  # what its agent says of its weight
    admin: str = "ready"  # and of its state: ready, drain, maint
    watch: Watch | None = None

    @property
    def weight(self) -> int:
        """The share of new connections that counts."""
        return weight_of(self.server.weight, self.percent)

    @property
    def takes(self) -> bool:
        """Whether it is to get new connections."""
        return self.up and self.admin == "ready" and self.server.state == "up"

    def find(self, up: bool, reason: str, now: float) -> bool:
        """What is known of it now. True: `up` has changed."""
        self.reason = reason
        if up == self.up:
            return False
        self.up, self.since = up, now
        self.ups, self.downs = self.ups + up, self.downs + (not up)
        return True


@dataclass(eq=False)
class Virtual:
    """A service. `service.servers` is empty; they are here."""

    service: Service
    servers: dict[Endpoint, Real] = field(default_factory=dict)
    enough: bool = True  # it has servers enough
    since: float = 0.0  # of `enough`
    sorry: Server | None = None  # the sorry server, as the engine has it

    @property
    def apologises(self) -> bool:
        """Whether new connections are for the sorry server."""
        return not self.enough and self.service.on_no_server == "sorry"

    def weigh(self, now: float) -> bool:
        """Whether there are servers enough. True: that has changed."""
        weights = sum(real.weight for real in self.servers.values() if real.takes)
        enough = is_enough(self.enough, weights, self.service.quorum, self.service.hysteresis)
        if enough == self.enough:
            return False
        self.enough, self.since = enough, now
        return True

    def wanted(self, real: Real) -> Server:
        """What the engine is to have of a server."""
        takes = real.takes and not self.apologises
        return real.server.model_copy(update={"weight": real.weight, "state": "up" if takes else "drain"})


def withdrawn(services: Iterable[Virtual]) -> set[object]:
    """Addresses that are not to be answered for: a service of theirs says so, and none of theirs has servers."""
    services = list(services)
    alive = {one.service.address.address for one in services if one.enough}
    return {
        one.service.address.address
        for one in services
        if one.service.on_no_server == "withdraw" and one.service.address.address not in alive
    }
