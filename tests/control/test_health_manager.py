"""From states of checks to what the engine has: servers drained and back, weights kept, addresses withdrawn, hooks run;
and plans that change checks leave the others alone."""

from __future__ import annotations

from dataclasses import asdict, replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from pronghorn.cli.tables import table
from pronghorn.control.apply import ApplyError
from pronghorn.control.endpoint import Endpoint, parse_endpoint
from pronghorn.control.gateway import Gateway
from pronghorn.control.health.manager import Health
from pronghorn.control.health.metrics import metrics
from pronghorn.control.health.passive import Counters
from pronghorn.control.health.show import services
from pronghorn.control.load import parse
from pronghorn.control.model import Config, ServiceKey
from tests.control.fake import Broken, FakeEngine

ADDRESS = "198.51.100.10"
KEY = ServiceKey(("tcp", parse_endpoint(f"{ADDRESS}:80")))
A, B = parse_endpoint("10.0.2.1:80"), parse_endpoint("10.0.2.2:80")
TCP = {"type": "tcp", "via": "kernel"}


def config(service: dict[str, Any] | None = None, **changes: Any) -> Config:
    """One service with two servers, and what the test wants otherwise."""
    web = {
        "name": "web",
        "address": f"{ADDRESS}:80",
        "checks": [TCP],
        "servers": [{"address": str(A), "weight": 3}, {"address": str(B), "weight": 5}],
        **(service or {}),
    }
    port = {"name": "out", "device": "null:", "addresses": ["198.51.100.1/24", f"{ADDRESS}/32"]}
    return parse({"ports": [port], "balancer": {"local_addresses": ["198.51.100.1"]}, "services": [web], **changes})


class Running:
    """A gateway over the fake engine, and somebody who plays its checkers."""

    def __init__(self, wanted: Config) -> None:
        self.gateway = Gateway(FakeEngine, wanted)
        assert isinstance(self.gateway.engine, FakeEngine)
        self.engine, self.health = self.gateway.engine, self.gateway.health
        self.hooks: list[tuple[tuple[str, ...], str]] = []
        self.sent: list[tuple[str, list[int], list[int]]] = []
        self.health.hook = lambda command, variables: self.hooks.append((tuple(command), variables["PRONGHORN_STATE"]))
        self.health.send = lambda way, new, gone: self.sent.append((way, sorted(new), gone))

    def tell(self, server: Endpoint, up: bool, label: str = "tcp", words: dict[str, Any] | None = None) -> None:
        entry = self.health.entries[KEY, server, label]
        error = "" if up else "refused"
        track = replace(entry.track, up=up, known=True, checked=1.0, error=error, words=words or {})
        self.health.told(entry.way, {entry.number: track})

    def has(self) -> dict[str, tuple[str, int]]:
        """What the engine has of the servers."""
        return {str(at): (server.state, server.weight) for (_, at), server in self.engine.servers.items()}


UP = {str(A): ("up", 3), str(B): ("up", 5)}


def test_a_server_that_is_down_is_drained_and_keeps_its_weight() -> None:
    running = Running(config())
    assert running.has() == UP
    running.tell(A, False)
    assert running.has() == {str(A): ("drain", 3), str(B): ("up", 5)}
    (view, other) = running.health.views()
    assert (view.state, view.reason, view.share, view.weight, view.downs) == ("down", "tcp: refused", 0, 3, 1)
    assert (other.state, other.share) == ("up", 5)
    running.tell(A, True)
    assert running.has() == UP
    assert (running.health.views()[0].ups, running.health.views()[0].reason) == (1, None)


def test_changes_of_the_configuration_do_not_wake_it() -> None:
    running = Running(config())
    running.tell(A, False)
    drained = [{"address": str(A), "weight": 7, "state": "drain"}, {"address": str(B), "weight": 5}]
    running.gateway.configure(config({"servers": drained}))
    assert running.has()[str(A)] == ("drain", 7)
    drained[0]["state"] = "up"
    running.gateway.configure(config({"servers": drained}))
    assert running.has()[str(A)] == ("drain", 7)
    running.tell(A, True)
    assert running.has()[str(A)] == ("up", 7)


def test_all_checks_must_pass() -> None:
    running = Running(config({"checks": [TCP, {"type": "http", "via": "kernel"}]}))
    running.tell(A, False, "http")
    running.tell(A, True, "tcp")
    assert running.has()[str(A)] == ("drain", 3)
    running.tell(A, True, "http")
    assert running.has() == UP


def test_a_plan_that_fails_leaves_what_is_known() -> None:
    running = Running(config())
    running.tell(A, False)
    more = {"servers": [{"address": "10.0.2.3:80"}, {"address": str(B), "weight": 5}]}
    for at in range(3):
        running.engine.fail_at = len(running.engine.calls) + at
        try:
            running.gateway.configure(config(more))
        except ApplyError:
            assert running.has() == {str(A): ("drain", 3), str(B): ("up", 5)}
        running.engine.fail_at = None
        running.gateway.configure(config())
    running.health.settle()
    assert running.health.plane.services[KEY].servers[A].server.weight == 3


def test_what_the_engine_refuses_is_tried_again() -> None:
    running = Running(config())

    def refuse(*arguments: Any) -> None:
        raise Broken("not now")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running.engine, "drain_server", refuse)
        running.tell(A, False)
        assert running.has() == UP
    running.tell(B, True)
    assert running.has() == {str(A): ("drain", 3), str(B): ("up", 5)}


def test_results_that_change_nothing_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running(config())
    running.tell(A, False)
    monkeypatch.setattr(Health, "_weigh", None)
    for _ in range(3):
        running.tell(A, False)
        running.tell(B, True)


def test_connections_end_where_that_is_wanted() -> None:
    running = Running(config({"unhealthy": "reset"}))
    before = len(running.engine.calls)
    running.tell(A, False)
    assert running.engine.calls[before:] == ["drain_server", "reset_server"]
    assert running.has() == {str(A): ("drain", 3), str(B): ("up", 5)}


def test_an_agent_has_its_say() -> None:
    agent = {"type": "agent", "via": "kernel", "port": 9000}
    running = Running(config({"checks": [TCP, agent]}))
    running.tell(A, True, "agent", {"percent": 50})
    assert running.has()[str(A)] == ("up", 1)
    running.tell(A, True, "agent", {"percent": 50, "admin": "drain", "note": "backup"})
    assert running.has()[str(A)] == ("drain", 1)
    (view, _) = running.health.views()
    assert (view.state, view.reason, view.weight, view.share) == ("drain", "backup", 3, 0)
    running.tell(A, False, "agent", {"percent": 100, "admin": "ready"})
    assert running.has()[str(A)] == ("drain", 3)
    running.tell(A, True, "agent", {"percent": 100, "admin": "ready"})
    assert running.has() == UP
    with pytest.raises(ValueError, match="no answer of an agent"):
        running.tell(A, True, "agent", {"percent": "much"})


# --- no server left ---------------------------------------------------------------------------------------------------


def test_hooks_are_run_when_the_quorum_is_lost_and_there_again() -> None:
    hooks = {"quorum": 5, "hysteresis": 2, "on_up": ["/up", "x"], "on_down": ["/down"]}
    running = Running(config(hooks))
    running.tell(A, False)  # 5 are left, 3 would do
    assert running.hooks == []
    running.tell(B, False)
    running.tell(A, True)  # 3 are there, 7 are needed
    assert running.hooks == [(("/down",), "down")]
    assert running.health.views()[0].service_up is False
    running.tell(B, True)
    assert running.hooks == [(("/down",), "down"), (("/up", "x"), "up")]


def test_a_sorry_server_takes_over() -> None:
    running = Running(config({"on_no_server": "sorry", "sorry_server": "10.0.2.99:80"}))
    for server in (A, B):
        running.tell(server, False)
    assert running.has() == {str(A): ("drain", 3), str(B): ("drain", 5), "10.0.2.99:80": ("up", 1)}
    shown = services(running.health, running.engine.services())
    assert [server.health for server in shown[0].servers] == ["down", "down", "sorry"]
    assert [(server.state, server.weight) for server in shown[0].servers][:2] == [("up", 3), ("up", 5)]
    assert shown[0].up is False
    running.tell(B, True)
    assert running.has() == {str(A): ("drain", 3), str(B): ("up", 5), "10.0.2.99:80": ("drain", 1)}
    running.tell(B, False)
    assert running.has()["10.0.2.99:80"] == ("up", 1)
    running.gateway.configure(config({"on_no_server": "sorry", "sorry_server": "10.0.2.98:80"}))
    assert sorted(running.has()) == [str(A), str(B), "10.0.2.98:80"]
    running.gateway.configure(config().model_copy(update={"services": ()}))
    assert running.engine.servers == {}
    assert running.engine.table == {}


def test_the_sorry_server_comes_before_the_others_go() -> None:
    """With a quorum there are servers left when it takes over."""
    running = Running(config({"on_no_server": "sorry", "sorry_server": "10.0.2.99:80", "quorum": 4}))
    before = len(running.engine.calls)
    running.tell(B, False)
    assert running.engine.calls[before:] == ["drain_server", "add_server", "drain_server"]
    assert running.has()[str(A)] == ("drain", 3)
    before = len(running.engine.calls)
    running.tell(B, True)
    assert running.engine.calls[before:] == ["resume_server", "resume_server", "drain_server"]


def test_an_address_is_withdrawn_when_none_of_its_services_has_servers() -> None:
    two = {"name": "two", "address": f"{ADDRESS}:81", "servers": [{"address": str(A)}], "checks": [TCP]}
    wanted = config({"on_no_server": "withdraw"})
    both = wanted.model_copy(update={"services": (*wanted.services, *config(two).services)})
    running = Running(both)
    address = KEY[1].address
    for server in (A, B):
        running.tell(server, False)
    assert address in running.engine.addresses
    entry = next(one for (key, _, _), one in running.health.entries.items() if key != KEY)
    running.health.told("kernel", {entry.number: replace(entry.track, up=False, known=True)})
    assert address not in running.engine.addresses
    assert running.health.views()[0].withdrawn
    running.gateway.configure(both)  # nothing is changed by a plan that changes nothing
    assert address not in running.engine.addresses
    running.tell(A, True)
    assert address in running.engine.addresses
    for server in (A, B):
        running.tell(server, False)
    running.gateway.configure(wanted)  # without the other
    assert address not in running.engine.addresses
    running.gateway.configure(config().model_copy(update={"services": ()}))
    assert address in running.engine.addresses


def test_a_withdrawn_address_can_be_removed() -> None:
    running = Running(config({"on_no_server": "withdraw"}))
    for server in (A, B):
        running.tell(server, False)
    bare = {"ports": [{"name": "out", "device": "null:", "addresses": ["198.51.100.1/24"]}]}
    running.gateway.configure(parse({**bare, "balancer": {"local_addresses": ["198.51.100.1"]}}))
    assert list(map(str, running.engine.addresses)) == ["198.51.100.1"]
    running.gateway.configure(config())
    assert ADDRESS in map(str, running.engine.addresses)


def test_a_service_without_checks_is_not_touched() -> None:
    running = Running(config({"checks": []}))
    assert running.has() == UP
    assert {view.state for view in running.health.views()} == {"unchecked"}
    assert running.health.wanted("kernel") == {}


# --- traffic ----------------------------------------------------------------------------------------------------------


def test_traffic_makes_a_server_down_for_a_while() -> None:
    ticks = [0.0]
    engine = FakeEngine(config())
    health = Health(engine, clock=lambda: 1000.0, ticks=lambda: ticks[0])
    wanted = config({"checks": [], "passive": {"failures": 2}})
    (service,) = wanted.services
    health.plane.add_service(service.model_copy(update={"servers": ()}))
    for server in service.servers:
        health.plane.add_server(KEY, server)
    health.settle()
    assert health.watches

    def look(at: float, connections: int, refused: int, unanswered: int) -> str:
        ticks[0] = at
        health.watch({(KEY, A): Counters(connections, refused, unanswered)})
        return engine.servers[KEY, A].state + " " + health.views()[0].state

    assert look(0, 0, 0, 0) == "up up"
    assert look(1, 9, 1, 1) == "drain down"
    assert health.views()[0].reason == "traffic: 2 connections failed (1 refused, 1 unanswered so far)"
    assert look(6, 9, 1, 1) == "up probation"
    assert look(7, 9, 2, 1) == "drain down"
    assert look(16, 9, 2, 1) == "drain down"
    assert look(17, 9, 2, 1) == "up probation"
    assert look(18, 10, 2, 1) == "up up"
    assert health.views()[0].passive_downs == 2


# --- plans ------------------------------------------------------------------------------------------------------------


def numbers(running: Running) -> dict[tuple[str, str], int]:
    return {(str(at), label): one.number for (_, at, label), one in running.health.entries.items()}


def test_checks_that_did_not_change_go_on() -> None:
    running = Running(config())
    running.tell(A, False)
    before = numbers(running)
    http = {"type": "http", "via": "kernel"}
    actions = running.gateway.configure(config({"checks": [TCP, http], "scheduler": "rr"}))
    assert "change checks of tcp 198.51.100.10:80" in [str(action) for action in actions]
    after = numbers(running)
    assert before.items() <= after.items()
    assert running.sent == [("kernel", sorted(set(after.values()) - set(before.values())), [])]
    assert running.has()[str(A)] == ("drain", 3)
    running.gateway.configure(config({"checks": [TCP, {**http, "interval": "7s"}], "scheduler": "rr"}))
    changed = numbers(running)
    assert {key for key in changed if changed[key] != after[key]} == {(str(A), "http"), (str(B), "http")}
    running.gateway.configure(config())
    assert numbers(running) == before


def test_new_names_concern_scripts_alone() -> None:
    script = {"type": "script", "via": "kernel", "command": ["/bin/true"]}
    running = Running(config({"checks": [TCP, script]}))
    before = numbers(running)
    running.gateway.configure(config({"checks": [TCP, script], "name": "other"}))
    changed = {label for (at, label), number in numbers(running).items() if number != before[at, label]}
    assert changed == {"script"}
    assert running.health.entries[KEY, A, "script"].order.service == "other"


def test_a_check_that_is_asked_otherwise_goes_on_from_what_is_known() -> None:
    running = Running(config())
    running.tell(A, False)
    running.gateway.configure(config({"checks": [{**TCP, "interval": "9s"}]}))
    assert running.has()[str(A)] == ("drain", 3)
    track = running.health.entries[KEY, A, "tcp"].track
    assert (track.up, track.known) == (False, False)


def test_a_server_may_be_checked_by_another_way_and_port() -> None:
    servers = [{"address": str(A), "check_port": 8000}, {"address": str(B), "check_via": "kernel"}]
    running = Running(config())
    actions = running.gateway.configure(config({"servers": servers}))
    assert any("change checks of server 10.0.2.1:80" in str(action) for action in actions)
    entries = running.health.entries
    assert (entries[KEY, A, "tcp"].order.port, entries[KEY, B, "tcp"].order.port) == (8000, 80)


def test_metrics_are_text() -> None:
    running = Running(config())
    running.tell(A, False)
    text = metrics(running.health.views())
    assert 'pronghorn_health_up{service="web",server="10.0.2.1:80"} 0' in text
    assert 'pronghorn_check_up{service="web",server="10.0.2.2:80",check="tcp"} 0' in text  # none has been made
    assert "# TYPE pronghorn_check_failed_total counter" in text


def test_a_table_fits_on_80_columns() -> None:
    running = Running(config({"checks": [TCP, {"type": "https", "via": "kernel", "name": "certificate-and-page"}]}))
    running.tell(A, False)
    text = StringIO()
    Console(file=text, width=80).print(table("health", [asdict(view) for view in running.health.views()]))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[2].split() == ["web", "up"]
    assert [line.split()[:2] for line in lines[3:5]] == [["10.0.2.1:80", "down"], ["tcp", "down"]]
    assert "refused" in lines[3] + lines[4]
