"""The way out: MTU, pieces, path MTUs (RFC 791, RFC 1191, RFC 8200, RFC 8201)."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, UDP, IPOption_RR, IPOption_Security
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import Ether

from pronghorn.net.configure import change_mtu
from pronghorn.net.configure_routes import remove_route
from pronghorn.net.path_mtu import LIFETIME, path_limit, path_mtu_add, path_mtu_find
from pronghorn.net.state import MAPPED
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED, WHOLE
from pronghorn.wire.text import parse_ip4, parse_ip6
from tests.net.fixture import OWN, PEER, NetBench, advertisement, reply

NEAR4, NEAR6 = "192.0.2.7", "2001:db8:1::7"
FAR4, FAR6 = "198.51.100.9", "2001:db8:2::9"


def big4(octets: int, **fields: Any) -> Any:
    """A datagram of so many octets of layer 3."""
    return IP(src=FAR4, dst=NEAR4, id=77, **fields) / UDP(sport=1, dport=2) / bytes(i & 255 for i in range(octets - 28))


def big6(octets: int) -> Any:
    return IPv6(src=FAR6, dst=NEAR6) / UDP(sport=1, dport=2) / bytes(octets - 48)


def payload(frames: list[Any]) -> bytes:
    """What the pieces carry, put together as RFC 791 says."""
    whole = bytearray(sum(frame[IP].len - frame[IP].ihl * 4 for frame in frames))
    for frame in frames:
        data = bytes(frame[IP].payload)[: frame[IP].len - frame[IP].ihl * 4]
        whole[frame[IP].frag * 8 : frame[IP].frag * 8 + len(data)] = data
    return bytes(whole)


def test_what_fits_goes_whole(bench: NetBench) -> None:
    bench.meet(NEAR4)
    bench.meet(NEAR6)
    for ip in (big4(1500), big4(1500, flags="DF"), big6(1500)):
        assert bench.send(ip, 1) == "queued"
    assert [len(frame) for frame in bench.frames()] == [1514] * 3


def test_a_long_ipv4_packet_goes_in_pieces(bench: NetBench) -> None:
    bench.meet(NEAR4)
    change_mtu(bench.worker, 0, 576)
    assert bench.send(big4(1500), 1) == "queued"
    frames = bench.frames()
    assert [(frame[IP].frag * 8, frame[IP].len, int(frame[IP].flags)) for frame in frames] == [
        (0, 572, 1),
        (552, 572, 1),
        (1104, 396, 0),
    ]
    assert {frame[IP].id for frame in frames} == {77}
    assert payload(frames) == bytes(big4(1500).payload)


def test_a_piece_goes_in_pieces(bench: NetBench) -> None:
    """The last of its pieces says what it said: more follow."""
    bench.meet(NEAR4)
    change_mtu(bench.worker, 0, 576)
    assert bench.send(IP(src=FAR4, dst=NEAR4, id=5, flags="MF", frag=100, proto=17) / bytes(1200), 1) == "queued"
    frames = bench.frames()
    assert [(frame[IP].frag, int(frame[IP].flags)) for frame in frames] == [(100, 1), (169, 1), (238, 1)]


def test_options_without_the_copy_bit_stand_in_the_first_piece_only(bench: NetBench) -> None:
    bench.meet(NEAR4)
    change_mtu(bench.worker, 0, 576)
    options = [IPOption_RR(length=7, routers=["0.0.0.0"]), IPOption_Security(length=11)]
    ip = IP(src=FAR4, dst=NEAR4, options=options, proto=17) / bytes(1000)
    assert bench.send(ip, 1) == "queued"
    first, second = bench.frames()
    assert first[IP].ihl == second[IP].ihl == 10
    assert bytes(first[IP])[20:27] == bytes(options[0])
    assert bytes(second[IP])[20:27] == b"\x01" * 7
    assert bytes(second[IP])[27:38] == bytes(options[1])


def test_pieces_wait_for_the_neighbour(bench: NetBench) -> None:
    change_mtu(bench.worker, 0, 576)
    assert bench.send(big4(1500), 1) == "held"
    assert bench.worker.held == 3
    bench.sent()
    bench.hear(reply(NEAR4))
    assert payload(bench.frames()) == bytes(big4(1500).payload)


def test_more_pieces_than_may_wait(bench: NetBench) -> None:
    """Those that fall out are freed while others are still being made from the first."""
    change_mtu(bench.worker, 0, 256)
    assert bench.send(big4(1500), 1) == "held"
    assert bench.worker.held == 4
    assert bench.count("neighbour_queue_full") == 3
    bench.sent()
    bench.hear(reply(NEAR4))
    for frame in bench.frames():
        at = frame[IP].frag * 8
        data = bytes(frame[IP].payload)
        assert data == bytes(big4(1500).payload)[at : at + len(data)]


def test_the_pieces_of_a_packet_whose_checksum_was_left_open(bench: NetBench) -> None:
    bench.meet(NEAR4)
    change_mtu(bench.worker, 0, 576)
    whole = big4(1400)
    wanted = bytes(whole.payload)
    pseudo = 0xC633 + 0x6409 + 0xC000 + 0x0207 + 17 + 1380  # both addresses, protocol, length
    whole[UDP].chksum = (pseudo & 0xFFFF) + (pseudo >> 16)
    assert bench.send(whole, 1, CHECKSUM_PARTIAL) == "queued"
    assert payload(bench.frames()) == wanted


@pytest.mark.parametrize("known", [True, False])
def test_a_long_ipv6_packet_of_our_own_goes_in_pieces(bench: NetBench, known: bool) -> None:
    """RFC 8200 4.5: an echo reply, say."""
    if known:
        bench.meet(NEAR6)
    change_mtu(bench.worker, 0, 1280)
    message = ICMPv6EchoRequest(id=1, data=bytes(i & 255 for i in range(1500)))
    head = Ether(src=PEER, dst=OWN[0])
    assert bench.hear(head / IPv6(src=NEAR6, dst="2001:db8:1::1") / message) == ("queued" if known else "held")
    if not known:
        bench.sent()
        bench.hear(advertisement(NEAR6))
    pieces = sorted(bench.frames(), key=lambda frame: frame[IPv6ExtHdrFragment].offset)
    assert [(f[IPv6].plen, f[IPv6ExtHdrFragment].offset, f[IPv6ExtHdrFragment].m) for f in pieces] == [
        (1240, 0, 1),
        (284, 154, 0),
    ]
    assert len({frame[IPv6ExtHdrFragment].id for frame in pieces}) == 1
    whole = bytes(pieces[0])[62:] + bytes(pieces[1])[62:]
    wanted = IPv6(src="2001:db8:1::1", dst=NEAR6) / ICMPv6EchoReply(id=1, data=message.data)
    assert whole == bytes(wanted)[40:]


def test_what_came_in_pieces_goes_on_in_pieces(bench: NetBench) -> None:
    """A packet that was put together here is cut again, whatever its family or DF."""
    bench.meet(NEAR4)
    bench.meet(NEAR6)
    change_mtu(bench.worker, 0, 1280)
    assert bench.send(big4(1400, flags="DF"), 1, WHOLE) == "queued"
    assert bench.send(big6(1400), 1, WHOLE) == "queued"
    frames = bench.frames()
    assert payload(frames[:2]) == bytes(big4(1400).payload)
    assert bytes(frames[2])[62:] + bytes(frames[3])[62:] == bytes(big6(1400).payload)


def test_a_packet_that_must_not_be_cut_is_reported(bench: NetBench) -> None:
    """RFC 1191 section 4."""
    bench.meet(NEAR4)
    bench.meet(FAR4, port=1)
    change_mtu(bench.worker, 0, 1300)
    assert bench.send(big4(1301, flags="DF"), 1) == "too_big"
    (error,) = bench.frames(1)
    assert (error[ICMP].type, error[ICMP].code, error[ICMP].nexthopmtu) == (3, 4, 1300)
    assert (error[IP].src, error[IP].dst, error[IP].len) == ("198.51.100.1", FAR4, 576)
    assert bytes(error)[42:] == bytes(big4(1301, flags="DF"))[:548]


def test_a_long_ipv6_packet_is_reported(bench: NetBench) -> None:
    """RFC 4443 3.2."""
    bench.meet(NEAR6)
    bench.meet(FAR6, port=1)
    change_mtu(bench.worker, 0, 1400)
    assert bench.send(big6(1401), 1) == "too_big"
    (error,) = bench.frames(1)
    assert error[ICMPv6PacketTooBig].mtu == 1400
    assert (error[IPv6].src, error[IPv6].dst, error[IPv6].plen) == ("2001:db8:2::1", FAR6, 1240)
    assert bytes(error)[62:] == bytes(big6(1401))[:1232]


def test_unsegmented_frames_are_the_ports_business(bench: NetBench) -> None:
    bench.meet(NEAR4)
    bench.meet(NEAR6)
    change_mtu(bench.worker, 0, 1280)
    assert bench.send(big4(1500, flags="DF"), 1, UNSEGMENTED) == "queued"
    assert bench.send(big6(1500), 1, UNSEGMENTED) == "queued"


def test_no_route_is_reported(bench: NetBench) -> None:
    bench.meet(FAR4, port=1)
    bench.meet(FAR6, port=1)
    remove_route(bench.worker, ip_network("0.0.0.0/0"), 0, ip_address("192.0.2.254"))
    remove_route(bench.worker, ip_network("::/0"), 0, ip_address("2001:db8:1::fe"))
    assert bench.send(IP(src=FAR4, dst="8.8.8.8") / UDP(), 1) == "no_route"
    assert bench.send(IPv6(src=FAR6, dst="fd00::1") / UDP(), 1) == "no_route"
    four, six = bench.frames(1)
    assert (four[ICMP].type, four[ICMP].code) == (3, 0)
    assert (six[IPv6].nh, bytes(six[IPv6].payload)[:2]) == (58, b"\x01\x00")


def test_a_port_that_is_down(bench: NetBench) -> None:
    bench.meet(NEAR4)
    bench.worker.ports[0].up = 0
    assert bench.send(big4(100), 1) == "port_down"
    bench.worker.ports[0].up = 1
    bench.worker.queues[0].driver = 0
    assert bench.send(big4(100), 1) == "port_down"


# --- path MTU -----------------------------------------------------------------------------------------------------


def key(address: str) -> tuple[int, int]:
    return parse_ip6(address) if ":" in address else (0, MAPPED | parse_ip4(address))


@pytest.mark.parametrize(("address", "floor"), [("203.0.113.5", 552), ("2001:db8:77::5", 1280)])
def test_a_reported_path_mtu(bench: NetBench, address: str, floor: int) -> None:
    hi, lo = key(address)
    assert path_limit(bench.worker, hi, lo, 1500) == 1500
    path_mtu_add(bench.worker, hi, lo, 1400)
    assert path_limit(bench.worker, hi, lo, 1500) == 1400
    assert path_limit(bench.worker, hi, lo ^ 1, 1500) == 1500
    path_mtu_add(bench.worker, hi, lo, 1450)  # only time raises it
    assert path_mtu_find(bench.worker, hi, lo) == 1400
    path_mtu_add(bench.worker, hi, lo, 68)
    assert path_mtu_find(bench.worker, hi, lo) == floor
    bench.worker.now += LIFETIME
    assert path_limit(bench.worker, hi, lo, 1500) == 1500


def test_the_reports_are_bounded(bench: NetBench) -> None:
    for n in range(1000):
        path_mtu_add(bench.worker, 0, MAPPED | 0x0A000000 + n, 1000)
        assert path_mtu_find(bench.worker, 0, MAPPED | 0x0A000000 + n) == 1000
    known = sum(path_mtu_find(bench.worker, 0, MAPPED | 0x0A000000 + n) > 0 for n in range(1000))
    assert 32 <= known <= 64


def test_packets_keep_to_the_path_mtu(bench: NetBench) -> None:
    bench.meet(NEAR4)
    bench.meet(NEAR6)
    path_mtu_add(bench.worker, *key(NEAR4), 1000)
    path_mtu_add(bench.worker, *key(NEAR6), 1300)
    assert bench.send(big4(1001, flags="DF"), 1) == "too_big"
    assert bench.send(big4(1000, flags="DF"), 1) == "queued"
    assert bench.send(big6(1301), 1) == "too_big"
    assert bench.send(big6(1300), 1) == "queued"
    assert bench.send(big4(1001), 1) == "queued"
    lengths = [frame[IP].len for frame in bench.frames() if IP in frame]
    assert lengths == [1000, 996, 25]
