"""Full NAT between IPv4 and IPv6, packets against what RFC 7915 asks for, written and judged by scapy."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import checksum as sum_of

from pronghorn.balancer.configure import ConfigureError, add_server, add_service
from pronghorn.balancer.icmp_errors import find_quoted, pass_error, quoted_at
from pronghorn.balancer.show import connections
from pronghorn.balancer.tables import Balancer
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED, WHOLE, Packet
from pronghorn.state.verdicts import ICMP_IGNORED, LOCAL_PORTS_EXHAUSTED, QUEUED, TOO_BIG
from pronghorn.state.worker import Worker
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


# --- errors -------------------------------------------------------------------------------------------------------


def error_about(sent: bytes, kind: int, code: int, rest: int, octets: int = 1 << 16) -> bytes:
    """A frame of a router on the servers' side: the ICMP error about what the gateway has sent there."""
    about = Ether(sent).payload
    link = Ether(src=mac(PEER_MAC[SERVERS]), dst=mac(OWN_MAC[SERVERS]))
    quoted = bytes(about)[:octets]
    if isinstance(about, IP):
        body = bytearray(bytes((kind, code, 0, 0)) + rest.to_bytes(4) + quoted)
        body[2:4] = sum_of(bytes(body)).to_bytes(2)
        return bytes(link / IP(src="192.0.2.81", dst=about.src, proto=1, ttl=60, tos=0xC0) / Raw(bytes(body)))
    body = bytearray(bytes((kind, code, 0, 0)) + rest.to_bytes(4) + quoted)
    router = "2001:db8:2::81"
    pseudo = ip_address(router).packed + ip_address(about.src).packed + len(body).to_bytes(4) + (58).to_bytes(4)
    body[2:4] = sum_of(pseudo + bytes(body)).to_bytes(2)
    return bytes(link / IPv6(src=router, dst=about.src, nh=58, hlim=60) / Raw(bytes(body)))


def pass_on(worker: Worker, packet: Packet) -> int:
    """The error to whom it concerns."""
    protocol, at = quoted_at(packet)
    if protocol == 0:
        return ICMP_IGNORED
    flow = find_quoted(Balancer(worker.balancer), packet, protocol, at)
    assert flow >= 0
    return pass_error(worker, Balancer(worker.balancer), packet, flow, protocol, at)


def hear(gateway: Gateway, error: bytes) -> Any:
    """What the client gets of the error."""
    packet = Ether(error)
    upper = (1, 34) if IP in packet else (58, 54)
    verdict = gateway.put(error, SERVERS, upper=upper, enter=pass_on)
    if verdict != QUEUED:
        return verdict
    [(port, frame_)] = gateway.taken()
    assert port == CLIENTS
    return Ether(frame_)


TO6 = {  # what a server of IPv4 or a router says: what a client of IPv6 hears (RFC 7915 5.2 the other way: 4.2)
    (3, 0, 0): (1, 0, 0), (3, 1, 0): (1, 0, 0), (3, 2, 0): (4, 1, 6), (3, 3, 0): (1, 4, 0), (3, 13, 0): (1, 1, 0),
    (3, 4, 1400): (2, 0, 1420), (3, 4, 600): (2, 0, 1280), (11, 0, 0): (3, 0, 0), (11, 1, 0): (3, 1, 0),
}  # fmt: skip
TO4 = {
    (1, 0, 0): (3, 1, 0), (1, 1, 0): (3, 10, 0), (1, 3, 0): (3, 1, 0), (1, 4, 0): (3, 3, 0), (4, 1, 6): (3, 2, 0),
    (2, 0, 1400): (3, 4, 1380), (3, 0, 0): (11, 0, 0), (3, 1, 0): (11, 1, 0),
}  # fmt: skip


@pytest.mark.parametrize("layer", ["udp", "tcp"])
@pytest.mark.parametrize(("family", "said"), [*((6, one) for one in TO6), *((4, one) for one in TO4)])
def test_errors_are_translated_with_what_they_quote(family: int, said: tuple[int, int, int], layer: str) -> None:
    with Gateway() as gateway:
        serve(gateway, family, layer)
        asked = request(family, "S" if layer == "tcp" else "", df=True)
        sent = gateway.forward(asked)
        got = hear(gateway, error_about(sent, *said))
        kind, code, rest = {4: TO4, 6: TO6}[family][said]
        outer = got.payload
        assert (outer.src, outer.dst) == (SERVICE[family], CLIENT[family])
        assert (outer.ttl if family == 4 else outer.hlim) == 59
        body = bytes(outer)[20 if family == 4 else 40 :]
        assert (body[0], body[1], int.from_bytes(body[4:8])) == (kind, code, rest)
        if family == 4:
            assert sum_of(bytes(outer)[:20]) == sum_of(body) == 0
        else:
            pseudo = ip_address(outer.src).packed + ip_address(outer.dst).packed
            assert sum_of(pseudo + len(body).to_bytes(4) + (58).to_bytes(4) + body) == 0
        quoted, mine = body[8:], bytes(Ether(asked).payload)
        header = 20 if family == 4 else 40
        assert quoted[header:] == mine[header:], "ports and checksum are those that the client sent"
        again = (IP if family == 4 else IPv6)(quoted)
        assert (again.src, again.dst) == (CLIENT[family], SERVICE[family])
        if family == 4:
            assert again.len == len(mine)
            assert sum_of(quoted[:20]) == 0
        else:
            assert again.plen == len(mine) - 40


@FAMILIES
def test_errors_that_say_nothing_on_the_other_side_end_here(family: int) -> None:
    with Gateway() as gateway:
        serve(gateway, family)
        sent = gateway.forward(request(family))
        said = (12, 0, 0) if family == 6 else (4, 0, 0)
        assert hear(gateway, error_about(sent, *said)) == ICMP_IGNORED


@FAMILIES
def test_short_quotes_and_long_ones(family: int) -> None:
    with Gateway() as gateway:
        serve(gateway, family)
        sent = gateway.forward(request(family, payload=bytes(1100)))
        header = 20 if family == 6 else 40
        said = (3, 3, 0) if family == 6 else (1, 4, 0)
        body = bytes(hear(gateway, error_about(sent, *said, header + 8)).payload)
        assert len(body) == {4: 20 + 8 + 20 + 8, 6: 40 + 8 + 40 + 8}[family]
        body = bytes(hear(gateway, error_about(sent, *said)).payload)
        assert len(body) == {4: 576, 6: 1196}[family]
