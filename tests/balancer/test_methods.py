"""NAT and direct routing as scapy sees them, next hops that go out of date, counters beyond 32 bits."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from pronghorn.balancer.configure import ConfigureError, add_server, add_service
from pronghorn.balancer.output import LAST_TAG, NO_TAG
from pronghorn.balancer.show import connections, services
from pronghorn.balancer.tables import ESTABLISHED, FIN_WAIT, HOP_BITS, SYN_RECEIVED
from pronghorn.memory.hashtable import HashIndex
from pronghorn.net.state import net_of
from pronghorn.state.verdicts import CONTINUE, LOCAL_PORTS_EXHAUSTED, TOO_BIG
from tests.balancer.frames import CLIENT, SERVER, SERVICE, Seen, frame
from tests.balancer.gateway import CLIENTS, OWN_MAC, PEER_MAC, SERVERS, Gateway, mac, number_of

FAMILIES = pytest.mark.parametrize("family", [4, 6])
SECOND_SERVER = {4: "192.0.2.81", 6: "2001:db8:2::81"}


def request(family: int, flags: str = "", payload: bytes = b"", sport: int = 40000) -> bytes:
    return frame(CLIENT[family], sport, SERVICE[family], 80, flags, payload)


@FAMILIES
@pytest.mark.parametrize("flags", ["", "S"])
def test_nat_keeps_the_client(family: int, flags: str) -> None:
    with Gateway(locals_=()) as gateway:
        gateway.service("tcp" if flags else "udp", SERVICE[family], 80, (SERVER[family],), method="nat")
        seen = Seen(gateway.forward(request(family, flags, b"question")))
        assert (seen.source, seen.destination) == ((CLIENT[family], 40000), (SERVER[family], 8080))
        assert (seen.payload, seen.ttl, seen.link) == (b"question", 63, (mac(OWN_MAC[SERVERS]), mac(PEER_MAC[SERVERS])))
        answer = frame(SERVER[family], 8080, CLIENT[family], 40000, flags and "SA", b"answer", SERVERS)
        seen = Seen(gateway.forward(answer, SERVERS))
        assert (seen.source, seen.destination) == ((SERVICE[family], 80), (CLIENT[family], 40000))
        assert (seen.payload, seen.ttl) == (b"answer", 63)
        [row] = connections(gateway.balancer, gateway.worker, 0, 9)[0]
        assert (row.local, row.packets_in, row.packets_out) == ((ip_address(CLIENT[family]), 40000), 1, 1)
        assert gateway.put(frame(SERVER[family], 8081, CLIENT[family], 40000, port=SERVERS), SERVERS) == CONTINUE


@FAMILIES
def test_a_clients_port_is_one_connection_per_server_with_nat(family: int) -> None:
    """Two services that share a server: its replies to one client's port could not be told apart."""
    with Gateway() as gateway:
        gateway.service("udp", SERVICE[family], 80, (SERVER[family],), method="nat")
        gateway.service("udp", SERVICE[family], 81, (SERVER[family],), method="nat")
        gateway.forward(request(family))
        second = frame(CLIENT[family], 40000, SERVICE[family], 81)
        assert gateway.put(second) == LOCAL_PORTS_EXHAUSTED
        assert gateway.balancer.count == 1
        gateway.forward(frame(CLIENT[family], 40001, SERVICE[family], 81))


@FAMILIES
def test_direct_routing_changes_the_next_hop_alone(family: int) -> None:
    with Gateway(locals_=()) as gateway:
        gateway.service("tcp", SERVICE[family], 80, (SERVER[family],), to=80, method="direct")
        for flags, state in (("S", SYN_RECEIVED), ("A", ESTABLISHED), ("PA", ESTABLISHED), ("FA", FIN_WAIT)):
            sent = request(family, flags, b"x" * (flags == "PA"))
            got = gateway.forward(sent)
            seen = Seen(got)
            assert (seen.source, seen.destination) == ((CLIENT[family], 40000), (SERVICE[family], 80))
            assert (seen.ttl, seen.link) == (63, (mac(OWN_MAC[SERVERS]), mac(PEER_MAC[SERVERS])))
            assert got[-20:] == sent[-20:]
            assert gateway.balancer.records[number_of(gateway)].state == state
        assert HashIndex(gateway.balancer.index).count == 1
        [row] = connections(gateway.balancer, gateway.worker, 0, 9)[0]
        assert (row.local, row.server, row.packets_in) == (None, (ip_address(SERVER[family]), 80), 4)
        gateway.forward(request(family, "S"))
        assert gateway.balancer.records[number_of(gateway)].state == SYN_RECEIVED, "a new connection of the same port"
        assert gateway.put(frame(SERVICE[family], 80, CLIENT[family], 40000, "SA", port=SERVERS), SERVERS) == CONTINUE
        [server] = services(gateway.balancer)[0].servers
        assert (server.method, server.active + server.inactive) == ("direct", 1)
        gateway.taken()


def test_direct_routing_needs_the_services_port() -> None:
    with Gateway() as gateway:
        number = add_service(gateway.balancer, "tcp", ip_address(SERVICE[4]), 80, "rr")
        with pytest.raises(ConfigureError, match="as they came"):
            add_server(gateway.balancer, number, ip_address(SERVER[4]), 8080, method="direct")


@FAMILIES
@pytest.mark.parametrize("method", ["nat", "direct"])
def test_what_is_too_long_is_reported(family: int, method: str) -> None:
    with Gateway() as gateway:
        gateway.service("udp", SERVICE[family], 80, (SERVER[family],), to=80, method=method)
        gateway.worker.ports[SERVERS].mtu = 1300
        for place in range(net_of(gateway.worker).neighbour_limit):
            net_of(gateway.worker).neighbours[place].mtu = 1300
        long = frame(CLIENT[family], 40000, SERVICE[family], 80, payload=bytes(1400), df=True)
        assert gateway.put(long) == TOO_BIG
        [(port, _)] = gateway.taken()
        assert port == CLIENTS


@FAMILIES
def test_next_hops_are_looked_up_anew_when_the_network_changes(family: int) -> None:
    """... and when the marks that say so are used up, every connection forgets its own."""
    with Gateway() as gateway:
        balancer = gateway.balancer
        gateway.service("udp", SERVICE[family], 80, (SERVER[family],))
        local = Seen(gateway.forward(request(family))).source
        conn = balancer.conns[number_of(gateway)]
        tags = []
        for _ in range(LAST_TAG + 3):
            net_of(gateway.worker).generation += 1
            gateway.forward(frame(SERVER[family], 8080, *local, port=SERVERS), SERVERS)
            tags.append(balancer.hop_tag)
            if balancer.hop_tag == NO_TAG:
                break
            assert conn.hop >> HOP_BITS == balancer.hop_tag
        assert tags == list(range(tags[0], NO_TAG + 1))
        before = conn.hop
        gateway.forward(frame(SERVER[family], 8080, *local, port=SERVERS), SERVERS)
        assert conn.hop == before, "nothing is remembered while hops are forgotten"
        gateway.wait(2)
        assert (conn.hop, balancer.hop_tag) == (0, 1)
        gateway.forward(frame(SERVER[family], 8080, *local, port=SERVERS), SERVERS)
        assert conn.hop >> HOP_BITS == 1


@FAMILIES
def test_counters_go_on_beyond_32_bits(family: int) -> None:
    with Gateway() as gateway:
        gateway.service("udp", SERVICE[family], 80, (SERVER[family],))
        gateway.forward(request(family))
        conn = gateway.balancer.conns[number_of(gateway)]
        conn.packets[0], conn.octets[0] = 0xFFFFFFFF, 0xFFFFFFFF
        sent = request(family)
        gateway.forward(sent)
        [row] = connections(gateway.balancer, gateway.worker, 0, 9)[0]
        assert (row.packets_in, row.octets_in) == (1 << 32, 0xFFFFFFFF + len(sent))
