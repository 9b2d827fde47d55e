"""Whole connections through full NAT, as scapy sees them on both sides."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP, IP, UDP, defragment
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from pronghorn.balancer.configure import find_server, server_at
from pronghorn.balancer.tables import CLOSE_WAIT, ESTABLISHED, FIN_WAIT, LAST_ACK, SYN_RECEIVED, SYN_SENT, TIME_WAIT
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED
from pronghorn.state.verdicts import CONTINUE, NO_CONN, NO_ROUTE, QUEUED, TOO_BIG, TTL_EXPIRED
from tests.balancer.frames import CLIENT, LOCAL, SERVER, SERVICE, Seen, frame
from tests.balancer.gateway import CLIENTS, OWN_MAC, PEER_MAC, SERVERS, Gateway, mac, number_of

FAMILIES = pytest.mark.parametrize("family", [4, 6])


class Talk:
    """One client's connection to the service, spoken on both sides of the gateway."""

    def __init__(self, gateway: Gateway, family: int, sport: int = 40000, protocol: str = "tcp") -> None:
        self.gateway, self.family, self.sport, self.protocol = gateway, family, sport, protocol
        self.local = 0

    def request(self, flags: str = "", payload: bytes = b"") -> Seen:
        """From the client; what reaches the server."""
        sent = frame(CLIENT[self.family], self.sport, SERVICE[self.family], 80, flags, payload)
        seen = Seen(self.gateway.forward(sent, CLIENTS))
        assert seen.source[0] == LOCAL[self.family]
        assert seen.destination == (SERVER[self.family], 8080)
        assert self.local in (0, seen.source[1])
        assert seen.link == (mac(OWN_MAC[SERVERS]), mac(PEER_MAC[SERVERS]))
        assert (seen.payload, seen.ttl) == (payload, 63)
        self.local = seen.source[1]
        return seen

    def reply(self, flags: str = "", payload: bytes = b"") -> Seen:
        """From the server; what reaches the client."""
        sent = frame(SERVER[self.family], 8080, LOCAL[self.family], self.local, flags, payload, SERVERS)
        seen = Seen(self.gateway.forward(sent, SERVERS))
        assert seen.source == (SERVICE[self.family], 80)
        assert seen.destination == (CLIENT[self.family], self.sport)
        assert seen.link == (mac(OWN_MAC[CLIENTS]), mac(PEER_MAC[CLIENTS]))
        assert (seen.payload, seen.ttl) == (payload, 63)
        return seen

    @property
    def state(self) -> int:
        return self.gateway.balancer.records[number_of(self.gateway)].state


@FAMILIES
def test_a_tcp_connection_from_syn_to_time_wait(family: int) -> None:
    with Gateway() as gateway:
        gateway.service("tcp", SERVICE[family], 80, (SERVER[family],))
        talk = Talk(gateway, family)
        assert talk.request("S").layer.flags == "S"
        assert talk.state == SYN_SENT
        assert talk.reply("SA").layer.flags == "SA"
        assert talk.state == SYN_RECEIVED
        talk.request("A")
        assert talk.state == ESTABLISHED
        for size in (1, 2, 3, 536, 1399, 1400):
            talk.request("PA", bytes(range(7, 256)) * 5 + b"x" * size if size < 4 else b"q" * size)
            talk.reply("PA", b"\xff" * size)
        talk.request("FA")
        assert talk.state == FIN_WAIT
        talk.reply("A", b"the rest")
        talk.reply("FA")
        assert talk.state == LAST_ACK
        talk.request("A")
        assert talk.state == TIME_WAIT
        server = server_at(gateway.balancer, 0)
        assert (server.packets[0], server.packets[1]) == (10, 9)
        assert gateway.balancer.count == 1


@FAMILIES
def test_the_server_closes_first(family: int) -> None:
    with Gateway() as gateway:
        gateway.service("tcp", SERVICE[family], 80, (SERVER[family],))
        talk = Talk(gateway, family)
        talk.request("S"), talk.reply("SA"), talk.request("A"), talk.reply("FA")
        assert talk.state == CLOSE_WAIT
        talk.request("A")
        assert talk.state == CLOSE_WAIT
        talk.request("FA")
        assert talk.state == LAST_ACK
        talk.request("A")
        assert talk.state == LAST_ACK
        talk.reply("A")
        assert talk.state == TIME_WAIT


@FAMILIES
def test_udp(family: int) -> None:
    with Gateway() as gateway:
        gateway.service("udp", SERVICE[family], 80, (SERVER[family],))
        talk = Talk(gateway, family, protocol="udp")
        for size in range(40):
            talk.request(payload=b"z" * size)
            talk.reply(payload=bytes(range(size)))


def test_udp_over_ipv4_without_a_checksum_stays_without() -> None:
    with Gateway() as gateway:
        gateway.service("udp", SERVICE[4], 80, (SERVER[4],))
        sent = frame(CLIENT[4], 5000, SERVICE[4], 80, payload=b"abc", chksum=0)
        assert Seen(gateway.forward(sent), checksums="header").layer.chksum == 0


@FAMILIES
@pytest.mark.parametrize("flags", ["S", ""])
def test_a_partial_checksum_stays_partial(family: int, flags: str) -> None:
    """The field holds the pseudo header's sum before and after: a port fills in the rest."""
    protocol = "tcp" if flags else "udp"
    with Gateway() as gateway:
        gateway.service(protocol, SERVICE[family], 80, (SERVER[family],))
        whole = Seen(frame(CLIENT[family], 5000, SERVICE[family], 80, flags, b"abc"))
        sent = frame(CLIENT[family], 5000, SERVICE[family], 80, flags, b"abc", chksum=pseudo(whole))
        got = Seen(gateway.forward(sent, flags=CHECKSUM_PARTIAL), checksums="header")
        assert got.source[0] == LOCAL[family]
        assert got.layer.chksum == pseudo(got)


def pseudo(seen: Seen) -> int:
    """Sum of the pseudo header, folded."""
    octets = ip_address(seen.ip.src).packed + ip_address(seen.ip.dst).packed
    octets += len(bytes(seen.layer)).to_bytes(4, "big") + (6 if hasattr(seen.layer, "flags") else 17).to_bytes(4, "big")
    total = sum(int.from_bytes(octets[i : i + 2], "big") for i in range(0, len(octets), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def is_error_about(gateway: Gateway, sent: bytes, kind: tuple[int, int]) -> bool:
    """Whether exactly one ICMP error of this kind went back to the client, about the packet as it was sent."""
    [(port, data)] = gateway.taken()
    packet = Ether(data)
    error = packet[ICMP] if ICMP in packet else packet[IPv6].payload
    ends = (packet.payload.dst, Ether(sent).payload.src)
    quoted = bytes(error)[8:]
    return port == CLIENTS and ends[0] == ends[1] and (error.type, error.code) == kind and sent[14:].startswith(quoted)


@FAMILIES
def test_a_packet_at_the_end_of_its_hops_is_reported_as_it_came(family: int) -> None:
    with Gateway() as gateway:
        gateway.service("tcp", SERVICE[family], 80, (SERVER[family],))
        last = frame(CLIENT[family], 1, SERVICE[family], 80, "S", ttl=1)
        kind = (11, 0) if family == 4 else (3, 0)
        assert gateway.put(last) == TTL_EXPIRED
        assert is_error_about(gateway, last, kind)
        assert gateway.balancer.count == 0
        Talk(gateway, family, 1).request("S")
        gateway.wait(2)
        assert gateway.put(last) == TTL_EXPIRED
        assert is_error_about(gateway, last, kind)


@FAMILIES
def test_a_packet_beyond_the_mtu_is_refused_unless_it_will_be_segmented(family: int) -> None:
    with Gateway() as gateway:
        gateway.service("tcp", SERVICE[family], 80, (SERVER[family],))
        Talk(gateway, family, 1).request("S")
        header = 40 if family == 4 else 60
        gateway.forward(frame(CLIENT[family], 1, SERVICE[family], 80, "A", b"x" * (1500 - header)))
        large = frame(CLIENT[family], 1, SERVICE[family], 80, "A", b"x" * (1501 - header), df=True)
        assert gateway.put(large) == TOO_BIG
        assert is_error_about(gateway, large, (3, 4) if family == 4 else (2, 0))
        gateway.forward(large, flags=UNSEGMENTED)


def test_a_long_packet_that_allows_it_goes_in_pieces() -> None:
    with Gateway() as gateway:
        gateway.service("udp", SERVICE[4], 80, (SERVER[4],))
        assert gateway.put(frame(CLIENT[4], 1, SERVICE[4], 80, payload=bytes(range(250)) * 7)) == QUEUED
        pieces = [Ether(data)[IP] for _, data in gateway.taken()]
        [whole] = defragment(pieces)  # type: ignore[no-untyped-call]
        assert (whole.src, whole.dst) == (LOCAL[4], SERVER[4])
        assert bytes(whole[UDP].payload) == bytes(range(250)) * 7
        got = whole[UDP].chksum
        del whole[UDP].chksum
        assert IP(bytes(whole))[UDP].chksum == got


def test_a_server_out_of_reach() -> None:
    with Gateway() as gateway:
        gateway.service("tcp", SERVICE[6], 80, ("ff02::1",))
        sent = frame(CLIENT[6], 1, SERVICE[6], 80, "S")
        assert gateway.put(sent) == NO_ROUTE
        assert is_error_about(gateway, sent, (1, 0))


@FAMILIES
def test_what_is_for_no_service_goes_on(family: int) -> None:
    with Gateway() as gateway:
        gateway.service("tcp", SERVICE[family], 80, (SERVER[family],))
        assert gateway.put(frame(CLIENT[family], 1, SERVICE[family], 81, "S")) == CONTINUE
        assert gateway.put(frame(CLIENT[family], 1, SERVICE[family], 80)) == CONTINUE  # UDP
        assert gateway.put(frame(CLIENT[family], 1, LOCAL[family], 80, "S")) == CONTINUE


@FAMILIES
@pytest.mark.parametrize("flags", ["A", "SA", "FA", "R", "PA"])
def test_a_segment_of_no_connection(family: int, flags: str) -> None:
    with Gateway() as gateway:
        number = gateway.service("tcp", SERVICE[family], 80, (SERVER[family],))
        assert gateway.put(frame(CLIENT[family], 1, SERVICE[family], 80, flags)) == NO_CONN
        assert gateway.balancer.services[number].no_conn == 1


def test_find_server_by_address() -> None:
    with Gateway() as gateway:
        number = gateway.service("tcp", SERVICE[4], 80, (SERVER[4],))
        assert find_server(gateway.balancer, number, ip_address(SERVER[4]), 8080) == 0
        assert find_server(gateway.balancer, number, ip_address(SERVER[4]), 8081) == -1
