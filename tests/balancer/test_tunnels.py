"""Tunnels to servers as scapy sees them: the outer header, what the inner packet keeps, and what is too long."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import GRE, Ether
from scapy.packet import Raw
from scapy.utils import checksum as sum_of

from pronghorn.balancer.configure import ConfigureError, Outer, add_server, add_service, change_method
from pronghorn.balancer.health import reset_server
from pronghorn.balancer.show import connections, services
from pronghorn.net.state import net_of
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED, WHOLE
from pronghorn.state.verdicts import NO_ROUTE, QUEUED, TOO_BIG, TRANSMITTED
from tests.balancer.frames import CLIENT, SERVER, SERVICE, frame
from tests.balancer.gateway import CLIENTS, OWN_MAC, PEER_MAC, SERVERS, Gateway, mac

OURS = {4: "192.0.2.1", 6: "2001:db8:2::1"}
METHODS = ("tunnel-ipip", "tunnel-gre", "tunnel-gue")
PAIRS = pytest.mark.parametrize(("inner", "outer"), [(4, 4), (6, 6), (4, 6), (6, 4)])
IPX = {4: IP, 6: IPv6}


def serve(
    gateway: Gateway, inner: int, outer: int, method: str, ask: Outer | None = None, protocol: str = "udp"
) -> int:
    number = add_service(gateway.balancer, protocol, ip_address(SERVICE[inner]), 80, "rr")
    return add_server(gateway.balancer, number, ip_address(SERVER[outer]), 80, method=method, outer=ask)


def request(family: int, payload: bytes = b"question", tos: int = 0, **more: Any) -> bytes:
    octets = bytearray(frame(CLIENT[family], 40000, SERVICE[family], 80, payload=payload, **more))
    if tos and family == 4:
        packet = Ether(bytes(octets))
        packet[IP].tos = tos
        del packet[IP].chksum
        return bytes(packet)
    if tos:
        octets[14], octets[15] = 0x60 | tos >> 4, (tos & 15) << 4
    return bytes(octets)


def outer_of(data: bytes, outer: int) -> Any:
    """The outer header, checked: addresses, hops, lengths, checksum, DF."""
    packet = Ether(data)
    assert (packet.src, packet.dst) == (mac(OWN_MAC[SERVERS]), mac(PEER_MAC[SERVERS]))
    ip = packet.payload
    assert type(ip) is IPX[outer]
    assert (ip.src, ip.dst) == (OURS[outer], SERVER[outer])
    if outer == 4:
        assert (ip.ttl, ip.len, ip.frag) == (64, len(data) - 14, 0)
        assert sum_of(bytes(ip)[:20]) == 0
    else:
        assert (ip.hlim, ip.plen) == (64, len(data) - 54)
    return ip


def unpacked(data: bytes, inner: int, outer: int, method: str, ask: Outer) -> bytes:
    """The inner packet; what lies in between is checked."""
    ip = outer_of(data, outer)
    protocol = ip.proto if outer == 4 else ip.nh
    number, ethertype = (4, 0x0800) if inner == 4 else (41, 0x86DD)
    body = bytes(ip)[20 if outer == 4 else 40 :]
    if method == "tunnel-ipip":
        assert protocol == number
        return body
    if method == "tunnel-gre":
        assert protocol == 47
        gre = GRE(body)
        assert (gre.proto, gre.version, gre.chksum_present) == (ethertype, 0, int(ask.checksum))
        assert gre.key == ask.key
        if ask.checksum:
            assert sum_of(body) == 0
        return body[4 + 4 * ask.checksum + (0 if ask.key is None else 4) :]
    assert protocol == 17
    sport, dport, length, checksum = (int.from_bytes(body[at : at + 2]) for at in (0, 2, 4, 6))
    assert sport >= 0xC000
    assert (dport, length) == (ask.port, len(body))
    if ask.checksum:
        assert checksum != 0
        pseudo = ip_address(ip.src).packed + ip_address(ip.dst).packed + length.to_bytes(4) + (17).to_bytes(4)
        assert sum_of(pseudo + body) == 0
    else:
        assert checksum == 0
    assert body[8:12] == bytes((0, number, 0, 0))
    return body[12:]


def good(inner: bytes, family: int) -> Any:
    """The inner packet as scapy reads it; its checksums are those that scapy computes."""
    packet = IPX[family](inner)
    again = IPX[family](inner)
    if family == 4:
        del again.chksum
    layer = again[TCP if TCP in again else UDP]
    if layer.chksum != 0 or family == 6:
        del layer.chksum
    assert bytes(again) == inner
    return packet


@PAIRS
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ask", [Outer(), Outer(port=7000, key=0xFFEEDDCC, checksum=True)], ids=["plain", "all"])
def test_packets_go_as_they_came_behind_another_header(inner: int, outer: int, method: str, ask: Outer) -> None:
    with Gateway(locals_=()) as gateway:
        serve(gateway, inner, outer, method, ask)
        sent = request(inner, tos=0xB9)
        got = gateway.forward(sent)
        ip = outer_of(got, outer)
        assert (ip.tos if outer == 4 else ip.tc) == 0xB9
        if outer == 4:
            assert ip.flags == "DF"
        packet = good(unpacked(got, inner, outer, method, ask), inner)
        assert (packet.src, packet.dst) == (CLIENT[inner], SERVICE[inner])
        assert (packet.ttl if inner == 4 else packet.hlim) == 63
        assert bytes(packet[UDP]) == sent[-len(b"question") - 8 :]
        [row] = connections(gateway.balancer, gateway.worker, 0, 9)[0]
        assert (row.local, row.server[0], row.packets_in) == (None, ip_address(SERVER[outer]), 1)
        [server] = services(gateway.balancer)[0].servers
        assert (server.method, server.packets_in, server.octets_in) == (method, 1, len(sent))


@pytest.mark.parametrize("checksum", [False, True])
def test_flows_are_told_apart_outside(checksum: bool) -> None:
    """IPv6's flow label and GUE's source port are those of the connection."""
    with Gateway(locals_=()) as gateway:
        serve(gateway, 6, 6, "tunnel-gue", Outer(checksum=checksum))
        labels, ports = set(), set()
        for sport in (1, 2, 3, 3):
            ip = outer_of(gateway.forward(frame(CLIENT[6], sport, SERVICE[6], 80)), 6)
            labels.add(ip.fl)
            ports.add(int.from_bytes(bytes(ip)[40:42]))
        assert (len(labels), len(ports)) == (3, 3)


@PAIRS
@pytest.mark.parametrize("method", METHODS)
def test_what_is_too_long_for_the_tunnel_is_reported(inner: int, outer: int, method: str) -> None:
    with Gateway(locals_=()) as gateway:
        serve(gateway, inner, outer, method)
        front = {4: 20, 6: 40}[outer] + {"tunnel-ipip": 0, "tunnel-gre": 4, "tunnel-gue": 12}[method]
        headers = {4: 28, 6: 48}[inner]
        got = gateway.forward(request(inner, bytes(1500 - front - headers), df=True))
        assert len(outer_of(got, outer)) == 1500
        assert gateway.put(request(inner, bytes(1501 - front - headers), df=True)) == TOO_BIG
        [(port, report)] = gateway.taken()
        assert port == CLIENTS
        packet = Ether(report)
        if inner == 4:
            assert (packet[ICMP].type, packet[ICMP].code, packet[ICMP].nexthopmtu) == (3, 4, 1500 - front)
        else:
            assert packet[ICMPv6PacketTooBig].mtu == 1500 - front


def set_mtu(gateway: Gateway, mtu: int) -> None:
    gateway.worker.ports[SERVERS].mtu = mtu
    for place in range(net_of(gateway.worker).neighbour_limit):
        net_of(gateway.worker).neighbours[place].mtu = mtu


def together(frames: list[bytes], outer: int) -> bytes:
    """The payload of the outer packet that these are pieces of, behind the first one's header."""
    body, parts, head = b"", [], b""
    for data in frames:
        ip = Ether(data).payload
        if outer == 4:
            parts.append((ip.frag * 8, bytes(ip)[20:], ip.id, "MF" in str(ip.flags)))
            assert sum_of(bytes(ip)[:20]) == 0
        else:
            piece = ip[IPv6ExtHdrFragment]
            parts.append((piece.offset * 8, bytes(piece.payload), piece.id, bool(piece.m)))
        head = head or bytes(ip)
    for offset, octets, ident, _ in sorted(parts):
        assert (offset, ident) == (len(body), parts[0][2])
        body += octets
    assert [more for *_, more in sorted(parts)] == [True] * (len(parts) - 1) + [False]
    return body


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("inner", [4, 6])
@pytest.mark.parametrize("method", METHODS)
def test_what_may_be_cut_goes_in_pieces_of_the_outer_packet(inner: int, outer: int, method: str) -> None:
    """IPv4 without DF, IPv6 of 1280 octets, and what came in pieces."""
    with Gateway(locals_=()) as gateway:
        serve(gateway, inner, outer, method)
        set_mtu(gateway, 1299)
        headers = {4: 28, 6: 48}[inner]
        payload = bytes(range(256)) * 5
        sent = request(inner, payload[: 1280 - headers])
        for flags in (0, WHOLE):
            assert gateway.put(sent, flags=flags) == QUEUED
            frames = [data for _, data in gateway.taken()]
            assert len(frames) == 2
            assert all(len(data) <= 1313 for data in frames)
            body = together(frames, outer)
            body = body[{"tunnel-ipip": 0, "tunnel-gre": 4, "tunnel-gue": 12}[method] :]
            packet = good(body, inner)
            assert bytes(packet[UDP].payload) == payload[: 1280 - headers]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("method", METHODS)
def test_unsegmented_frames_are_cut_before_they_go_in(family: int, method: str) -> None:
    with Gateway(locals_=()) as gateway:
        ask = Outer(checksum=True)
        serve(gateway, family, family, method, ask, protocol="tcp")
        gateway.forward(frame(CLIENT[family], 40000, SERVICE[family], 80, "S"))
        payload = bytes(range(251)) * 5
        data = frame(CLIENT[family], 40000, SERVICE[family], 80, "PA", payload)
        assert gateway.put(data, flags=UNSEGMENTED | CHECKSUM_PARTIAL, segments=500) == TRANSMITTED
        segments = [good(unpacked(out, family, family, method, ask), family) for _, out in gateway.taken()]
        assert [len(one[TCP].payload) for one in segments] == [500, 500, 255]
        assert b"".join(bytes(one[TCP].payload) for one in segments) == payload
        assert [one[TCP].seq for one in segments] == [1000, 1500, 2000]
        assert {(one.ttl if family == 4 else one.hlim) for one in segments} == {63}


@PAIRS
@pytest.mark.parametrize("method", METHODS)
def test_a_partial_checksum_is_completed(inner: int, outer: int, method: str) -> None:
    with Gateway(locals_=()) as gateway:
        ask = Outer(checksum=True)
        serve(gateway, inner, outer, method, ask)
        sent = Ether(request(inner, b"odd"))
        whole = sent[UDP].chksum
        pseudo = ip_address(CLIENT[inner]).packed + ip_address(SERVICE[inner]).packed
        sent[UDP].chksum = sum_of(pseudo + (11).to_bytes(4) + (17).to_bytes(4)) ^ 0xFFFF
        got = gateway.forward(bytes(sent), flags=CHECKSUM_PARTIAL)
        assert good(unpacked(got, inner, outer, method, ask), inner)[UDP].chksum == whole


@pytest.mark.parametrize("method", METHODS[1:])
def test_a_datagram_without_checksum_is_summed(method: str) -> None:
    with Gateway(locals_=()) as gateway:
        ask = Outer(checksum=True)
        serve(gateway, 4, 4, method, ask)
        sent = Ether(request(4, b"odd"))
        sent[UDP].chksum = 0
        inner = unpacked(gateway.forward(bytes(sent)), 4, 4, method, ask)
        assert IP(inner)[UDP].chksum == 0


def test_a_server_changes_its_way_in_and_connections_keep_theirs() -> None:
    with Gateway() as gateway:
        server = serve(gateway, 4, 4, "tunnel-gre")
        assert outer_of(gateway.forward(request(4)), 4).proto == 47
        change_method(gateway.balancer, server, "direct")
        assert outer_of(gateway.forward(request(4)), 4).proto == 47
        assert Ether(gateway.forward(frame(CLIENT[4], 40001, SERVICE[4], 80)))[IP].dst == SERVICE[4]
        change_method(gateway.balancer, server, "tunnel-ipip")
        assert outer_of(gateway.forward(frame(CLIENT[4], 40002, SERVICE[4], 80)), 4).proto == 4
        assert Ether(gateway.forward(frame(CLIENT[4], 40001, SERVICE[4], 80)))[IP].dst == SERVICE[4]
        reset_server(gateway.balancer, server)
        assert outer_of(gateway.forward(frame(CLIENT[4], 40003, SERVICE[4], 80)), 4).proto == 4


def test_without_an_address_of_ours_there_is_no_way() -> None:
    with Gateway() as gateway:
        serve(gateway, 4, 4, "tunnel-ipip")
        net = net_of(gateway.worker)
        net.interfaces[SERVERS].source4 = 0
        net.interfaces[SERVERS].addresses = 0xFFFFFFFF
        assert gateway.put(request(4)) == NO_ROUTE
        gateway.taken()


@pytest.mark.parametrize("outer", [Outer(port=0), Outer(port=65536), Outer(key=1 << 32), Outer(key=-1)])
def test_what_a_tunnel_cannot_be(outer: Outer) -> None:
    with Gateway() as gateway, pytest.raises(ConfigureError, match="out of range"):
        serve(gateway, 4, 4, "tunnel-gue", outer)
    with Gateway() as gateway:
        number = add_service(gateway.balancer, "udp", ip_address(SERVICE[4]), 80, "rr")
        with pytest.raises(ConfigureError, match="port is the service's"):
            add_server(gateway.balancer, number, ip_address(SERVER[6]), 81, method="tunnel-ipip")


def test_a_frame_without_room_in_front_is_moved() -> None:
    with Gateway() as gateway:
        serve(gateway, 6, 6, "tunnel-gue", Outer(checksum=True))
        got = gateway.forward(request(6), flags=0, headroom=2)
        assert bytes(good(unpacked(got, 6, 6, "tunnel-gue", Outer(checksum=True)), 6)[Raw]) == b"question"
