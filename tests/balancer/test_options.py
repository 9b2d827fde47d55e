"""Timeouts of services' own, servers that are removed and keep their connections, datagrams scheduled one by one."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from pronghorn.balancer import configure
from pronghorn.balancer.change_options import change_one_packet, change_persistence, change_service_timeouts
from pronghorn.balancer.configure import ConfigureError
from pronghorn.balancer.show import connections, services
from pronghorn.balancer.tables import SERVER_LEAVING
from pronghorn.memory.hashtable import HashIndex
from pronghorn.state.verdicts import SERVICE_NO_SERVER, SERVICE_REMOVED
from tests.balancer.frames import CLIENT, SERVER, SERVICE, Seen, frame
from tests.balancer.gateway import SERVERS, Gateway

FAMILIES = pytest.mark.parametrize("family", [4, 6])
SECOND = {4: "192.0.2.81", 6: "2001:db8:2::81"}


def request(family: int, sport: int, flags: str = "", port: int = 80) -> bytes:
    return frame(CLIENT[family], sport, SERVICE[family], port, flags)


@FAMILIES
def test_a_service_has_timeouts_of_its_own(family: int) -> None:
    with Gateway() as gateway:
        balancer = gateway.balancer
        gateway.service("udp", SERVICE[family], 80, (SERVER[family],))
        gateway.service("udp", SERVICE[family], 81, (SERVER[family],))
        change_service_timeouts(balancer, 0, {"udp": 5, "closed": 3})
        gateway.forward(request(family, 1000))
        gateway.forward(request(family, 1000, port=81))
        rows = connections(balancer, gateway.worker, 0, 9)[0]
        assert {(row.virtual[1], round(row.expires)) for row in rows} == {(80, 5), (81, 300)}
        gateway.wait(4)
        gateway.forward(request(family, 1000))
        gateway.wait(4)
        assert balancer.count == 2, "it was not idle"
        gateway.wait(2)
        assert balancer.count == 1
        configure.change_timeouts(balancer, {"udp": 7, "closed": 9, "syn_sent": 8})
        assert [balancer.options[0].timeouts[state] >> 10 for state in (1, 8, 9)] == [7, 2, 4]
        change_service_timeouts(balancer, 0, {})
        gateway.forward(request(family, 1000))
        assert {round(row.expires) for row in connections(balancer, gateway.worker, 0, 9)[0]} >= {7}
        with pytest.raises(ConfigureError):
            change_service_timeouts(balancer, 0, {"udp": 0})


@FAMILIES
def test_states_have_the_services_timeouts(family: int) -> None:
    with Gateway() as gateway:
        gateway.service("tcp", SERVICE[family], 80, (SERVER[family],))
        change_service_timeouts(gateway.balancer, 0, {"syn_sent": 2, "syn_received": 50, "established": 10})
        local = Seen(gateway.forward(request(family, 1000, "S"))).source
        gateway.forward(request(family, 1001, "S"))
        gateway.forward(frame(SERVER[family], 8080, *local, "SA", port=SERVERS), SERVERS)
        gateway.wait(3)
        assert gateway.balancer.count == 1
        gateway.forward(request(family, 1000, "A"))
        gateway.wait(9)
        assert gateway.balancer.count == 1
        gateway.wait(2)
        assert gateway.balancer.count == 0


@FAMILIES
def test_a_removed_server_may_keep_its_connections(family: int) -> None:
    with Gateway() as gateway:
        balancer = gateway.balancer
        service = gateway.service("udp", SERVICE[family], 80, (SERVER[family],))
        local = Seen(gateway.forward(request(family, 1000))).source
        configure.remove_server(balancer, 0, keep=True)
        gateway.wait(2)
        assert services(balancer)[0].servers == ()
        assert Seen(gateway.forward(request(family, 1000))).destination == (SERVER[family], 8080)
        gateway.forward(frame(SERVER[family], 8080, *local, port=SERVERS), SERVERS)
        assert gateway.put(request(family, 1001)) == SERVICE_NO_SERVER
        again = configure.add_server(balancer, service, ip_address(SERVER[family]), 8080)
        assert again != 0, "its record is in use"
        assert balancer.servers[0].state == SERVER_LEAVING
        gateway.wait(301)
        balancer.next_server = 0
        assert configure.add_server(balancer, service, ip_address(SECOND[family]), 8080) == 0
        gateway.forward(request(family, 1002))
        configure.remove_server(balancer, again, keep=True)
        configure.remove_service(balancer, service)
        left = [number for number in range(3) if balancer.servers[number].conns]
        gateway.put(request(family, 1002))
        gateway.wait(2)
        assert left
        assert balancer.count == 0, "a removed service ends them"


@FAMILIES
def test_datagrams_are_scheduled_one_by_one(family: int) -> None:
    with Gateway(locals_=()) as gateway:
        balancer = gateway.balancer
        number = gateway.service("udp", SERVICE[family], 80, (SERVER[family], SECOND[family]), to=80, method="direct")
        change_one_packet(balancer, number, True)
        links = [Seen(gateway.forward(request(family, 1000))).link for _ in range(4)]
        assert len(set(links)) == 1  # the servers have one neighbour's address in this bench
        assert [row.connections for row in services(balancer)[0].servers] == [2, 2]
        assert (balancer.count, HashIndex(balancer.index).count) == (0, 0)
        change_persistence(balancer, number, 60)
        for _ in range(4):
            gateway.forward(request(family, 1000))
        assert sorted(row.connections for row in services(balancer)[0].servers) == [2, 6]
        assert (balancer.template_count, balancer.templates[0].conns, balancer.templates[0].connections) == (1, 0, 4)
        change_one_packet(balancer, number, False)
        gateway.forward(request(family, 1000))
        gateway.forward(request(family, 1000))
        assert balancer.count == 1


def test_replies_that_come_through_here_need_a_connection() -> None:
    with Gateway() as gateway:
        number = gateway.service("udp", SERVICE[4], 80, (SERVER[4],))
        change_one_packet(gateway.balancer, number, True)
        local = Seen(gateway.forward(request(4, 1000))).source
        gateway.forward(frame(SERVER[4], 8080, *local, port=SERVERS), SERVERS)
        other = gateway.service("tcp", SERVICE[4], 80, (SERVER[4],))
        with pytest.raises(ConfigureError):
            change_one_packet(gateway.balancer, other, True)
        configure.remove_server(gateway.balancer, 0)
        assert gateway.put(request(4, 1000)) == SERVICE_REMOVED
