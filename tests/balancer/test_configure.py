"""The control plane's hand: what it refuses changes nothing, and what it shows is what was asked for."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ipaddress import ip_address

import pytest

from pronghorn.balancer.configure import (
    ConfigureError,
    add_local_address,
    add_server,
    add_service,
    change_local_ports,
    change_scheduler,
    change_state,
    change_weight,
    create_balancer,
    find_service,
    remove_local_address,
    remove_server,
    remove_service,
)
from pronghorn.balancer.show import services
from pronghorn.balancer.tables import Balancer
from pronghorn.memory import Arena
from pronghorn.state.worker import Worker
from tests.balancer.frames import LOCAL, SERVER, SERVICE
from tests.balancer.gateway import Gateway

V4, V6 = ip_address(SERVICE[4]), ip_address(SERVICE[6])
HOST4, HOST6 = ip_address(SERVER[4]), ip_address(SERVER[6])

REFUSED: dict[str, Callable[[Balancer, Worker], object]] = {
    "a service twice": lambda b, w: add_service(b, "tcp", V4, 80, "rr"),
    "an unknown protocol": lambda b, w: add_service(b, "dccp", V4, 81, "rr"),
    "an unknown scheduler": lambda b, w: add_service(b, "tcp", V4, 81, "first"),
    "port 0": lambda b, w: add_service(b, "tcp", V4, 0, "rr"),
    "port 65536": lambda b, w: add_service(b, "tcp", V4, 65536, "rr"),
    "a server twice": lambda b, w: add_server(b, 0, HOST4, 8080),
    "a server of the other family": lambda b, w: add_server(b, 0, HOST6, 8080, method="nat"),
    "a server of no service": lambda b, w: add_server(b, 5, HOST4, 8080),
    "a service beyond the table": lambda b, w: add_server(b, 1000, HOST4, 8080),
    "a weight below 0": lambda b, w: add_server(b, 0, HOST4, 8081, -1),
    "a weight above 65535": lambda b, w: change_weight(b, 0, 65536),
    "a state": lambda b, w: change_state(b, 0, "down"),
    "the scheduler of no service": lambda b, w: change_scheduler(b, 1, "rr"),
    "another scheduler": lambda b, w: change_scheduler(b, 0, "first"),
    "no such server": lambda b, w: remove_server(b, 1),
    "no such service": lambda b, w: remove_service(b, 1),
    "a negative index": lambda b, w: remove_service(b, -1),
    "a local address twice": lambda b, w: add_local_address(b, ip_address(LOCAL[4])),
    "no local address": lambda b, w: remove_local_address(b, HOST4),
    "a port range upside down": lambda b, w: change_local_ports(b, w, 2000, 1999),
    "a port range from 0": lambda b, w: change_local_ports(b, w, 0, 100),
    "a port range beyond": lambda b, w: change_local_ports(b, w, 1, 65536),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_changes_nothing(what: str) -> None:
    with Gateway() as gateway:
        gateway.service("tcp", SERVICE[4], 80, (SERVER[4],))
        balancer = gateway.balancer
        before = state_of(balancer)
        with pytest.raises(ConfigureError, match=r"\w"):
            REFUSED[what](balancer, gateway.worker)
        assert state_of(balancer) == before


def state_of(balancer: Balancer) -> bytes:
    """All that the control plane writes."""
    tables = (
        (balancer.address, Balancer.SIZE),
        (balancer.servers.address, 4 * 128),
        (balancer.services.address, 8 * 192),
        (balancer.locals.address, 8 * 32),
    )
    return b"".join(ctypes.string_at(address, octets) for address, octets in tables)


def test_a_worker_needs_a_port_of_its_own() -> None:
    with Gateway(workers=4, index=3) as gateway:
        change_local_ports(gateway.balancer, gateway.worker, 2000, 2003)
        assert (gateway.balancer.first_port, gateway.balancer.port_count) == (2003, 1)
        with pytest.raises(ConfigureError, match="4 workers"):
            change_local_ports(gateway.balancer, gateway.worker, 2000, 2002)


def test_tables_are_full() -> None:
    with Gateway() as gateway:
        for port in range(1, 9):
            add_service(gateway.balancer, "udp", V6, port, "rr")
        with pytest.raises(ConfigureError, match="8 services"):
            add_service(gateway.balancer, "udp", V6, 9, "rr")
        for number in range(32):
            add_server(gateway.balancer, number % 8, HOST6 + number, 80)
        with pytest.raises(ConfigureError, match="32 servers"):
            add_server(gateway.balancer, 0, HOST6, 81)
        remove_service(gateway.balancer, 3)
        assert find_service(gateway.balancer, "udp", V6, 4) == -1
        assert add_service(gateway.balancer, "tcp", V4, 4, "rr") == 3
        assert add_server(gateway.balancer, 3, HOST4, 81) == 3


@pytest.mark.parametrize("sizes", [{"conns": 0}, {"servers": 0xFFFFFF}, {"services": 0}, {"maglev_size": 65536}])
def test_sizes_that_cannot_be(sizes: dict[str, int]) -> None:
    with Arena.create(huge="never") as arena:
        worker: Worker = arena.table("worker", Worker, 1)[0]
        worker.workers, worker.secret = 1, 7
        with pytest.raises(ConfigureError, match=r"range|prime"):
            create_balancer(arena, worker, **{"services": 4, **sizes})
        assert worker.balancer == 0


def test_hashes_have_a_key() -> None:
    with Arena.create(huge="never") as arena:
        worker: Worker = arena.table("worker", Worker, 1)[0]
        worker.workers = 1
        with pytest.raises(ConfigureError, match="secret"):
            create_balancer(arena, worker)


def test_services_are_shown_as_they_were_added() -> None:
    with Gateway() as gateway:
        balancer = gateway.balancer
        add_service(balancer, "tcp", V6, 443, "mh")
        number = add_service(balancer, "udp", V4, 53, "wrr")
        first = add_server(balancer, number, HOST4, 5353, 7, "drain")
        second = add_server(balancer, number, HOST4 + 1, 53, 2)
        six, four = services(balancer)
        assert (six.protocol, six.address, six.scheduler, six.servers) == ("tcp", (V6, 443), "mh", ())
        assert (four.index, four.protocol, four.address, four.scheduler) == (number, "udp", (V4, 53), "wrr")
        shown = [(server.index, server.address, server.weight, server.state) for server in four.servers]
        assert shown == [(first, (HOST4, 5353), 7, "drain"), (second, (HOST4 + 1, 53), 2, "up")]
        change_scheduler(balancer, number, "rr")
        change_state(balancer, first, "up")
        change_weight(balancer, second, 0)
        remove_server(balancer, first)
        [server] = services(balancer)[1].servers
        assert (server.index, server.weight, server.state) == (second, 0, "up")
