"""Health of all servers: from the configuration come checks, from results states, from states what the engine has.

Lives in the control thread, from the start of the gateway on; serving.py gives it checkers and a clock that ticks. All
results of one server count together: each check must be up, its agent and traffic must not say otherwise.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pronghorn.control.endpoint import Endpoint
from pronghorn.control.health.agents import valid_words
from pronghorn.control.health.messages import Order
from pronghorn.control.health.passive import Counters, Watch
from pronghorn.control.health.plane import HealthPlane
from pronghorn.control.health.roster import Real, Virtual
from pronghorn.control.health.track import Track, begun
from pronghorn.control.log import say
from pronghorn.control.model import ServiceKey
from pronghorn.control.plane import Engine

if TYPE_CHECKING:
    from pronghorn.control.health.views import HealthView

Place = tuple[ServiceKey, Endpoint, str]  # service, server, the check's label
Wanted = dict[int, tuple[Order, Track]]


@dataclass(eq=False)
class Entry:
    """A check of a server."""

    number: int
    way: str
    order: Order
    track: Track


class Health:
    """See above. `clock` is the one on the wall, `ticks` never goes back."""

    def __init__(
        self, engine: Engine, clock: Callable[[], float] = time.time, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self.plane = HealthPlane(engine)
        self.entries: dict[Place, Entry] = {}
        self._places: dict[int, Place] = {}
        self._numbers = itertools.count(1)
        self._refused = False  # by the engine, which has not all that it is to have
        self._clock, self._ticks = clock, ticks
        self.send: Callable[[str, Wanted, list[int]], None] = lambda way, new, gone: None
        self.hook: Callable[[Sequence[str], Mapping[str, str]], None] = lambda command, variables: None

    # --- the configuration --------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """A plan was carried out: checks come and go, and everything is as it should be. What stays is left alone."""
        self.plane.settled()
        places = dict(self._orders())
        new: dict[str, Wanted] = {"gateway": {}, "kernel": {}}
        gone: dict[str, list[int]] = {"gateway": [], "kernel": []}
        for place, entry in list(self.entries.items()):
            if places.get(place) != (entry.way, entry.order):
                gone[entry.way].append(entry.number)
                del self._places[entry.number]
                if place not in places:
                    del self.entries[place]
        for place, (way, order) in places.items():
            old = self.entries.get(place)
            if old is not None and old.number in self._places:
                continue
            track = begun(order.check, self._clock())
            if old is not None:  # it is asked otherwise, and goes on from what is known
                track = replace(old.track, known=False, streak=0, backoff=0.0, words={})
            entry = Entry(next(self._numbers), way, order, track)
            self.entries[place], self._places[entry.number] = entry, place
            new[way][entry.number] = order, track
        for way in new:
            if new[way] or gone[way]:
                self.send(way, new[way], gone[way])
        with self.plane.together():
            for key, virtual in self.plane.services.items():
                for real in virtual.servers.values():
                    passive = virtual.service.passive
                    if real.watch is None or real.watch.settings != passive:
                        real.watch = Watch(passive) if passive else None
                    self._find(key, real)
                self._weigh(key, virtual)
        self._announce()

    def _orders(self) -> Iterator[tuple[Place, tuple[str, Order]]]:
        """Every check of every server, as configured."""
        for key, virtual in self.plane.services.items():
            for address, real in virtual.servers.items():
                for check in virtual.service.checks:
                    port = check.port or real.server.check_port or address.port
                    names = virtual.service.name, real.server.label
                    order = Order(check, address.address, port, *(names if check.type == "script" else ("", "")))
                    yield (key, address, check.label), (real.server.check_via or check.via, order)

    def wanted(self, way: str) -> Wanted:
        """All checks of a way, for a checker that begins."""
        return {one.number: (one.order, one.track) for one in self.entries.values() if one.way == way}

    # --- what is found out --------------------------------------------------------------------------------------------

    def told(self, way: str, tracks: dict[int, Track]) -> None:
        """What a checker says. Checks that are gone meanwhile do not matter. Raises ValueError."""
        servers: dict[tuple[ServiceKey, Endpoint], None] = {}
        for number, track in tracks.items():
            place = self._places.get(number)
            if place is None or self.entries[place].way != way:
                continue
            valid_words(track.words)
            self.entries[place].track = track
            servers[place[:2]] = None
        self._consider(servers)

    def watch(self, counters: Mapping[tuple[ServiceKey, Endpoint], Counters]) -> None:
        """What traffic says, now and then."""
        now, changed = self._ticks(), dict[tuple[ServiceKey, Endpoint], None]()
        for key, virtual in self.plane.services.items():
            for address, real in virtual.servers.items():
                if real.watch is not None and real.watch.look(now, counters.get((key, address), Counters())):
                    changed[key, address] = None
        self._consider(changed)

    @property
    def watches(self) -> bool:
        """Whether there is anything to watch."""
        return any(virtual.service.passive for virtual in self.plane.services.values())

    def _consider(self, servers: dict[tuple[ServiceKey, Endpoint], None]) -> None:
        """Something may have changed for these. Where nothing has, nothing is done."""
        services = dict.fromkeys(self.plane.services) if self._refused else {}
        self._refused = False
        with self.plane.together():
            for key, address in servers:
                if self._find(key, self.plane.services[key].servers[address]):
                    services[key] = None
            for key in services:
                self._weigh(key, self.plane.services[key])
        if services:
            self._announce()

    def _find(self, key: ServiceKey, real: Real) -> bool:
        """All that is known of a server, together. True: something has changed that its service depends on."""
        up, reason, admin, percent = True, "", "ready", None
        virtual = self.plane.services[key]
        for check in virtual.service.checks:
            track = self.entries[key, real.server.address, check.label].track
            if not track.up and up:
                up, reason = False, f"{check.label}: {track.error or 'not checked yet'}"
            if check.type == "agent":
                admin, percent = track.words.get("admin", "ready"), track.words.get("percent")
        if up and real.watch is not None and not real.watch.is_up:
            up, reason = False, f"traffic: {real.watch.error}"
        changed = (real.admin, real.percent) != (admin, percent)
        real.admin, real.percent = admin, percent
        if real.find(up, reason, self._clock()):
            changed = True
            state = "up" if up else "down"
            say(f"server {real.server.label} of {virtual.service.name} is {state}{f': {reason}' if reason else ''}")
            if not up:
                self._carefully(self.plane.give, key, real)
                if virtual.service.unhealthy == "reset":
                    self._carefully(self.plane.reset_server, key, real.server.address)
        return changed

    def _weigh(self, key: ServiceKey, virtual: Virtual) -> None:
        """Whether the service has servers enough; the engine gets what it is to have."""
        if virtual.weigh(self._clock()):
            service = virtual.service
            state = "has servers again" if virtual.enough else "has not servers enough"
            say(f"service {service.name} {state}")
            self.hook(service.on_up if virtual.enough else service.on_down, self.variables(virtual))
        self._carefully(self.plane.apologise, key)

    def variables(self, virtual: Virtual) -> dict[str, str]:
        """What a command is told."""
        return {
            "PRONGHORN_SERVICE": virtual.service.name,
            "PRONGHORN_ADDRESS": str(virtual.service.address),
            "PRONGHORN_STATE": "up" if virtual.enough else "down",
        }

    def _announce(self) -> None:
        for address, back in self._carefully(self.plane.announce) or ():
            say(f"address {address} is {'answered for again' if back else 'withdrawn: its services have no servers'}")

    def _carefully(self, do: Callable[..., Any], *arguments: Any) -> Any:
        """What the engine refuses is said, and tried again with the next results."""
        try:
            return do(*arguments)
        except Exception as error:
            self._refused = True
            say(f"health: the engine has refused a change: {error}")
            return None

    # --- what is shown ------------------------------------------------------------------------------------------------

    def views(self) -> list[HealthView]:
        """Every server, with its checks."""
        from pronghorn.control.health.show import views

        return views(self, self._clock())

    def state_of(self, virtual: Virtual, real: Real) -> str:
        """In one word."""
        if not real.up:
            return "down"
        if real.admin != "ready":
            return real.admin
        if real.watch is not None and real.watch.state == "probation":
            return "probation"
        return "up" if virtual.service.checks or real.watch is not None else "unchecked"
