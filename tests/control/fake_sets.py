"""What commands ask the fake data plane about sets: entries that come and go beside the configuration's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pronghorn.control.model import Set
from pronghorn.control.views import EntryView, SetView


class FakeSets:
    """A part of FakeEngine."""

    set_table: dict[str, Set]
    dynamic: dict[str, list[Any]]

    def sets(self) -> Sequence[SetView]:
        return [
            SetView(name=one.name, kind=one.kind, entries=len(one.entries), max_entries=one.max_entries)
            for one in self.set_table.values()
        ]

    def set_entries(self, name: str) -> Sequence[EntryView]:
        return [EntryView(entry=member.text, comment=member.comment) for member in self.dynamic.get(name, [])]

    def add_entries(self, name: str, wanted: Sequence[Any]) -> int:
        if len(wanted) > self.set_table[name].max_entries:
            raise ValueError(f"set {name} has no room")
        self.dynamic.setdefault(name, []).extend(wanted)
        return len(wanted)

    def delete_entries(self, name: str, wanted: Sequence[Any]) -> int:
        there = self.dynamic.get(name, [])
        self.dynamic[name] = [member for member in there if member.text not in [one.text for one in wanted]]
        return len(there) - len(self.dynamic[name])

    def flush_set(self, name: str) -> int:
        return len(self.dynamic.pop(name, []))

    def test_entry(self, name: str, wanted: Any) -> EntryView | None:
        return next((view for view in self.set_entries(name) if view.entry == wanted.text), None)
