"""UDP headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.wire import checksum, ipv4, ipv6, udp
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.text import parse_ip4, parse_ip6
from pronghorn.wire.udp import UDP
from tests.wire import judges
from tests.wire.support import NAMES, octets_at, place, vectors

ports = st.integers(0, 0xFFFF)
v4 = st.ip_addresses(v=4).map(str)
v6 = st.ip_addresses(v=6).map(str)
payloads = st.binary(max_size=60)


def packet4(src: str, dst: str, sport: int, dport: int, payload: bytes) -> bytes:
    return bytes(judges.IP(src=src, dst=dst) / judges.UDP(sport=sport, dport=dport) / judges.Raw(payload))


def packet6(src: str, dst: str, sport: int, dport: int, payload: bytes) -> bytes:
    return bytes(judges.IPv6(src=src, dst=dst) / judges.UDP(sport=sport, dport=dport) / judges.Raw(payload))


@given(v4, v4, ports, ports, payloads)
def test_over_ipv4_emit_and_scapy_agree(src: str, dst: str, sport: int, dport: int, payload: bytes) -> None:
    wanted = packet4(src, dst, sport, dport, payload)
    address = place(wanted[:20] + bytes(8) + payload)
    ip, datagram = IPv4(address), UDP(address + 20)
    udp.emit(datagram.address, sport, dport, 8 + len(payload))
    udp.fill_checksum4(ip, datagram)
    assert octets_at(address, len(wanted)) == wanted
    assert udp.check(datagram.address, 8 + len(payload)) == 0
    assert udp.verify4(ip, datagram) == 0
    datagram.checksum ^= 0x0101
    assert NAMES[udp.verify4(ip, datagram)] == "UDP_BAD_CHECKSUM" or datagram.checksum == 0


@given(v6, v6, ports, ports, payloads)
def test_over_ipv6_emit_and_scapy_agree(src: str, dst: str, sport: int, dport: int, payload: bytes) -> None:
    wanted = packet6(src, dst, sport, dport, payload)
    address = place(wanted[:40] + bytes(8) + payload)
    ip, datagram = IPv6(address), UDP(address + 40)
    udp.emit(datagram.address, sport, dport, 8 + len(payload))
    udp.fill_checksum6(ip, datagram)
    assert octets_at(address, len(wanted)) == wanted
    assert udp.verify6(ip, datagram) == 0
    datagram.checksum = 0
    assert NAMES[udp.verify6(ip, datagram)] == "UDP_NO_CHECKSUM"


@given(v4, v4, v4, v4, ports, ports, payloads)
def test_nat_over_ipv4_is_incremental(
    src: str, dst: str, to_src: str, to_dst: str, sport: int, dport: int, payload: bytes
) -> None:
    address = place(packet4(src, dst, sport, dport, payload))
    wanted = packet4(to_src, to_dst, dport, sport, payload)
    change = ipv4.rewrite_addresses(IPv4(address), parse_ip4(to_src), parse_ip4(to_dst))
    udp.rewrite_ports(UDP(address + 20), dport, sport, change)
    assert octets_at(address, len(wanted)) == wanted


@given(v6, v6, v6, v6, ports, ports, payloads)
def test_nat_over_ipv6_is_incremental(
    src: str, dst: str, to_src: str, to_dst: str, sport: int, dport: int, payload: bytes
) -> None:
    address = place(packet6(src, dst, sport, dport, payload))
    wanted = packet6(to_src, to_dst, dport, sport, payload)
    change = ipv6.rewrite_addresses(IPv6(address), *parse_ip6(to_src), *parse_ip6(to_dst))
    udp.rewrite_ports(UDP(address + 40), dport, sport, change)
    assert octets_at(address, len(wanted)) == wanted


@given(v4, v4, v4, v4, payloads)
def test_a_partial_checksum_is_finished_by_whoever_sums_the_datagram(
    src: str, dst: str, to_src: str, to_dst: str, payload: bytes
) -> None:
    """What a device with checksum offload does: complement of the sum from the UDP header on."""
    wanted = packet4(to_src, to_dst, 7, 8, payload)
    address = place(packet4(src, dst, 5, 6, payload))
    ip, datagram = IPv4(address), UDP(address + 20)
    udp.fill_partial4(ip, datagram)
    change = ipv4.rewrite_addresses(ip, parse_ip4(to_src), parse_ip4(to_dst))
    udp.rewrite_ports_partial(datagram, 7, 8, change)
    datagram.checksum = checksum.not_zero(checksum.add(datagram.address, datagram.length) ^ 0xFFFF)
    assert octets_at(address, len(wanted)) == wanted


def test_a_partial_checksum_over_ipv6() -> None:
    wanted = vectors("frames")["udp6"][14:]
    address = place(wanted)
    datagram = UDP(address + 40)
    udp.fill_partial6(IPv6(address), datagram)
    datagram.checksum = checksum.not_zero(checksum.add(datagram.address, datagram.length) ^ 0xFFFF)
    assert octets_at(address, len(wanted)) == wanted


def test_no_checksum_over_ipv4_is_good_and_stays() -> None:
    address = place(vectors("frames")["udp4"][14:])
    ip, datagram = IPv4(address), UDP(address + 20)
    datagram.checksum = 0
    assert udp.verify4(ip, datagram) == 0
    udp.rewrite_ports(datagram, 1, 2, ipv4.rewrite_source(ip, 0x0A00_0001))
    assert datagram.checksum == 0
    assert (datagram.sport, datagram.dport) == (1, 2)


@pytest.mark.parametrize(
    ("octets", "length", "reason"),
    [
        (0, 8, "UDP_TRUNCATED"),
        (7, 8, "UDP_TRUNCATED"),
        (8, 7, "UDP_BAD_LENGTH"),
        (8, 0, "UDP_BAD_LENGTH"),
        (8, 9, "UDP_BAD_LENGTH"),
        (12, 8, "UDP_BAD_LENGTH"),
        (8, 0xFFFF, "UDP_BAD_LENGTH"),
        (8, 8, "GOOD"),
        (12, 12, "GOOD"),
    ],
)
def test_lengths(octets: int, length: int, reason: str) -> None:
    data = (b"\0\1\0\2" + length.to_bytes(2, "big") + bytes(6))[:octets]
    assert NAMES[udp.check(place(data), octets)] == reason
