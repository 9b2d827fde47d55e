"""Plans: carried out they lead to what was wanted, undone they leave what was there, and no step breaks what stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.compiled import mode
from pronghorn.control.apply import ApplyError, apply
from pronghorn.control.load import parse
from pronghorn.control.model import Config
from pronghorn.control.plan import RestartNeeded, plan
from tests.control.fake import FakeEngine, state_of
from tests.control.strategies import configs, pairs

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="nothing here is compiled")


def started(config: Config) -> FakeEngine:
    """An engine that carries out a configuration."""
    engine = FakeEngine(config.empty())
    apply(plan(config.empty(), config), engine)
    engine.calls.clear()
    return engine


@given(configs())
def test_a_start_leads_to_the_configuration(config: Config) -> None:
    assert started(config).state() == state_of(config)


@given(pairs)
def test_a_plan_leads_to_what_was_wanted(pair: tuple[Config, Config]) -> None:
    running, wanted = pair
    engine = started(running)
    apply(plan(running, wanted), engine)
    assert engine.state() == state_of(wanted)


@given(pairs)
def test_nothing_to_do_means_nothing_differs(pair: tuple[Config, Config]) -> None:
    running, wanted = pair
    assert plan(running, running) == []
    assert bool(plan(running, wanted)) == (state_of(running) != state_of(wanted))


@given(pairs, st.data())
def test_a_failure_at_any_step_leaves_what_was_there(pair: tuple[Config, Config], data: st.DataObject) -> None:
    running, wanted = pair
    engine, actions = started(running), plan(running, wanted)
    if not actions:
        return
    engine.fail_at = data.draw(st.integers(0, len(actions) - 1))
    with pytest.raises(ApplyError, match="nothing has changed") as caught:
        apply(actions, engine)
    assert caught.value.stuck == []
    assert engine.state() == state_of(running)


@given(pairs)
def test_a_service_with_usable_servers_has_some_at_every_step(pair: tuple[Config, Config]) -> None:
    running, wanted = pair
    engine = started(running)

    def usable() -> set[object]:
        return {key for (key, _), server in engine.servers.items() if server.weight and server.state == "up"}

    before = usable()
    after = {key for (key, _), server in state_of(wanted)[-1].items() if server.weight and server.state == "up"}

    def look() -> None:
        assert before & after <= usable()

    engine.looks.append(look)
    apply(plan(running, wanted), engine)


@given(pairs)
def test_services_and_servers_that_stay_are_never_taken_away(pair: tuple[Config, Config]) -> None:
    running, wanted = pair
    engine = started(running)
    final = state_of(wanted)
    services = engine.table.keys() & final[-2].keys()
    servers = engine.servers.keys() & final[-1].keys()

    def look() -> None:
        assert services <= engine.table.keys()
        assert servers <= engine.servers.keys()

    engine.looks.append(look)
    apply(plan(running, wanted), engine)


def base() -> dict[str, object]:
    return {
        "ports": [{"name": "in", "device": "xdp:eth0", "addresses": ["10.0.0.1/24"]}],
        "balancer": {"local_addresses": ["10.0.0.1"]},
        "services": [
            {
                "name": "web",
                "address": "10.0.0.1:80",
                "servers": [{"address": "10.0.0.8:80"}, {"address": "10.0.0.9:80"}],
            }
        ],
    }


def test_a_plan_reads_like_a_list_of_things_to_do() -> None:
    config = parse(base())
    assert [str(action) for action in plan(config.empty(), config)] == [
        "add port in on xdp:eth0",
        "add address 10.0.0.1/24 to port in",
        "add local address 10.0.0.1",
        "add service web (tcp 10.0.0.1:80, wrr)",
        "add server 10.0.0.8:80 to tcp 10.0.0.1:80 (weight 1)",
        "add server 10.0.0.9:80 to tcp 10.0.0.1:80 (weight 1)",
    ]


def test_new_servers_come_before_old_ones_go() -> None:
    running = parse(base())
    data = base()
    data["services"] = [
        {
            "name": "web",
            "address": "10.0.0.1:80",
            "servers": [{"address": "10.0.0.7:80"}, {"address": "10.0.0.9:80", "state": "drain"}],
        }
    ]
    assert [type(action).__name__ for action in plan(running, parse(data))] == [
        "AddServer",
        "RemoveServer",
        "DrainServer",
    ]


def test_a_port_that_changes_its_device_gives_way_first() -> None:
    running = parse(base())
    data = base()
    data["ports"] = [{"name": "in", "device": "packet:eth0", "addresses": ["10.0.0.1/24"]}]
    assert [str(action) for action in plan(running, parse(data))] == [
        "remove address 10.0.0.1/24 from port in",
        "remove port in on xdp:eth0",
        "add port in on packet:eth0",
        "add address 10.0.0.1/24 to port in",
    ]


def test_settings_of_the_start_need_a_restart() -> None:
    running, wanted = parse({"gateway": {"workers": 1}}), parse({"gateway": {"workers": [2, 3], "packets": 1024}})
    with pytest.raises(RestartNeeded, match=r"gateway.workers \(1 -> \(2, 3\)\), gateway.packets \(16384 -> 1024\)"):
        plan(running, wanted)
    with pytest.raises(RestartNeeded, match=r"sockets.enabled \(False -> True\), sockets.connections"):
        plan(parse({}), parse({"sockets": {"enabled": True, "connections": 1000}}))


def test_changes_of_sockets_read_like_the_rest() -> None:
    running = parse({"sockets": {"enabled": True}})
    data = {"enabled": True, "local_ports": "2000-3000"}
    wanted = parse({"sockets": data, "tcp": {"congestion": "reno", "sack": False}, "udp": {"send_buffer": 4096}})
    actions = plan(running, wanted)
    assert [str(action) for action in actions] == [
        "change ports of sockets: 32768-60999 -> 2000-3000",
        "change TCP: congestion cubic -> reno, sack True -> False",
        "change UDP: send_buffer 212992 -> 4096",
    ]
    assert [str(action.inverse()) for action in actions][
        1
    ] == "change TCP: congestion reno -> cubic, sack False -> True"


def test_what_cannot_be_undone_is_said() -> None:
    config = parse(base())
    engine = FakeEngine(config.empty())
    actions = plan(config.empty(), config)

    def sabotage() -> None:
        engine.open_ports.clear()
        engine.fail_at = len(engine.calls)

    engine.looks.append(sabotage)
    with pytest.raises(ApplyError, match="restart the gateway") as caught:
        apply(actions, engine)
    assert [str(action) for action, _ in caught.value.stuck] == ["remove port in on xdp:eth0"]
