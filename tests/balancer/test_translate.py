"""Full NAT between IPv4 and IPv6, packets against what RFC 7915 asks for, written and judged by scapy."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from pronghorn.balancer.configure import ConfigureError, add_server, add_service
from pronghorn.balancer.show import connections
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED, WHOLE
from pronghorn.state.verdicts import LOCAL_PORTS_EXHAUSTED, QUEUED, TOO_BIG
from tests.balancer.frames import CLIENT, LOCAL, SERVER, SERVICE, Seen, frame
from tests.balancer.gateway import CLIENTS, OWN_MAC, PEER_MAC, SERVERS, Gateway, mac
from tests.balancer.test_tunnels import set_mtu, together

FAMILIES = pytest.mark.parametrize("family", [4, 6])
LAYERS = pytest.mark.parametrize("flags", ["", "S"])


def other(family: int) -> int:
    return 10 - family


def serve(gateway: Gateway, family: int, protocol: str = "udp") -> None:
    gateway.service(protocol, SERVICE[family], 80, (SERVER[other(family)],))


def request(family: int, flags: str = "", payload: bytes = b"question", **more: Any) -> bytes:
    return frame(CLIENT[family], 40000, SERVICE[family], 80, flags, payload, **more)


def reply(family: int, port: int, flags: str = "", payload: bytes = b"answer", **more: Any) -> bytes:
    """From the server, whose family is the other one, to the local address."""
    ends = SERVER[other(family)], 8080, LOCAL[other(family)], port
    return frame(*ends, flags, payload, SERVERS, **more)


@FAMILIES
@LAYERS
def test_requests_and_replies_are_translated(family: int, flags: str) -> None:
    with Gateway() as gateway:
        serve(gateway, family, "tcp" if flags else "udp")
        got = gateway.forward(request(family, flags))
        seen = Seen(got)
        assert type(seen.ip) is {4: IPv6, 6: IP}[family]
        assert Ether(got).type == {4: 0x86DD, 6: 0x0800}[family]
        assert seen.link == (mac(OWN_MAC[SERVERS]), mac(PEER_MAC[SERVERS]))
        assert (seen.source[0], seen.destination) == (LOCAL[other(family)], (SERVER[other(family)], 8080))
        assert (seen.payload, seen.ttl) == (b"question", 63)
        back = gateway.forward(reply(family, seen.source[1], flags and "SA"), SERVERS)
        seen = Seen(back)
        assert Ether(back).type == {4: 0x0800, 6: 0x86DD}[family]
        assert (seen.source, seen.destination) == ((SERVICE[family], 80), (CLIENT[family], 40000))
        assert (seen.payload, seen.ttl) == (b"answer", 63)
        [row] = connections(gateway.balancer, gateway.worker, 0, 9)[0]
        assert (row.family, row.client, row.server) == (
            family,
            (ip_address(CLIENT[family]), 40000),
            (ip_address(SERVER[other(family)]), 8080),
        )
        assert row.local is not None
        assert (row.local[0], row.packets_in, row.packets_out) == (ip_address(LOCAL[other(family)]), 1, 1)


@FAMILIES
def test_connections_begin_and_end(family: int) -> None:
    with Gateway() as gateway:
        serve(gateway, family, "tcp")
        port = Seen(gateway.forward(request(family, "S"))).source[1]
        gateway.forward(reply(family, port, "SA"), SERVERS)
        gateway.forward(request(family, "A"))
        [row] = connections(gateway.balancer, gateway.worker, 0, 9)[0]
        assert row.state == "established"
        gateway.forward(request(family, "R"))
        gateway.wait(30)
        assert gateway.balancer.count == 0
        assert sum(gateway.balancer.locals[place].conns for place in range(4)) == 0
        gateway.forward(request(family, "S"))
        assert gateway.balancer.count == 1


@pytest.mark.parametrize("tos", [0xB8, 0x03])
@FAMILIES
def test_the_traffic_class_is_copied(family: int, tos: int) -> None:
    with Gateway() as gateway:
        serve(gateway, family)
        packet = Ether(request(family))
        if family == 4:
            packet[IP].tos = tos
            del packet[IP].chksum
        else:
            packet[IPv6].tc, packet[IPv6].fl = tos, 0x12345
        seen = Seen(gateway.forward(bytes(packet)))
        assert (seen.ip.tc if family == 4 else seen.ip.tos) == tos
        assert family == 6 or seen.ip.fl == 0


def test_a_datagram_without_checksum_gets_one() -> None:
    with Gateway() as gateway:
        serve(gateway, 4)
        packet = Ether(request(4, payload=b"odd"))
        packet[UDP].chksum = 0
        seen = Seen(gateway.forward(bytes(packet)))
        assert seen.layer.chksum != 0
        assert seen.payload == b"odd"


def test_options_and_extension_headers_are_left_out() -> None:
    with Gateway() as gateway:
        serve(gateway, 4)
        packet = Ether(request(4))
        packet[IP].options = [IPOption_NOP()] * 8
        del packet[IP].ihl, packet[IP].len, packet[IP].chksum
        seen = Seen(gateway.forward(bytes(packet)))
        assert (seen.ip.plen, seen.ip.nh, seen.payload) == (16, 17, b"question")
    with Gateway() as gateway:
        serve(gateway, 6)
        packet = Ether(request(6))
        upper = packet[UDP]
        packet[IPv6].remove_payload()
        packet = packet / IPv6ExtHdrDestOpt() / upper
        del packet[IPv6].plen, packet[IPv6].nh
        octets = bytes(packet)
        assert gateway.put(octets, upper=(17, 14 + 48)) == QUEUED
        seen = Seen(gateway.taken()[0][1])
        assert (seen.ip.len, seen.ip.proto, seen.payload) == (36, 17, b"question")


def test_what_may_be_fragmented_on_its_way() -> None:
    """RFC 7915 5.1: up to 1260 octets of IPv4 have no DF and an identification; more has DF, and none."""
    with Gateway() as gateway:
        serve(gateway, 6)
        idents = set()
        for octets in (1, 1260, 1260):
            ip = Seen(gateway.forward(request(6, payload=bytes(max(0, octets - 28))))).ip
            assert (int(ip.flags), ip.frag) == (0, 0)
            idents.add(ip.id)
        assert len(idents) > 1
        ip = Seen(gateway.forward(request(6, payload=bytes(1261 - 28)))).ip
        assert (str(ip.flags), ip.id) == ("DF", 0)


@FAMILIES
def test_what_is_too_long_is_reported_in_the_senders_terms(family: int) -> None:
    with Gateway() as gateway:
        serve(gateway, family)
        set_mtu(gateway, 1400)
        headers, limit = {4: (28, 1380), 6: (48, 1420)}[family]
        longest = request(family, payload=bytes(limit - headers), df=True)
        assert len(gateway.forward(longest)) == 1414
        assert gateway.put(request(family, payload=bytes(limit - headers + 1), df=True)) == TOO_BIG
        [(port, report)] = gateway.taken()
        assert port == CLIENTS
        if family == 4:
            assert Ether(report)[ICMP].nexthopmtu == limit
        else:
            assert Ether(report)[ICMPv6PacketTooBig].mtu == limit


def test_an_ipv6_sender_need_not_go_below_1280() -> None:
    with Gateway() as gateway:
        serve(gateway, 6)
        set_mtu(gateway, 1000)
        assert gateway.put(request(6, payload=bytes(1281 - 48))) == TOO_BIG
        [(_, report)] = gateway.taken()
        assert Ether(report)[ICMPv6PacketTooBig].mtu == 1280
        payload = bytes(range(256)) * 5
        assert gateway.put(request(6, payload=payload[: 1280 - 48])) == QUEUED
        body = together([data for _, data in gateway.taken()], 4)
        assert body[8:] == payload[: 1280 - 48]


@pytest.mark.parametrize(("family", "flags"), [(4, 0), (4, WHOLE), (6, WHOLE)])
def test_what_may_be_cut_goes_in_pieces(family: int, flags: int) -> None:
    """IPv4 without DF, and what came in pieces."""
    with Gateway() as gateway:
        serve(gateway, family)
        set_mtu(gateway, 1300)
        payload = bytes(range(256)) * 5
        assert gateway.put(request(family, payload=payload), flags=flags) == QUEUED
        frames = [data for _, data in gateway.taken()]
        assert len(frames) == 2
        first = Ether(frames[0]).payload
        assert type(first) is {4: IPv6, 6: IP}[family]
        body = together(frames, other(family))
        assert body[8:] == payload
        head = IPv6(src=first.src, dst=first.dst, nh=17) if family == 4 else IP(src=first.src, dst=first.dst, proto=17)
        whole = type(first)(bytes(head / Raw(body)))
        sent = whole[UDP].chksum
        del whole[UDP].chksum
        assert type(first)(bytes(whole))[UDP].chksum == sent


@FAMILIES
def test_a_partial_checksum_stays_partial(family: int) -> None:
    """The field holds the sum of the pseudo header, which is another one now."""
    with Gateway() as gateway:
        serve(gateway, family, "tcp")
        plain = Seen(gateway.forward(request(family, "S")))
        sent = Ether(request(family, "A"))
        sent[TCP].chksum = _pseudo(CLIENT[family], SERVICE[family], 20 + 8)
        got = Ether(gateway.forward(bytes(sent), flags=CHECKSUM_PARTIAL))
        assert got[TCP].chksum == _pseudo(plain.source[0], plain.destination[0], 28)


def _pseudo(src: str, dst: str, octets: int) -> int:
    data = ip_address(src).packed + ip_address(dst).packed + octets.to_bytes(4) + (6).to_bytes(4)
    total = sum(int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@FAMILIES
def test_an_unsegmented_frame_is_measured_by_its_segments(family: int) -> None:
    with Gateway() as gateway:
        serve(gateway, family, "tcp")
        gateway.forward(request(family, "S"))
        sent = request(family, "A", bytes(1400), df=True)
        set_mtu(gateway, 600)
        fits = 600 - 20 - {4: 40, 6: 20}[family]
        assert gateway.put(sent, flags=UNSEGMENTED | CHECKSUM_PARTIAL, segments=fits) == QUEUED
        [(_, frame_)] = gateway.taken()
        assert len(Ether(frame_)[TCP].payload) == 1400
        assert gateway.put(sent, flags=UNSEGMENTED | CHECKSUM_PARTIAL, segments=fits + 1) == TOO_BIG
        gateway.taken()


@FAMILIES
def test_the_servers_family_needs_a_local_address(family: int) -> None:
    with Gateway(locals_=(LOCAL[family],)) as gateway:
        serve(gateway, family)
        assert gateway.put(request(family)) == LOCAL_PORTS_EXHAUSTED
    with Gateway() as gateway:
        number = add_service(gateway.balancer, "udp", ip_address(SERVICE[family]), 80, "rr")
        for method in ("nat", "direct"):
            with pytest.raises(ConfigureError, match="keeps the family"):
                add_server(gateway.balancer, number, ip_address(SERVER[other(family)]), 80, method=method)
