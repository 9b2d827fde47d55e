"""Who may, from the configuration to the engine: mistakes, files, plans; sets that change while packets could come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pronghorn.balancer import set_entries, sets
from pronghorn.balancer.access import BLACK_LIST, DEFEND_UDP, PACKET_RATES
from pronghorn.balancer.set_changes import CAPACITY
from pronghorn.balancer.set_entries import read_member
from pronghorn.balancer.tables import ASKS_ACCESS, BLACK_SETS, Balancer
from pronghorn.control import access_settings
from pronghorn.control.apply import apply
from pronghorn.control.load import loads, parse
from pronghorn.control.model import Config
from pronghorn.control.native import NativeEngine, open_engine
from pronghorn.control.plan import plan
from pronghorn.control.problems import ConfigError


def config(*sets: dict[str, Any], service: dict[str, Any] | None = None, **balancer: Any) -> Config:
    return parse(
        {
            "gateway": {"workers": 2, "packets": 1024, "huge_pages": False},
            "ports": [{"name": "in", "device": "null:", "addresses": ["10.0.0.1/24"]}],
            "balancer": {"local_addresses": ["10.0.0.1"], **balancer},
            "services": [{"name": "web", "address": "10.0.0.1:80", **(service or {})}],
            "sets": list(sets),
        }
    )


def one(name: str, *entries: str, kind: str = "net", **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "entries": list(entries), **more}


@pytest.fixture
def engine() -> Iterator[NativeEngine]:
    engine = open_engine(config().empty())
    apply(plan(config().empty(), config()), engine)
    yield engine
    engine.close()


def become(engine: NativeEngine, running: Config, wanted: Config) -> list[str]:
    """Carry out what leads from one to the other; what it was."""
    actions = plan(running, wanted)
    apply(actions, engine)
    return [str(action) for action in actions]


def entries(engine: NativeEngine, name: str) -> list[str]:
    return sorted(view.entry for view in engine.set_entries(name))


def balancers(engine: NativeEngine) -> list[Balancer]:
    return [Balancer(engine.engine.workers[index].balancer) for index in range(2)]


def test_the_numbers_of_both_sides_agree() -> None:
    assert tuple(set_entries.KINDS) == access_settings.KINDS
    assert access_settings.IPSET_KINDS == set_entries.IPSET_KINDS
    assert (access_settings.ENTRIES, sets.SETS > 1, BLACK_SETS) == (CAPACITY, True, 8)


# --- reading ------------------------------------------------------------------------------------------------------


def test_mistakes_are_named_with_their_place() -> None:
    text = """\
[[ports]]
name = "in"
device = "null:"
addresses = ["10.0.0.1/24"]
[balancer]
local_addresses = ["10.0.0.1"]
black_lists = ["none"]
[[services]]
name = "web"
address = "10.0.0.1:80"
deny = "bda"
[[sets]]
name = "bad"
kind = "hash:net"
entries = ["10.0.0.0/8", "10.0.0.1/8", "x"]
max_entries = 2
[[sets]]
name = "bad"
kind = "interface"
entries = ["out"]
"""
    with pytest.raises(ConfigError) as caught:
        loads(text, "f")
    lines = [str(problem) for problem in caught.value.problems]
    for part in (
        'f:15: sets[0].entries[1] = "10.0.0.1/8": is not a prefix, or has bits set after its length',
        'sets[0].entries[2] = "x"',
        "sets[0].max_entries = 2: is less than its 3 entries",
        'sets[1].name = "bad": another set has this name',
        'sets[1].entries[0] = "out": no port has this name; allowed: in',
        'f:7: balancer.black_lists[0] = "none": no set has this name; allowed: bad, bad',
        'f:11: services[0].deny = "bda": no set has this name',
    ):
        assert any(part in line for line in lines), (part, lines)
    assert len(lines) == 7


def test_a_file_stands_in_the_set_itself(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_text('# bad ones\n10.1.0.0/16\n\n  10.2.0.0/16 comment "two"  \n')
    [found] = config(one("bad", "10.0.0.0/16", file=str(path))).sets
    assert found.entries == ("10.0.0.0/16", "10.1.0.0/16", '10.2.0.0/16 comment "two"')
    assert found.file is None
    path.write_text("10.1.0.0/8\n")
    with pytest.raises(ConfigError, match=r"entries\[0\].*bits set"):
        config(one("bad", file=str(path)))
    path.unlink()
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        config(one("bad", file=str(path)))


def test_a_plan_says_what_changes() -> None:
    before = config(one("a", "10.0.0.0/8", "::/0"), one("b", kind="ip"), service={"deny": "a"})
    after = config(
        one("a", "10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16", timeout=5),
        one("c", "80", kind="port"),
        service={"allow": "a", "source_connections": 7},
        black_lists=["c"],
        defence_udp_drop=True,
    )
    assert [str(action) for action in plan(before, after)] == [
        "change set a: 2 entries more, 1 entries fewer, timeout 0 -> 5",
        "add set c (port, 1 entries)",
        "change guards: black_lists none -> c, defence_udp_drop false -> true",
        "change who may use tcp 10.0.0.1:80: allow none -> a, deny a -> none, source_connections 0 -> 7",
        "remove set b",
    ]
    assert [str(action) for action in plan(after, after)] == []


# --- the engine ---------------------------------------------------------------------------------------------------


def test_an_engine_has_what_it_is_told(engine: NativeEngine) -> None:
    wanted = config(
        one("a", "10.0.0.0/8", '::/0 comment "all"'),
        one("b", "192.0.2.1", kind="ip", max_entries=10),
        service={"deny": "a", "allow": "b", "source_packets": 1000},
        black_lists=["b"],
        defence_udp_drop=True,
    )
    become(engine, config(), wanted)
    assert entries(engine, "a") == ["10.0.0.0/8", "::/0"]
    first, second = engine.sets()
    assert (first.name, first.kind, first.entries, first.used_by) == ("a", "net", 2, ("deny of tcp 10.0.0.1:80",))
    assert (second.max_entries, second.used_by) == (10, ("black list", "allow of tcp 10.0.0.1:80"))
    for balancer in balancers(engine):
        assert balancer.guards == BLACK_LIST | DEFEND_UDP | PACKET_RATES
        assert balancer.services[0].asks == ASKS_ACCESS
        assert (balancer.access[0].packet_interval, balancer.access[0].packet_slack) == (1_000_000, 99_000_000)
    become(engine, wanted, config())
    assert list(engine.sets()) == []
    for balancer in balancers(engine):
        assert (balancer.guards, balancer.services[0].asks, balancer.access[0].deny) == (0, 0, 0)


def test_entries_that_stay_are_left_alone(engine: NativeEngine) -> None:
    """Those of commands, too; the service asks the same table all the while."""
    before = config(one("a", "10.0.0.0/8", "10.1.0.0/16"), service={"deny": "a"})
    become(engine, config(), before)
    asked = balancers(engine)[1].access[0].deny
    assert (
        engine.add_entries("a", [read_member("net", "10.9.0.0/16 timeout 60"), read_member("net", "10.0.0.0/8")]) == 1
    )
    after = config(one("a", "10.1.0.0/16", "10.2.0.0/16"), service={"deny": "a"})
    become(engine, before, after)
    assert entries(engine, "a") == ["10.1.0.0/16", "10.2.0.0/16", "10.9.0.0/16"]
    assert balancers(engine)[1].access[0].deny == asked
    found = engine.test_entry("a", read_member("net", "10.9.0.0/16"))
    assert found is not None
    assert found.timeout is not None
    assert 0 < found.timeout <= 60


def test_another_kind_is_another_set_for_all_who_ask_it(engine: NativeEngine) -> None:
    before = config(one("a", "10.0.0.0/8"), service={"deny": "a"}, black_lists=["a"])
    after = config(one("a", "10.0.0.1", kind="ip"), service={"deny": "a"}, black_lists=["a"])
    become(engine, config(), before)
    old = balancers(engine)[0].access[0].deny
    become(engine, before, after)
    assert entries(engine, "a") == ["10.0.0.1"]
    for balancer in balancers(engine):
        assert balancer.access[0].deny == balancer.black[0] != old
    assert [view.kind for view in engine.sets()] == ["ip"]
    become(engine, after, before)
    assert entries(engine, "a") == ["10.0.0.0/8"]


def test_commands_change_entries(engine: NativeEngine) -> None:
    become(engine, config(), config(one("a", max_entries=2)))
    both = [read_member("net", text) for text in ("10.0.0.0/8", "::/0")]
    assert engine.add_entries("a", both) == 2
    with pytest.raises(ValueError, match="room for 0"):
        engine.add_entries("a", [read_member("net", "10.1.0.0/16")])
    assert engine.delete_entries("a", [both[0], read_member("net", "10.7.0.0/16")]) == 1
    assert engine.test_entry("a", both[0]) is None
    assert engine.flush_set("a") == 1
    assert entries(engine, "a") == []


def test_interfaces_are_followed(engine: NativeEngine) -> None:
    """A set of ports knows the number that a port has now."""

    def with_ports(*names: str) -> Config:
        made = config(service={"deny": None}).model_dump(mode="json")
        made["ports"] += [{"name": name, "device": "null:"} for name in names if name != "in"]
        made["sets"] = [one("a", *names, kind="interface")]
        return parse(made)

    first, second = with_ports("in"), with_ports("in", "out")
    become(engine, config(), first)
    become(engine, first, second)
    record = engine._sets.find("a").record
    numbers = {name: record.entries[at].lo for name, at in engine._sets.find("a").names.items()}
    assert numbers == {name: engine.ports_by_name[name][0] for name in ("in", "out")}
    become(engine, second, first)
    assert entries(engine, "a") == ["in"]


def test_addresses_of_services_are_known(engine: NativeEngine) -> None:
    """For the defences: an address as long as some service has it."""
    both = config().model_dump(mode="json")
    both["services"] += [{"name": "dns", "protocol": "udp", "address": "10.0.0.1:53"}]
    wanted = parse(both)
    become(engine, config(), wanted)
    assert entries(engine, "/own") == ["10.0.0.1"]
    become(engine, wanted, config())
    assert entries(engine, "/own") == ["10.0.0.1"]
    none = both | {"services": []}
    become(engine, config(), parse(none))
    assert entries(engine, "/own") == []


def test_sets_change_while_workers_run(engine: NativeEngine) -> None:
    """Numbers are used again, tables grow and old ones go, with every worker waited for each time."""
    become(engine, config(), config(one("a", kind="ip", max_entries=600), service={"deny": "a"}))
    engine.start()
    for first in range(0, 900, 300):
        batch = [read_member("ip", f"10.0.{n >> 8}.{n & 255}") for n in range(first, first + 300)]
        assert engine.add_entries("a", batch) == 300
        assert engine.delete_entries("a", batch) == 300
    assert engine.add_entries("a", [read_member("ip", "10.0.0.1 timeout 1")]) == 1
    engine._sets.clock = lambda: 1 << 61
    engine.expire_entries()
    assert next(iter(engine.sets())).entries == 0
