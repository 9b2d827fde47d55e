"""What the balancer counts and does for health: refused and unanswered connections, refusals, servers begun anew."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
import scapy.layers.inet as inet
import scapy.layers.inet6 as inet6
from scapy.layers.l2 import Ether

from pronghorn.balancer.configure import change_state, change_timeouts
from pronghorn.balancer.health import change_reject, reset_server
from pronghorn.balancer.show import services
from pronghorn.state.verdicts import SERVICE_NO_SERVER, SERVICE_REMOVED
from tests.balancer.frames import CLIENT, LOCAL, SERVER, SERVICE, Seen, frame
from tests.balancer.gateway import SERVERS, Gateway

FAMILIES = pytest.mark.parametrize("family", [4, 6])


def request(family: int, sport: int, flags: str) -> bytes:
    return frame(CLIENT[family], sport, SERVICE[family], 80, flags)


def reply(family: int, port: int, flags: str) -> bytes:
    return frame(SERVER[family], 8080, LOCAL[family], port, flags, port=SERVERS)


@FAMILIES
def test_refused_and_unanswered_connections_are_counted(family: int) -> None:
    with Gateway() as gateway:
        change_timeouts(gateway.balancer, {"syn_sent": 3})
        gateway.service("tcp", SERVICE[family], 80, (SERVER[family],))
        server = gateway.balancer.servers[0]
        ports = [Seen(gateway.forward(request(family, sport, "S"))).source[1] for sport in range(4)]
        gateway.forward(reply(family, ports[0], "RA"), SERVERS)
        assert (server.refused, server.unanswered) == (1, 0)
        gateway.forward(reply(family, ports[0], "RA"), SERVERS)  # a second one of the same
        gateway.forward(request(family, 1, "R"))  # the client gives up
        gateway.forward(reply(family, ports[2], "SA"), SERVERS)
        gateway.forward(reply(family, ports[2], "R"), SERVERS)  # not in answer to the SYN
        assert (server.refused, server.unanswered) == (1, 0)
        gateway.wait(2.5)
        assert server.unanswered == 0
        gateway.wait(1.5)
        assert (server.refused, server.unanswered) == (1, 1)
        gateway.wait(100)
        assert gateway.balancer.count == 0
        [row] = services(gateway.balancer)[0].servers
        assert (row.connections, row.refused, row.unanswered) == (4, 1, 1)


@FAMILIES
def test_what_nobody_takes_is_refused_where_that_is_wanted(family: int) -> None:
    with Gateway() as gateway:
        tcp = gateway.service("tcp", SERVICE[family], 80, (SERVER[family],))
        udp = gateway.service("udp", SERVICE[family], 80, ())
        change_state(gateway.balancer, 0, "drain")
        assert gateway.put(request(family, 7000, "S")) == SERVICE_NO_SERVER
        assert gateway.put(request(family, 7000, "")) == SERVICE_NO_SERVER
        assert gateway.taken() == []
        for number in (tcp, udp):
            change_reject(gateway.balancer, number, True)
        assert gateway.put(request(family, 7000, "S")) == SERVICE_NO_SERVER
        [(port, sent)] = gateway.taken()
        ip = Ether(sent).payload
        assert (port, ip.src, ip.dst) == (0, SERVICE[family], CLIENT[family])
        assert (ip[inet.TCP].sport, ip[inet.TCP].dport, str(ip[inet.TCP].flags)) == (80, 7000, "RA")
        assert gateway.put(request(family, 7000, "")) == SERVICE_NO_SERVER
        [(_, sent)] = gateway.taken()
        message = Ether(sent)[inet.ICMP if family == 4 else inet6.ICMPv6DestUnreach]
        assert (message.type, message.code) == ((3, 3) if family == 4 else (1, 4))
        assert gateway.balancer.services[tcp].no_server == 2
        change_reject(gateway.balancer, tcp, False)
        assert gateway.put(request(family, 7000, "S")) == SERVICE_NO_SERVER
        assert gateway.taken() == []


@FAMILIES
def test_connections_of_a_server_end_and_it_goes_on(family: int) -> None:
    with Gateway() as gateway:
        second = "192.0.2.81" if family == 4 else "2001:db8:2::81"
        gateway.service("tcp", SERVICE[family], 80, (SERVER[family], second), "wrr")
        first = [Seen(gateway.forward(request(family, sport, "S"))).source[1] for sport in range(4)]
        before = services(gateway.balancer)[0].servers
        change_state(gateway.balancer, 0, "drain")
        reset_server(gateway.balancer, 0)
        after = services(gateway.balancer)[0].servers
        assert [row.address[0] for row in after] == [ip_address(SERVER[family]), ip_address(second)]
        assert (after[0].connections, after[0].packets_in, after[0].state) == (2, before[0].packets_in, "drain")
        assert (after[0].active, after[0].inactive, after[1].inactive) == (0, 0, 2)
        assert gateway.put(reply(family, first[0], "SA"), SERVERS) == SERVICE_REMOVED
        gateway.wait(1)
        assert gateway.balancer.count == 2
        change_state(gateway.balancer, after[0].index, "up")
        to = {Seen(gateway.forward(request(family, sport, "S"))).destination[0] for sport in range(10, 14)}
        assert to == {SERVER[family], second}
        reset_server(gateway.balancer, after[0].index)  # time and again, for records become free
        for _ in range(100):
            gateway.wait(1)
            reset_server(gateway.balancer, services(gateway.balancer)[0].servers[0].index)
