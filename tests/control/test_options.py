"""Options of services in the configuration: what is refused, what the real engine makes of them, what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from pronghorn.balancer.addresses import raw_port, service_ports, to_raw
from pronghorn.balancer.change_options import changes_made
from pronghorn.balancer.proxy_tables import PROXY_AUTO, PROXY_OFF
from pronghorn.balancer.services import search_service
from pronghorn.balancer.tables import ASKS_COOKIE, Balancer
from pronghorn.control.apply import apply
from pronghorn.control.health.plane import HealthPlane
from pronghorn.control.load import parse
from pronghorn.control.model import Config
from pronghorn.control.native import NativeEngine, open_engine
from pronghorn.control.plan import plan
from pronghorn.control.problems import ConfigError

EVERYTHING: dict[str, Any] = {
    "persistence": {"timeout": 60, "prefix": 24, "group": "shop", "quiesced": "keep"},
    "timeouts": {"established": 100, "closed": 5},
    "limits": {
        "connections": 1001,
        "per_client": 7,
        "connections_per_second": 11,
        "packets_per_second": 100,
        "octets_per_second": 1000,
    },
    "quiesced": "end",
    "removed": "keep",
    "client_address": "toa",
}


def config(*services: dict[str, Any]) -> Config:
    ports = [{"name": "in", "device": "null:", "addresses": ["10.0.0.1/24", "fd00::1/64"]}]
    usual = {"name": "web", "address": "10.0.0.1:80", "servers": [{"address": "10.0.1.10:80"}]}
    named = [{**usual, **service} for service in services]
    gateway = {"workers": 2, "packets": 1024, "huge_pages": False}
    return parse({"gateway": gateway, "ports": ports, "balancer": {"local_addresses": ["10.0.0.1"]}, "services": named})


@pytest.mark.parametrize(
    ("services", "wrong"),
    [
        ([{"persistence": {"prefix": 33}}], "longer than an IPv4 address"),
        ([{"persistence": {"timeout": 0}}], "persistence.timeout"),
        ([{"protocol": "udp", "client_address": "toa"}], "is for TCP alone"),
        ([{"syn_proxy": "always", "client_address": "toa"}], "does not go with syn_proxy"),
        ([{"one_packet": True}], "is for UDP alone"),
        ([{"protocol": "udp", "syn_proxy": "auto"}], "is for TCP alone"),
        ([{"syn_proxy": "always", "method": "direct"}], "come through here untranslated"),
        ([{"syn_proxy": "sometimes"}], "syn_proxy"),
        ([{"protocol": "udp", "one_packet": True}], "needs servers that answer clients themselves"),
        ([{"limits": {"per_client": -1}}], "limits.per_client"),
        ([{"listen": ["10.0.0.1:79-81"]}], "that service \"web\" has already"),
        ([{"listen": ["10.0.0.9:81"]}], "no port owns 10.0.0.9"),
        ([{"listen": ["[fd00::1]:81"]}], "is IPv6"),
        ([{"listen": ["10.0.0.1:90-81"]}], "ends before it begins"),
        ([{"listen": ["10.0.0.1:1-5000"]}], "more than 4096 ports"),
        ([{"listen": ["10.0.0.1:81", "10.0.0.1:80-82"]}], "has already"),
        ([{"listen": ["10.0.0.1:0"]}], "is not a port"),
        ([{"timeouts": {"idle": 1}}], "timeouts.idle"),
        (
            [
                {"persistence": {"group": "a"}},
                {"name": "tls", "address": "10.0.0.1:443", "persistence": {"group": "a", "prefix": 24}},
            ],
            "is not that of service",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(services: list[dict[str, Any]], wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        config(*services)


@pytest.fixture
def engine() -> Iterator[NativeEngine]:
    engine = open_engine(config().empty())
    yield engine
    engine.close()


def made(engine: NativeEngine) -> list[Any]:
    """What every worker has of the first service."""
    return [changes_made(Balancer(worker.balancer), 0) for worker in engine._workers()]


def test_the_engine_does_what_a_service_asks(engine: NativeEngine) -> None:
    plane = HealthPlane(engine)
    plain, asking = config({}), config(EVERYTHING)
    apply(plan(plain.empty(), plain), plane)
    before = made(engine)
    actions = plan(plain, asking)
    assert [str(action) for action in actions] == [
        "change persistence, timeouts, limits, quiesced, removed, client_address of tcp 10.0.0.1:80"
    ]
    apply(actions, plane)
    after = made(engine)
    assert [one["quota"] for one in after] == [501, 500], "together what was asked for"
    assert after[0]["rates"] == [352, 3200, 3200, 32000, 32000], "half of it, of 64 to a second's one"
    assert (after[0]["per_client"], after[0]["persistence"], after[0]["mask"]) == (7, 60, 24)
    assert (after[0]["timeouts"]["established"], after[0]["timeouts"]["udp"]) == (100, 300)
    assert (before[0]["toa"], after[0]["toa"]) == (False, True)
    assert engine.keeps(asking.services[0].key)
    divided = Balancer(engine.engine.workers[0].balancer).limits[0]
    divided.quota = 900
    slower = config({**EVERYTHING, "timeouts": {"closed": 6}})
    apply(plan(asking, slower), plane)
    assert divided.quota == 900, "use has divided it so"
    apply(plan(slower, asking), plane)
    divided.quota = 501
    apply([action.inverse() for action in reversed(actions)], plane)
    assert made(engine) == before
    apply(plan(plain, asking), plane)
    apply(plan(asking, plain.empty()), plane)
    apply(plan(plain.empty(), asking), plane)
    assert made(engine) == after, "with the service itself"
    apply(plan(asking, config()), plane)
    assert not engine.keeps(asking.services[0].key)
    assert plan(plain, plain) == []


def test_places_go_from_one_service_to_another(engine: NativeEngine) -> None:
    """In one plan, forth and back."""
    plane = HealthPlane(engine)
    tls = {"name": "tls", "address": "10.0.0.1:443"}
    one = config({"listen": ["10.0.0.1:8000-8009", "10.0.0.1:*"], "keep_port": True}, tls)
    two = config({"listen": ["10.0.0.1:443"]}, {"name": "alt", "address": "10.0.0.1:8000", "listen": ["10.0.0.1:*"]})
    apply(plan(one.empty(), one), plane)
    balancer = Balancer(engine.engine.workers[1].balancer)

    def found(port: int) -> str | None:
        number = search_service(
            balancer, *to_raw(ip_address("10.0.0.1")), service_ports("tcp", ip_address("10.0.0.1"), port)
        )
        return None if number < 0 else f"{raw_port(balancer.services[number].ports >> 16 & 0xFFFF)}"

    assert [found(port) for port in (80, 443, 8000, 8009, 1)] == ["80", "443", "80", "80", "80"]
    assert balancer.servers[0].keep_port == 1
    for _ in range(2):
        apply(plan(one, two), plane)
        assert [found(port) for port in (80, 443, 8000, 8009, 1)] == ["80", "80", "8000", "8000", "8000"]
        assert balancer.servers[0].keep_port == 0
        apply(plan(two, one), plane)
        assert [found(port) for port in (80, 443, 8000, 8009, 1)] == ["80", "443", "80", "80", "80"]
    assert [str(place) for place in one.services[0].listen] == ["10.0.0.1:8000-8009", "10.0.0.1:*"]


def test_quiesced_and_removed_servers(engine: NativeEngine) -> None:
    """What becomes of their connections: the server's record says it, without any."""
    plane = HealthPlane(engine)
    start = config({"quiesced": "end"})
    apply(plan(start.empty(), start), plane)
    balancer = Balancer(engine.engine.workers[1].balancer)
    balancer.servers[0].conns = 1
    drained = config({"quiesced": "end", "servers": [{"address": "10.0.1.10:80", "weight": 0}]})
    apply(plan(start, drained), plane)
    assert (balancer.servers[0].state, balancer.services[0].members[0]) == (3, 1)
    kept = config({"removed": "keep", "servers": []})
    balancer.servers[1].conns = 1
    apply(plan(drained, kept), plane)
    assert balancer.servers[1].state == 4
    apply(plan(kept, kept.empty()), plane)
    assert balancer.servers[1].state == 3, "the service is removed"


def test_it_shows_them(engine: NativeEngine) -> None:
    asking = config(EVERYTHING)
    apply(plan(asking.empty(), asking), HealthPlane(engine))
    limits = Balancer(engine.engine.workers[1].balancer).limits[0]
    limits.full, limits.octets_out.refused, limits.octets_in.refused = 3, 4, 5
    [view] = engine.services()
    assert (view.limit_connections, view.limit_octet_rate, view.conns, view.clients) == (3, 9, 0, 0)
    assert list(engine.clients(9)) == []


def test_the_syn_proxy_of_a_service(engine: NativeEngine) -> None:
    """Half-open connections are divided over the workers; the way back is the way it was."""
    plane = HealthPlane(engine)
    plain, asking = config({}), config({"syn_proxy": "auto", "syn_proxy_half_open": 100, "syn_proxy_defer": True})
    apply(plan(plain.empty(), plain), plane)
    balancers = [Balancer(worker.balancer) for worker in engine._workers()]

    def all_ask() -> list[tuple[bool, int, int, int]]:
        asks = [balancer.services[0].asks & ASKS_COOKIE != 0 for balancer in balancers]
        proxies = [balancer.proxies[0] for balancer in balancers]
        return [(ask, proxy.mode, proxy.limit, proxy.defer) for ask, proxy in zip(asks, proxies, strict=True)]

    actions = plan(plain, asking)
    assert [str(action) for action in actions] == [
        "change syn_proxy, syn_proxy_half_open, syn_proxy_defer of tcp 10.0.0.1:80"
    ]
    apply(actions, plane)
    assert all_ask() == [(True, PROXY_AUTO, 50, 1)] * 2
    apply([action.inverse() for action in reversed(actions)], plane)
    assert all_ask() == [(False, PROXY_OFF, 512, 0)] * 2
