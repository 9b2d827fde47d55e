"""Clients stay with the server that they had: for how long, by which part of their address, over which services."""

from __future__ import annotations

import random
from collections import Counter
from ipaddress import ip_address

import pytest

from pronghorn.balancer import configure
from pronghorn.balancer.change_options import change_persistence
from pronghorn.balancer.configure import ConfigureError
from pronghorn.balancer.option_tables import TEMPLATE_GONE
from pronghorn.balancer.persistence import choose_agreed
from pronghorn.balancer.show import services
from pronghorn.balancer.tables import NOBODY
from pronghorn.balancer.templates import next_template
from pronghorn.state.verdicts import SERVICE_NO_SERVER
from tests.balancer.frames import SERVICE, Seen, frame
from tests.balancer.gateway import Gateway

FAMILIES = pytest.mark.parametrize("family", [4, 6])
SERVERS = {4: ("192.0.2.80", "192.0.2.81", "192.0.2.82"), 6: ("2001:db8:2::80", "2001:db8:2::81", "2001:db8:2::82")}


def client(family: int, number: int) -> str:
    return f"100.64.{number >> 8}.{number & 255}" if family == 4 else f"2001:db8:9:{number >> 8:x}::{number & 255:x}"


def open_one(gateway: Gateway, family: int, number: int, sport: int, port: int = 80, flags: str = "S") -> str:
    """The server that a connection of this client goes to."""
    return str(Seen(gateway.forward(frame(client(family, number), sport, SERVICE[family], port, flags))).destination[0])


def gateway_with(family: int, seconds: int = 300, **more: object) -> Gateway:
    gateway = Gateway()
    number = gateway.service("tcp", SERVICE[family], 80, SERVERS[family])
    change_persistence(gateway.balancer, number, seconds, **more)  # type: ignore[arg-type]
    return gateway


@FAMILIES
def test_a_client_stays_with_its_server(family: int) -> None:
    with gateway_with(family) as gateway:
        first = [open_one(gateway, family, number, 1000) for number in range(6)]
        assert set(first) == set(SERVERS[family]), "they were scheduled"
        for sport in (1001, 1002):
            assert [open_one(gateway, family, number, sport) for number in reversed(range(6))] == first[::-1]
        assert gateway.balancer.template_count == 6
        change_persistence(gateway.balancer, 0, 0)
        assert gateway.balancer.template_count == 6, "connections count for them"
        assert next_template(gateway.balancer, 0) == -1
        assert len({open_one(gateway, family, 0, sport) for sport in range(2000, 2003)}) == 3


@FAMILIES
def test_the_mask_says_who_is_a_client(family: int) -> None:
    with gateway_with(family, prefix=24 if family == 4 else 64) as gateway:
        neighbours = {open_one(gateway, family, number, 1000) for number in range(8)}
        assert len(neighbours) == 1
        assert open_one(gateway, family, 256, 1000) not in neighbours
        assert gateway.balancer.template_count == 2
    with gateway_with(family, prefix=0) as gateway:
        assert len({open_one(gateway, family, 256 * number, 1000) for number in range(4)}) == 1


@FAMILIES
def test_the_timeout_begins_anew_with_use_and_waits_for_connections(family: int) -> None:
    with gateway_with(family, 100) as gateway:
        configure.change_timeouts(gateway.balancer, {"syn_sent": 150})
        first = open_one(gateway, family, 0, 1000)
        for _ in range(3):  # rr would go on
            gateway.wait(90)
            assert open_one(gateway, family, 0, 1000) == first
        gateway.wait(145)
        assert (gateway.balancer.count, gateway.balancer.template_count) == (1, 1), "its connection lives"
        gateway.wait(70)
        assert (gateway.balancer.count, gateway.balancer.template_count) == (0, 0)
        configure.change_timeouts(gateway.balancer, {"syn_sent": 5})
        assert open_one(gateway, family, 0, 1001) != first
        gateway.wait(99)
        assert (gateway.balancer.count, gateway.balancer.template_count) == (0, 1)
        gateway.wait(2)
        assert gateway.balancer.template_count == 0


@FAMILIES
def test_a_template_goes_with_its_server(family: int) -> None:
    with gateway_with(family) as gateway:
        balancer = gateway.balancer
        for what in ("weight", "drain", "remove"):
            first = open_one(gateway, family, 0, 1000)
            number = configure.find_server(balancer, 0, ip_address(first), 8080)
            if what == "weight":
                configure.change_weight(balancer, number, 0)
            elif what == "drain":
                configure.change_state(balancer, number, "drain")
            else:
                configure.remove_server(balancer, number)
                gateway.wait(1)
            second = {open_one(gateway, family, 0, sport) for sport in range(1001, 1005)}
            assert len(second) == 1
            assert first not in second
            if what == "weight":
                configure.change_weight(balancer, number, 1)
            elif what == "drain":
                configure.change_state(balancer, number, "up")
            assert {open_one(gateway, family, 0, sport) for sport in range(1010, 1014)} == second
            configure.change_timeouts(balancer, {"syn_sent": 1})
            gateway.wait(400)
            configure.change_timeouts(balancer, {"syn_sent": 120})


def test_a_server_that_comes_back_has_its_clients_again() -> None:
    with gateway_with(4) as gateway:
        first = open_one(gateway, 4, 0, 1000)
        configure.remove_server(gateway.balancer, configure.find_server(gateway.balancer, 0, ip_address(first), 8080))
        gateway.wait(1)
        configure.add_server(gateway.balancer, 0, ip_address("192.0.2.99"), 8080)  # takes its record
        configure.add_server(gateway.balancer, 0, ip_address(first), 8080)
        assert {open_one(gateway, 4, 0, sport) for sport in range(1001, 1005)} == {first}


def test_quiesced_servers_keep_their_clients_where_that_is_wanted() -> None:
    with gateway_with(4, keep_quiesced=True) as gateway:
        first = open_one(gateway, 4, 0, 1000)
        number = configure.find_server(gateway.balancer, 0, ip_address(first), 8080)
        configure.change_weight(gateway.balancer, number, 0)
        assert {open_one(gateway, 4, 0, sport) for sport in range(1001, 1005)} == {first}
        assert first not in {open_one(gateway, 4, 1, sport) for sport in range(1001, 1005)}
        configure.change_state(gateway.balancer, number, "drain")
        assert open_one(gateway, 4, 0, 1010) != first


@FAMILIES
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_server_gets_none_of_its_clients(family: int, workers: int) -> None:
    """Unlike in IPVS. The client stays with the server that took it instead."""
    with Gateway(workers=workers) as gateway:
        balancer = gateway.balancer
        change_persistence(balancer, gateway.service("tcp", SERVICE[family], 80, SERVERS[family]), 300)
        first = open_one(gateway, family, 0, 1000)
        number = configure.find_server(balancer, 0, ip_address(first), 8080)
        configure.change_limits(balancer, number, 2)
        assert open_one(gateway, family, 0, 1001) == first
        second = {open_one(gateway, family, 0, sport) for sport in range(1002, 1006)}
        assert len(second) == 1
        assert first not in second
        assert balancer.servers[number].conns == 2
        configure.change_limits(balancer, number, 0)
        assert {open_one(gateway, family, 0, sport) for sport in range(1010, 1014)} == second
        for other in range(3):
            configure.change_limits(balancer, other, balancer.servers[other].conns)
            configure.change_weight(balancer, other, balancer.servers[other].conns)
        assert gateway.put(frame(client(family, 0), 2000, SERVICE[family], 80, "S")) == SERVICE_NO_SERVER
        assert next_template(balancer, 0) == -1


@FAMILIES
def test_services_of_a_group_share_their_clients(family: int) -> None:
    with Gateway() as gateway:
        balancer = gateway.balancer
        for port, to in ((80, 8080), (443, 8443)):
            number = gateway.service("tcp", SERVICE[family], port, SERVERS[family], to=to)
            change_persistence(balancer, number, 300, group=7)
        change_persistence(balancer, gateway.service("tcp", SERVICE[family], 81, SERVERS[family]), 300)
        for number in range(5):
            plain = open_one(gateway, family, number, 1000)
            seen = Seen(gateway.forward(frame(client(family, number), 1000, SERVICE[family], 443, "S")))
            assert seen.destination == (plain, 8443)
            assert open_one(gateway, family, number, 1001) == plain
        assert balancer.template_count == 5
        open_one(gateway, family, 0, 1000, port=81)
        assert balancer.template_count == 6, "not of the group"
        lonely = configure.find_server(balancer, 1, ip_address(open_one(gateway, family, 9, 1000)), 8443)
        configure.remove_server(balancer, lonely)  # at one of the two services alone
        gateway.wait(1)
        first = open_one(gateway, family, 9, 1001)
        assert first not in {open_one(gateway, family, 9, sport, port=443) for sport in range(1000, 1003)}
        assert open_one(gateway, family, 9, 1002) == first, "the service that chose it has it still"


def test_a_full_table_gives_up_clients_without_connections() -> None:
    with gateway_with(4) as gateway:
        balancer = gateway.balancer
        balancer.template_limit = 4
        configure.change_timeouts(balancer, {"syn_sent": 1})
        for number in range(4):
            open_one(gateway, 4, number, 1000)
        open_one(gateway, 4, 4, 1000)
        assert (balancer.template_count, balancer.options[0].templates_full) == (4, 1)
        gateway.wait(3)
        open_one(gateway, 4, 5, 1000)
        assert (balancer.template_count, balancer.template_gone, balancer.options[0].templates_full) == (4, 1, 1)
        configure.remove_service(balancer, 0)
        assert balancer.template_count == 1
        assert balancer.templates[next(n for n in range(4) if balancer.templates[n].state)].state == TEMPLATE_GONE
        gateway.wait(3)
        assert (balancer.template_count, balancer.count, balancer.services[0].asks) == (0, 0, 0)


@FAMILIES
def test_workers_agree_about_clients(family: int) -> None:
    """Each has scheduled something else before; weights count; few move when a server goes."""
    balancers = []
    for index in range(2):
        gateway = Gateway(workers=2, index=index, conns=1024)
        number = gateway.service("tcp", SERVICE[family], 80, SERVERS[family])
        change_persistence(gateway.balancer, number, 300)
        configure.change_weight(gateway.balancer, 1, 3)
        for other in range(index):
            open_one(gateway, family, 999 + other, 1000)
        balancers.append(gateway)
    one, two = balancers
    first = [open_one(one, family, number, 1000) for number in range(20)]
    assert [open_one(two, family, number, 1001) for number in reversed(range(20))] == first[::-1]
    service, numbers = one.balancer.services[0], random.Random(1)
    clients = [(numbers.getrandbits(63), numbers.getrandbits(63)) for _ in range(300)]
    before = [choose_agreed(one.balancer, service, *words) for words in clients]
    assert 140 < Counter(before)[1] < 220, "three of five"
    configure.change_weight(one.balancer, 0, 0)
    after = [choose_agreed(one.balancer, service, *words) for words in clients]
    assert all(new == old or old == 0 for old, new in zip(before, after, strict=True))
    for member in (1, 2):
        configure.change_weight(one.balancer, member, 0)
    assert choose_agreed(one.balancer, service, 1, 2) == NOBODY
    for gateway in balancers:
        gateway.arena.close()


def test_what_is_out_of_range_is_refused() -> None:
    with gateway_with(4) as gateway:
        for wrong in ((-1, 32, 0), (9, 33, 0), (9, 32, -1)):
            with pytest.raises(ConfigureError):
                change_persistence(gateway.balancer, 0, *wrong)
        assert services(gateway.balancer)[0].index == 0
