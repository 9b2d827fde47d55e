"""What the engine of this build does about who may: sets, rules of services, the black list, the defences.

Sets are one per engine (balancer/sets.py): they are changed here, under a lock, while the workers read them. What the
workers have of their own, rules and the list of black sets, changes between two of their turns. What has had its time
is taken out by the thread that watches memory.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pronghorn.balancer.change_access import Rules, change_black_list, change_defences, change_rules
from pronghorn.balancer.configure import find_service
from pronghorn.balancer.set_changes import Named, Sets, Shown
from pronghorn.balancer.set_entries import Member, read_member
from pronghorn.balancer.set_slots import set_sum
from pronghorn.balancer.source_rates import create_sources
from pronghorn.balancer.tables import Balancer as Tables
from pronghorn.control.access_settings import Set, members
from pronghorn.control.endpoint import Address
from pronghorn.control.model import Balancer, Service, ServiceKey
from pronghorn.state.worker import Worker

if TYPE_CHECKING:
    from pronghorn.control.views import EntryView, SetView
    from pronghorn.engine.engine import Engine

OWN = "/own"
"""The set of services' addresses; no set of a configuration can have this name."""

NEW = "/new"
"""A set that is to take another's name."""


class NativeAccess:
    """A part of NativeEngine."""

    engine: Engine

    def _everywhere(self, do: Callable[[Worker], object], undo: Callable[[Worker], object] | None = None) -> None:
        raise NotImplementedError

    def _port_number(self, name: str) -> int | None:
        raise NotImplementedError

    def open_access(self) -> None:
        """Called once, when the workers have their balancers."""
        arena, first = self.engine.arena, self.engine.workers[0]
        self._lock = threading.RLock()
        self._sets = Sets(arena, self.engine.worker_count, time.monotonic_ns, self._quiesce, self._port_number)
        self._secret = first.secret
        self._sets.create(OWN, "ip", secret=self._secret)
        self._owned: Counter[Address] = Counter()
        self._rules: dict[ServiceKey, Service] = {}
        self._guards = Balancer()
        sources = create_sources(arena, self._secret).address

        def give(worker: Worker) -> None:
            Tables(worker.balancer).sources = sources

        self._everywhere(give)

    def _quiesce(self) -> None:
        """Every worker ends the turn that it is in."""
        for index in range(self.engine.worker_count):
            self.engine.call(index, _nothing)

    def expire_entries(self) -> None:
        """Take out what has had its time."""
        with self._lock:
            self._sets.expire()

    def port_moved(self, name: str, number: int | None) -> None:
        """A port has come, or is about to go."""
        with self._lock:
            self._sets.rename_interface(name, number)

    # --- sets ---------------------------------------------------------------------------------------------------------

    def add_set(self, set: Set) -> None:
        with self._lock:
            self._make(set.name, set)

    def _make(self, name: str, set: Set) -> Named:
        named = self._sets.create(name, set.kind, set.max_entries, set.timeout, self._secret)
        try:
            self._sets.add(name, members(set.kind, set.entries)[0])
        except Exception:
            self._sets.remove(name)
            raise
        return named

    def remove_set(self, set: Set) -> None:
        with self._lock:
            self._sets.remove(set.name)

    def change_set(self, old: Set, new: Set) -> None:
        """Entries that both have are left alone, however they came to be there."""
        with self._lock:
            if (old.kind, old.max_entries) != (new.kind, new.max_entries):
                self._replace(new)
                return
            self._sets.find(new.name).timeout = new.timeout
            before, after = frozenset(old.entries), frozenset(new.entries)
            coming = [member for text, member in _texts(new) if text not in before or old.timeout != new.timeout]
            stay = {member.text for _, member in _texts(new)}
            going = [member for text, member in _texts(old) if text not in after and member.text not in stay]
            self._sets.add(new.name, coming)
            self._sets.delete(new.name, going)

    def _replace(self, set: Set) -> None:
        """Make the new one aside, give it to all who ask the old one, and forget that."""
        fresh = self._make(NEW, set)
        sets = self._sets.sets
        old = sets[set.name]
        sets[set.name], sets[NEW] = fresh, old
        fresh.name, old.name = set.name, NEW
        for service in self._rules.values():
            if set.name in (service.allow, service.deny):
                self.change_rules(service)
        if set.name in self._guards.black_lists:
            self.change_guards(self._guards)
        self._sets.remove(NEW)

    # --- who asks them ------------------------------------------------------------------------------------------------

    def open_service(self, service: Service) -> None:
        """It has just been added."""
        with self._lock:
            if service.allow or service.deny or service.source_connections or service.source_packets:
                self.change_rules(service)
            self._rules[service.key] = service
            address = service.address.address
            self._owned[address] += 1
            if self._owned[address] == 1:
                self._sets.add(OWN, [read_member("ip", str(address))])

    def close_service(self, key: ServiceKey) -> None:
        """It is about to go."""
        with self._lock:
            address = self._rules.pop(key).address.address
            self._owned[address] -= 1
            if self._owned[address] == 0:
                self._sets.delete(OWN, [read_member("ip", str(address))])

    def change_rules(self, service: Service) -> None:
        with self._lock:
            rules = Rules(
                deny=self._sets.address(service.deny) if service.deny else 0,
                allow=self._sets.address(service.allow) if service.allow else 0,
                connections=service.source_connections,
                connections_burst=service.source_connections_burst,
                packets=service.source_packets,
                packets_burst=service.source_packets_burst,
            )
            protocol, at = service.key

            def change(worker: Worker) -> None:
                balancer = Tables(worker.balancer)
                change_rules(balancer, find_service(balancer, protocol, *at), rules)

            self._everywhere(change)
            self._rules[service.key] = service

    def change_guards(self, balancer: Balancer) -> None:
        with self._lock:
            black = [self._sets.address(name) for name in balancer.black_lists]
            own = self._sets.address(OWN)

            def change(worker: Worker) -> None:
                tables = Tables(worker.balancer)
                change_black_list(tables, black)
                change_defences(tables, balancer.defence_tcp_drop, balancer.defence_udp_drop, own)

            self._everywhere(change)
            self._guards = balancer

    # --- commands (plane.SetPlane) ------------------------------------------------------------------------------------

    def sets(self) -> Sequence[SetView]:
        from pronghorn.control.views import SetView

        workers = self.engine.worker_count
        with self._lock:
            return [
                SetView(
                    name=named.name,
                    kind=named.kind,
                    entries=named.count,
                    max_entries=named.record.capacity,
                    timeout=named.timeout,
                    used_by=tuple(self._users(named.name)),
                    packets=set_sum(named.record, workers, False),
                    octets=set_sum(named.record, workers, True),
                )
                for name, named in self._sets.sets.items()
                if name != OWN
            ]

    def _users(self, name: str) -> list[str]:
        found = ["black list"] if name in self._guards.black_lists else []
        for service in self._rules.values():
            found += [f"{key} of {service.key}" for key in ("allow", "deny") if getattr(service, key) == name]
        return found

    def set_entries(self, name: str) -> Sequence[EntryView]:
        with self._lock:
            return [_view(shown) for shown in self._sets.entries(name)]

    def add_entries(self, name: str, wanted: Sequence[Member]) -> int:
        with self._lock:
            return self._sets.add(name, wanted)

    def delete_entries(self, name: str, wanted: Sequence[Member]) -> int:
        with self._lock:
            return self._sets.delete(name, wanted)

    def flush_set(self, name: str) -> int:
        with self._lock:
            return self._sets.flush(name)

    def test_entry(self, name: str, wanted: Member) -> EntryView | None:
        with self._lock:
            shown = self._sets.test(name, wanted)
        return None if shown is None else _view(shown)


def _nothing(worker: Worker) -> None:
    """What a worker does when only its turn's end is waited for."""


def _texts(set: Set) -> list[tuple[str, Member]]:
    return list(zip(set.entries, members(set.kind, set.entries)[0], strict=True))


def _view(shown: Shown) -> EntryView:
    from pronghorn.control.views import EntryView

    return EntryView(
        entry=shown.text,
        timeout=shown.left,
        comment=shown.comment,
        nomatch=shown.nomatch,
        packets=shown.packets,
        octets=shown.octets,
    )
