"""A service at several addresses and ports: one scheduler and one set of servers for all of them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from pronghorn.balancer import configure
from pronghorn.balancer.change_options import change_keep_port, change_listens
from pronghorn.balancer.configure import ConfigureError
from pronghorn.balancer.show import connections
from pronghorn.balancer.tables import Balancer
from pronghorn.memory.hashtable import HashIndex
from pronghorn.state.verdicts import CONTINUE
from tests.balancer.frames import CLIENT, SERVER, SERVICE, Seen, frame
from tests.balancer.gateway import SERVERS, Gateway

FAMILIES = pytest.mark.parametrize("family", [4, 6])
SECOND = {4: "192.0.2.81", 6: "2001:db8:2::81"}
OTHER = {4: "203.0.113.9", 6: "2001:db8:3::9"}


def request(family: int, address: str, port: int, sport: int = 1000) -> bytes:
    return frame(CLIENT[family], sport, address, port)


@FAMILIES
def test_all_places_share_one_scheduler(family: int) -> None:
    with Gateway() as gateway:
        number = gateway.service("udp", SERVICE[family], 80, (SERVER[family], SECOND[family]))
        own, other = ip_address(SERVICE[family]), ip_address(OTHER[family])
        change_listens(gateway.balancer, number, [(own, 8000, 8009), (other, 0, 0)])
        asked = [(SERVICE[family], 80), (SERVICE[family], 8000), (OTHER[family], 1), (SERVICE[family], 8009)]
        to = [Seen(gateway.forward(request(family, *place))).destination[0] for place in asked]
        assert to == [SERVER[family], SECOND[family]] * 2, "in turn"
        for place in ((SERVICE[family], 8010), (SERVICE[family], 7999)):
            assert gateway.put(request(family, *place)) == CONTINUE
        seen = Seen(gateway.forward(request(family, OTHER[family], 53)))
        answer = frame(seen.destination[0], 8080, *seen.source, port=SERVERS)
        assert Seen(gateway.forward(answer, SERVERS)).source == (OTHER[family], 53)
        exact = gateway.service("udp", OTHER[family], 99, (SERVER[family],), to=9999)
        assert Seen(gateway.forward(request(family, OTHER[family], 99))).destination == (SERVER[family], 9999)
        configure.remove_service(gateway.balancer, exact)
        gateway.wait(1)
        assert Seen(gateway.forward(request(family, OTHER[family], 99))).destination[1] == 8080
        change_listens(gateway.balancer, number, [(own, 8001, 8001)])
        assert gateway.put(request(family, OTHER[family], 2)) == CONTINUE
        assert HashIndex(gateway.balancer.service_index).count == 2
        configure.remove_service(gateway.balancer, number)
        assert HashIndex(gateway.balancer.service_index).count == 0
        assert gateway.put(request(family, SERVICE[family], 8001)) == CONTINUE


@FAMILIES
@pytest.mark.parametrize("method", ["full-nat", "nat"])
def test_servers_may_get_the_port_that_the_client_asked_for(family: int, method: str) -> None:
    with Gateway() as gateway:
        number = gateway.service("udp", SERVICE[family], 80, (SERVER[family],), method=method)
        change_listens(gateway.balancer, number, [(ip_address(SERVICE[family]), 0, 0)])
        change_keep_port(gateway.balancer, number, True)
        configure.add_server(gateway.balancer, number, ip_address(SECOND[family]), 8080, method=method)
        for port in (80, 5000, 5001):
            seen = Seen(gateway.forward(request(family, SERVICE[family], port)))
            assert seen.destination[1] == port
            answer = frame(seen.destination[0], port, *seen.source, port=SERVERS)
            assert Seen(gateway.forward(answer, SERVERS)).source == (SERVICE[family], port)
        assert {row.server[1] for row in connections(gateway.balancer, gateway.worker, 0, 9)[0]} == {80, 5000, 5001}
        change_keep_port(gateway.balancer, number, False)
        assert Seen(gateway.forward(request(family, SERVICE[family], 5002))).destination[1] == 8080


def listens(balancer: Balancer) -> int:
    return sum(1 for number in range(balancer.listen_fresh) if balancer.listens[number].ports)


def test_what_clashes_or_is_too_much_is_refused_and_changes_nothing() -> None:
    with Gateway() as gateway:
        balancer = gateway.balancer
        one, address = gateway.service("udp", SERVICE[4], 80, ()), ip_address(SERVICE[4])
        gateway.service("udp", SERVICE[4], 90, ())
        change_listens(balancer, one, [(address, 81, 89)])
        for wrong in (
            [(address, 85, 90)],
            [(address, 80, 80)],
            [(address, 81, 82), (address, 82, 83)],
            [(address, 9, 8)],
            [(ip_address(SERVICE[6]), 81, 81)],
            [(address, 10_000, 20_000)],
        ):
            with pytest.raises(ConfigureError):
                change_listens(balancer, one, wrong)
        assert listens(balancer) == 9
        with pytest.raises(ConfigureError):
            gateway.service("udp", SERVICE[4], 85, ())
        balancer.listen_limit = 12
        with pytest.raises(ConfigureError):
            change_listens(balancer, one, [(address, 100, 120)])
        change_listens(balancer, one, [(address, 82, 88), (address, 0, 0)])
        assert (listens(balancer), balancer.any_port) == (8, 1)
        gateway.service("udp", SERVICE[4], 85 + 4, ())
