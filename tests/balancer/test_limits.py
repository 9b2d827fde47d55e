"""Limits of services and of their clients: what passes, what does not, and that the total holds over workers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pronghorn.balancer import configure
from pronghorn.balancer.change_options import change_persistence
from pronghorn.balancer.clients import WAYS, client_count
from pronghorn.balancer.configure import ConfigureError
from pronghorn.balancer.health import reset_server
from pronghorn.balancer.set_limits import PER_SECOND, Wanted, change_limits
from pronghorn.balancer.shares import BUCKETS, Shares, split
from pronghorn.balancer.tables import Balancer
from pronghorn.state.verdicts import (
    CLIENT_LIMIT,
    QUEUED,
    SERVICE_LIMIT_CONNS,
    SERVICE_LIMIT_OCTETS,
    SERVICE_LIMIT_PACKETS,
    SERVICE_LIMIT_RATE,
    SERVICE_REMOVED,
)
from tests.balancer.frames import SERVER, SERVICE, Seen, frame
from tests.balancer.gateway import SERVERS, Gateway

FAMILIES = pytest.mark.parametrize("family", [4, 6])


def client(family: int, number: int) -> str:
    return f"100.64.0.{number}" if family == 4 else f"2001:db8:9:{number:x}::77"


def request(family: int, number: int, sport: int, payload: bytes = b"") -> bytes:
    return frame(client(family, number), sport, SERVICE[family], 80, payload=payload)


def gateway_with(family: int, wanted: Wanted, **more: int) -> Gateway:
    gateway = Gateway(**more)  # type: ignore[arg-type]
    number = gateway.service("udp", SERVICE[family], 80, (SERVER[family],))
    change_limits(gateway.balancer, number, wanted)
    return gateway


def passed(gateway: Gateway, frames: list[bytes], otherwise: int, port: int = 0) -> int:
    """How many go on; the others end with that verdict."""
    verdicts = [gateway.put(one, port) for one in frames]
    gateway.taken()
    assert set(verdicts) <= {QUEUED, otherwise}
    return verdicts.count(QUEUED)


@FAMILIES
def test_connections_of_a_service(family: int) -> None:
    with gateway_with(family, Wanted(connections=3)) as gateway:
        frames = [request(family, 1, sport) for sport in range(5)]
        assert [passed(gateway, frames, SERVICE_LIMIT_CONNS) for _ in range(2)] == [3, 3]
        assert gateway.balancer.limits[0].full == 4
        gateway.wait(301)
        assert gateway.balancer.services[0].conns == 0
        assert passed(gateway, frames[2:], SERVICE_LIMIT_CONNS) == 3
        change_limits(gateway.balancer, 0, Wanted())
        assert passed(gateway, frames, SERVICE_LIMIT_CONNS) == 5
        assert gateway.balancer.services[0].conns == 5
        reset_server(gateway.balancer, 0)
        gateway.wait(1)
        assert gateway.balancer.services[0].conns == 0


@FAMILIES
def test_connections_of_a_client(family: int) -> None:
    with gateway_with(family, Wanted(per_client=2)) as gateway:
        balancer = gateway.balancer
        change_persistence(balancer, 0, 10)  # both count
        for number in (1, 2):
            assert passed(gateway, [request(family, number, sport) for sport in range(4)], CLIENT_LIMIT) == 2
        assert (balancer.limits[0].crowded, balancer.services[0].conns) == (4, 4)
        configure.change_timeouts(balancer, {"udp": 2})
        for _ in range(3):
            gateway.wait(290)
            gateway.put(request(family, 1, 0))
            gateway.taken()
        gateway.wait(1)
        assert balancer.count == 1
        assert passed(gateway, [request(family, 1, sport) for sport in range(4)], CLIENT_LIMIT) == 2
        change_limits(balancer, 0, Wanted())
        gateway.wait(700)
        assert (balancer.count, balancer.template_count) == (0, 0)
        assert not any(balancer.clients[place] & 0xFFFFFF for place in range(1 << 12)), "a part of them"
        change_limits(balancer, 0, Wanted(per_client=2))
        assert passed(gateway, [request(family, 1, sport) for sport in range(4)], CLIENT_LIMIT) == 2


def test_a_client_of_ipv6_is_a_network() -> None:
    with gateway_with(6, Wanted(per_client=2)) as gateway:
        near = [frame(f"2001:db8:9:1::{host}", 1, SERVICE[6], 80) for host in range(1, 5)]
        assert passed(gateway, near, CLIENT_LIMIT) == 2


def test_clients_are_counted_over_workers_and_a_full_line_lets_in() -> None:
    with gateway_with(4, Wanted(per_client=2)) as one:
        balancer = one.balancer
        balancer.client_mask = 0  # everybody competes for one line
        for number in range(1, WAYS + 3):
            assert passed(one, [request(4, number, sport) for sport in range(3)], CLIENT_LIMIT) == (
                2 if number <= WAYS else 3
            )
        assert balancer.limits[0].uncounted == 6
        two = Gateway(workers=1)
        two.balancer.clients, two.balancer.client_mask = balancer.clients, 0
        change_limits(two.balancer, two.service("udp", SERVICE[4], 80, (SERVER[4],)), Wanted(per_client=2))
        assert two.put(request(4, 1, 9)) == CLIENT_LIMIT
        words = [balancer.clients[place] for place in range(WAYS)]
        assert client_count(two.balancer, words[0]) == 2
        one.wait(301)
        assert not any(balancer.clients[place] & 0xFFFFFF for place in range(WAYS))
        assert two.put(request(4, 1, 9)) == QUEUED
        two.taken()
        two.arena.close()


@FAMILIES
def test_connections_a_second(family: int) -> None:
    with gateway_with(family, Wanted(connection_rate=20), conns=128) as gateway:
        frames = [request(family, 1, sport) for sport in range(200)]
        assert passed(gateway, frames[:20], SERVICE_LIMIT_RATE) == 2, "a tenth of a second's"
        total = 0
        for step in range(20):
            gateway.worker.now += 100_000_000
            total += passed(gateway, frames[20 + 5 * step : 25 + 5 * step], SERVICE_LIMIT_RATE)
        assert total == 40, "in two seconds"
        assert passed(gateway, frames[:2] * 9, SERVICE_LIMIT_RATE) == 18, "known ones go on"
        assert gateway.balancer.limits[0].connections.refused == 18 + 60


@FAMILIES
@pytest.mark.parametrize("direction", [0, 1])
def test_packets_and_octets_a_second(family: int, direction: int) -> None:
    with gateway_with(family, Wanted()) as gateway:
        first = request(family, 1, 1000, bytes(100))
        local = Seen(gateway.forward(first)).source
        sent = first if direction == 0 else frame(SERVER[family], 8080, *local, payload=bytes(100), port=SERVERS)
        for wanted, verdict, most in (
            (Wanted(packet_rate=100), SERVICE_LIMIT_PACKETS, 200),
            (Wanted(octet_rate=100 * len(sent)), SERVICE_LIMIT_OCTETS, 200),
        ):
            change_limits(gateway.balancer, 0, wanted)
            assert passed(gateway, [sent] * 20, verdict, direction) == 10
            total = 0
            for _ in range(40):
                gateway.worker.now += 50_000_000
                total += passed(gateway, [sent] * 15, verdict, direction)
            assert most - 1 <= total <= most + 1, "in two seconds"
        change_limits(gateway.balancer, 0, Wanted())
        assert passed(gateway, [sent] * 20, verdict, direction) == 20
        change_limits(gateway.balancer, 0, Wanted(octet_rate=10))
        assert passed(gateway, [sent] * 2, SERVICE_LIMIT_OCTETS, direction) == 1, "whatever its length"
        gateway.worker.now += len(sent) * 99_000_000
        assert passed(gateway, [sent], SERVICE_LIMIT_OCTETS, direction) == 0, "and pays for it"
        gateway.worker.now += len(sent) * 2_000_000
        assert passed(gateway, [sent], SERVICE_LIMIT_OCTETS, direction) == 1
        configure.remove_server(gateway.balancer, 0)
        assert gateway.put(sent, direction) == SERVICE_REMOVED


def test_the_total_holds_over_workers_and_goes_where_it_is_used() -> None:
    gateways = [Gateway(workers=2, index=index, conns=256) for index in range(2)]
    balancers = [gateway.balancer for gateway in gateways]
    wanted = Wanted(connections=21, connection_rate=100, packet_rate=1000, octet_rate=1_000_000)
    for index, gateway in enumerate(gateways):
        gateway.service("udp", SERVICE[4], 80, (SERVER[4],))
        change_limits(gateway.balancer, 0, wanted, index, 2)

    def call(worker: int, change: Callable[[Balancer], None]) -> None:
        change(balancers[worker])
        assert sum(balancer.limits[0].quota for balancer in balancers) <= 21
        for name in BUCKETS:
            rates = sum(getattr(balancer.limits[0], name).rate for balancer in balancers)
            assert rates <= wanted.rates[name] * PER_SECOND

    shares, opened = Shares(), 0
    shares.look(balancers, call)
    for turn in range(12):
        for gateway in gateways:
            gateway.worker.now += 100_000_000
        verdicts = [gateways[1].put(request(4, 1, 10 * turn + k)) for k in range(10)]
        gateways[1].taken()
        opened += verdicts.count(QUEUED)
        shares.look(balancers, call)
        if turn == 0:
            assert balancers[1].limits[0].connections.rate >= 90 * PER_SECOND
    assert [balancer.limits[0].quota for balancer in balancers] == [0, 21], "nothing is left for the other"
    assert opened == 21
    for name in BUCKETS:
        rates = sum(getattr(balancer.limits[0], name).rate for balancer in balancers)
        assert rates == wanted.rates[name] * PER_SECOND, "and nothing is lost"
    gateways[1].wait(302)
    shares.look(balancers, call)
    assert gateways[0].put(request(4, 1, 1)) == QUEUED
    gateways[0].taken()
    for gateway in gateways:
        gateway.arena.close()


def test_shares() -> None:
    assert split(100, [0, 0]) == [50, 50]
    assert split(100, [0, 9]) == [5, 95]
    assert split(7, [1, 1, 1]) == [3, 2, 2]
    assert split(0, [5, 5]) == [0, 0]


def test_what_is_out_of_range_is_refused() -> None:
    with gateway_with(4, Wanted()) as gateway:
        for wrong in (Wanted(connections=-1), Wanted(per_client=1 << 24), Wanted(octet_rate=1 << 50)):
            with pytest.raises(ConfigureError):
                change_limits(gateway.balancer, 0, wrong)
        with pytest.raises(ConfigureError):
            change_limits(gateway.balancer, 5, Wanted())
