"""Schedulers' flags and servers' limits: in the configuration, in the engine, and in what is shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest

from pronghorn.balancer import configure as balancing
from pronghorn.balancer import scheduling as told
from pronghorn.balancer.schedulers import FLAGS, HASH_TARGETS, SCHEDULERS
from pronghorn.balancer.schedulers.conhash import POINTS
from pronghorn.balancer.tables import Balancer, Server
from pronghorn.cli.tables import console, table
from pronghorn.compiled import array_at, u64
from pronghorn.control import scheduling
from pronghorn.control.apply import ApplyError, apply
from pronghorn.control.health.manager import Health
from pronghorn.control.health.plane import HealthPlane
from pronghorn.control.load import parse
from pronghorn.control.model import Config
from pronghorn.control.native import NativeEngine, open_engine
from pronghorn.control.plan import plan
from pronghorn.control.problems import ConfigError

SERVERS: list[dict[str, Any]] = [{"address": f"10.0.1.{n}:80"} for n in range(10, 14)]


def config(servers: list[dict[str, Any]], **service: object) -> Config:
    usual = {"name": "web", "address": "10.0.0.80:80", "servers": servers}
    ports = [{"name": "in", "device": "null:", "addresses": ["10.0.0.80/32", "10.0.1.1/24"]}]
    gateway = {"workers": 2, "packets": 1024, "huge_pages": False}
    local = {"local_addresses": ["10.0.1.1"]}
    return parse({"gateway": gateway, "ports": ports, "balancer": local, "services": [usual | service]})


class Running:
    """An engine, and the configuration that it has."""

    def __init__(self) -> None:
        self.config = config([]).empty()
        self.engine = open_engine(self.config)
        self.plane = HealthPlane(self.engine)

    def become(self, wanted: Config) -> list[str]:
        """What was done for it."""
        actions = plan(self.config, wanted)
        apply(actions, self.plane)
        self.plane.settled()
        self.config = wanted
        return [str(action) for action in actions]

    def records(self, place: int = 0) -> list[Server]:
        """Of a server, one for each worker."""
        found = [Balancer(worker.balancer) for worker in self.engine._workers()]
        return [balancer.servers[balancer.services[0].members[place]] for balancer in found]

    def points(self) -> list[int]:
        """On the rings of conhash, of each worker."""
        found = [Balancer(worker.balancer).services[0] for worker in self.engine._workers()]
        assert [service.stale for service in found] == [0, 0]
        return [array_at(u64, service.ring)[0] for service in found]


@pytest.fixture(scope="module")
def started() -> Iterator[Running]:
    running = Running()
    yield running
    running.engine.close()


@pytest.fixture
def running(started: Running) -> Iterator[Running]:
    yield started
    started.become(started.config.empty())


def test_names_are_those_of_the_balancer() -> None:
    assert set(get_args(scheduling.Scheduler)) == set(SCHEDULERS)
    assert set(get_args(scheduling.Flag)) == set(FLAGS)
    assert set(get_args(scheduling.Target)) == set(HASH_TARGETS)
    assert [SCHEDULERS[name] for name in scheduling.SLOWLY] == list(told.SLOWLY)
    assert scheduling.Scheduling("rr")[1:] == dataclasses.astuple(told.USUAL)


@pytest.mark.parametrize(
    ("service", "server", "wrong"),
    [
        ({"scheduler": "rr", "scheduler_flags": ["mh-port"]}, {}, 'with scheduler = "mh", this one'),
        ({"scheduler": "sh", "scheduler_flags": ["mh-port"]}, {}, '"sh-fallback", "sh-port"'),
        ({"scheduler": "sh", "scheduler_flags": ["port"]}, {}, "scheduler_flags"),
        ({"scheduler": "mh", "hash_target": "quic-id"}, {}, 'with scheduler = "conhash", any'),
        ({"scheduler": "rr", "slow_start": 5}, {}, "0; with scheduler wrr, wlc, sed"),
        ({"scheduler": "wrr", "slow_start": 86_401}, {}, "slow_start"),
        ({}, {"lower_connections": 5}, "has no effect without upper_connections"),
        ({}, {"upper_connections": 5, "lower_connections": 5}, "0..4"),
        ({}, {"upper_connections": -1}, "upper_connections"),
    ],
)
def test_what_is_refused(service: dict[str, Any], server: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config([SERVERS[0] | server], **service)
    assert wrong in str(caught.value)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
def test_what_the_model_takes_the_balancer_takes(scheduler: str) -> None:
    """And the other way round."""
    for more in ({"scheduler_flags": [flag]} for flag in FLAGS):
        assert _model_takes(scheduler, **more) == _balancer_takes(scheduler, tuple(more["scheduler_flags"]))
    assert _model_takes(scheduler, hash_target="quic-id") == _balancer_takes(scheduler, (), "quic-id")
    assert _model_takes(scheduler, slow_start=9) == _balancer_takes(scheduler, (), "address", 9)


def _model_takes(scheduler: str, **more: object) -> bool:
    try:
        config([], scheduler=scheduler, **more)
    except ConfigError:
        return False
    return True


def _balancer_takes(scheduler: str, *more: Any) -> bool:
    try:
        told.check_scheduling(scheduler, told.Scheduling(*more))
    except balancing.ConfigureError:
        return False
    return True


def test_the_engine_has_and_shows_what_is_said(running: Running) -> None:
    running.become(config(SERVERS, scheduler="sh", scheduler_flags=["sh-port", "sh-fallback"]))
    assert set(running.engine.services()[0].scheduler_flags) == {"sh-port", "sh-fallback"}
    kept = [record.address for record in running.records()]
    for place in range(2):
        running.records()[place].connections = 7 + place  # would be gone with the server
    done = running.become(config(SERVERS, scheduler="conhash", hash_target="quic-id"))
    assert done == [
        "change scheduler of tcp 10.0.0.80:80: sh (sh-port, sh-fallback) -> conhash (by quic-id)",
    ]
    shown = running.engine.services()[0]
    assert (shown.scheduler, shown.scheduler_flags, shown.hash_target) == ("conhash", (), "quic-id")
    running.become(config(SERVERS, scheduler="wlc", slow_start=30))
    assert running.engine.services()[0].slow_start == 30
    assert [record.address for record in running.records()] == kept
    assert running.engine.services()[0].servers[0].connections == 15
    assert running.plane.services[config([]).services[0].key].service.slow_start == 30


def test_limits_change_in_place_and_are_divided(running: Running) -> None:
    running.become(config([SERVERS[0] | {"upper_connections": 5, "lower_connections": 2}]))
    assert [record.quota for record in running.records()] == [2, 3]
    kept = [record.address for record in running.records()]
    done = running.become(config([SERVERS[0] | {"upper_connections": 8}]))
    where = "change connections of server 10.0.1.10:80 of tcp 10.0.0.80:80"
    assert done == [f"{where}: at most 5, again below 2 -> at most 8"]
    assert [(one.address, one.upper, one.lower, one.quota) for one in running.records()] == [
        (kept[0], 8, 0, 4),
        (kept[1], 8, 0, 4),
    ]
    assert running.become(config([SERVERS[0]])) == [f"{where}: at most 8 -> no limit"]
    assert [one.upper for one in running.records()] == [0, 0]


def test_an_overloaded_server_is_shown_as_such(running: Running) -> None:
    running.become(config([SERVERS[0] | {"upper_connections": 8}]))
    first, second = running.records()

    def shown(here: int, there: int) -> bool:
        first.conns, second.conns = here, there
        return running.engine.services()[0].servers[0].overloaded

    try:
        assert not shown(4, 3)
        assert shown(4, 4)  # in total, before any worker has seen it
        first.overloaded = 1
        assert shown(3, 3)
        assert not shown(3, 2)  # less than three quarters
    finally:
        first.conns = second.conns = 0


@pytest.mark.parametrize("limit", [0, 1])
def test_tables_say_it(running: Running, limit: int, capsys: pytest.CaptureFixture[str]) -> None:
    server = SERVERS[0] | {"upper_connections": limit}
    running.become(config([server], scheduler="sh", scheduler_flags=["sh-port"]))
    for one in running.records():
        one.conns = 1
    row = dataclasses.asdict(running.engine.services()[0])
    for one in running.records():
        one.conns = 0
    console().print(table("services", [row]))
    text = capsys.readouterr().out
    assert "sh sh-port full-nat" in text
    assert ("at most 1" in text, "overloaded" in text) == (bool(limit), bool(limit))


def test_tables_of_schedulers_are_made_once_for_a_plan(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    rebuild: Callable[[Balancer], None] = balancing.rebuild_lookups

    def count(balancer: Balancer) -> None:
        made.append(balancer.address)
        rebuild(balancer)

    monkeypatch.setattr(balancing, "rebuild_lookups", count)
    running.become(config(SERVERS, scheduler="conhash"))
    assert len(made) == 2  # one for each worker
    assert running.points() == [4 * POINTS] * 2
    made.clear()
    service_key, at = running.config.services[0].key, running.config.services[0].servers[0].address
    running.engine.drain_server(service_key, at)  # outside of plans: at once
    assert len(made) == 2
    running.engine.resume_server(service_key, at)


def test_tables_are_made_too_when_a_plan_fails(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    running.become(config(SERVERS[:1], scheduler="conhash"))

    def fail(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(NativeEngine, "change_weight", fail)
    with pytest.raises(ApplyError):
        running.become(config([SERVERS[1], SERVERS[0] | {"weight": 5}], scheduler="conhash"))
    assert running.points() == [POINTS] * 2


def test_tables_are_made_once_for_what_health_finds(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that are down together go together."""
    health, before, made = Health(running.engine), running.plane, list[int]()
    rebuild: Callable[[Balancer], None] = balancing.rebuild_lookups

    def count(balancer: Balancer) -> None:
        made.append(balancer.address)
        rebuild(balancer)

    running.plane = health.plane
    running.become(config(SERVERS, scheduler="conhash", checks=[{"type": "tcp", "via": "kernel"}]))
    health.settle()
    monkeypatch.setattr(balancing, "rebuild_lookups", count)
    found = {number: replace(track, up=False, known=True) for number, (_, track) in health.wanted("kernel").items()}
    health.told("kernel", dict(list(found.items())[:3]))
    assert [server.state for server in running.engine.services()[0].servers] == ["drain"] * 3 + ["up"]
    assert len(made) == 2
    assert running.points() == [POINTS] * 2
    running.become(running.config.empty())
    running.plane = before
