"""The engine of this build does what health wants of it: on every worker, and with what it counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pronghorn.balancer.tables import Balancer
from pronghorn.control.gateway import Gateway
from pronghorn.control.health.serving import counters_of
from pronghorn.control.health.show import services
from pronghorn.control.load import parse
from pronghorn.control.model import Config
from pronghorn.control.native import NativeEngine, open_engine


def config(**service: Any) -> Config:
    """Two workers, one service with an address of its own and two servers."""
    web = {
        "name": "web",
        "address": "10.0.0.80:80",
        "checks": [{"type": "tcp", "via": "kernel"}],
        "servers": [{"address": "10.0.1.10:80", "weight": 2}, {"address": "10.0.1.11:80"}],
        **service,
    }
    ports = [
        {"name": "in", "device": "veth:health-in", "addresses": ["10.0.0.1/24", "10.0.0.80/32"]},
        {"name": "out", "device": "veth:health-out", "addresses": ["10.0.1.1/24"]},
    ]
    gateway = {"workers": 2, "packets": 1024, "huge_pages": False}
    balancer = {"local_addresses": ["10.0.1.1"]}
    return parse({"gateway": gateway, "ports": ports, "balancer": balancer, "services": [web]})


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway(open_engine, config())
    try:
        yield made
    finally:
        made.close()


def tell(gateway: Gateway, up: bool, *places: int) -> None:
    entries = list(gateway.health.entries.values())
    gateway.health.told("kernel", {entries[at].number: replace(entries[at].track, up=up) for at in places})


def states(gateway: Gateway) -> list[tuple[str, str, int]]:
    return [(server.address, server.state, server.weight) for server in gateway.engine.services()[0].servers]


def balancers(gateway: Gateway) -> list[Balancer]:
    engine = gateway.engine
    assert isinstance(engine, NativeEngine)
    return [Balancer(engine.engine.workers[index].balancer) for index in range(2)]


def test_down_and_up(gateway: Gateway) -> None:
    tell(gateway, False, 0)
    assert states(gateway) == [("10.0.1.10:80", "drain", 2), ("10.0.1.11:80", "up", 1)]
    shown = services(gateway.health, gateway.engine.services())[0].servers
    assert [(server.state, server.health) for server in shown] == [("up", "down"), ("up", "up")]
    tell(gateway, True, 0)
    assert states(gateway)[0] == ("10.0.1.10:80", "up", 2)


def test_connections_end_and_the_server_goes_on(gateway: Gateway) -> None:
    gateway.configure(config(unhealthy="reset"))
    before = [balancer.services[0].members[0] for balancer in balancers(gateway)]
    tell(gateway, False, 0)
    assert [balancer.services[0].members[0] for balancer in balancers(gateway)] != before
    assert states(gateway) == [("10.0.1.10:80", "drain", 2), ("10.0.1.11:80", "up", 1)]
    tell(gateway, True, 0)
    assert states(gateway)[0] == ("10.0.1.10:80", "up", 2)


def test_refusals_are_switched_on_and_off(gateway: Gateway) -> None:
    def refuses() -> list[int]:
        return [balancer.services[0].reject for balancer in balancers(gateway)]

    assert refuses() == [0, 0]
    gateway.configure(config(on_no_server="reject"))
    assert refuses() == [1, 1]
    gateway.configure(config())
    assert refuses() == [0, 0]


def test_an_address_goes_and_comes(gateway: Gateway) -> None:
    gateway.configure(config(on_no_server="withdraw"))
    tell(gateway, False, 0, 1)
    assert gateway.engine.ports()[0].addresses == ("10.0.0.1/24",)
    tell(gateway, True, 1)
    assert gateway.engine.ports()[0].addresses == ("10.0.0.1/24", "10.0.0.80/32")


def test_a_sorry_server_comes_and_goes(gateway: Gateway) -> None:
    gateway.configure(config(on_no_server="sorry", sorry_server="10.0.1.99:80"))
    tell(gateway, False, 0, 1)
    assert states(gateway)[2] == ("10.0.1.99:80", "up", 1)
    assert {state for _, state, _ in states(gateway)[:2]} == {"drain"}
    tell(gateway, True, 0, 1)
    assert [state for _, state, _ in states(gateway)] == ["up", "up", "drain"]
    gateway.configure(config())
    assert len(states(gateway)) == 2


def test_counters_are_read(gateway: Gateway) -> None:
    for balancer in balancers(gateway):
        server = balancer.servers[balancer.services[0].members[1]]
        server.connections, server.refused, server.unanswered = 9, 3, 1
    found = {str(address): one for (_, address), one in counters_of(gateway.engine.services()).items()}
    assert (found["10.0.1.11:80"].connections, found["10.0.1.11:80"].failures) == (18, 8)
    assert found["10.0.1.10:80"].failures == 0
