"""The Toeplitz hash against Microsoft's published verification vectors, bit by bit, and against any frame at all."""

from __future__ import annotations

import ctypes
import ipaddress
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet as Frame

from pronghorn.compiled import View, array_at, fixed, u8
from pronghorn.compiled.views import Array
from pronghorn.memory.arena import Arena
from pronghorn.ports.rss import MICROSOFT_KEY, SYMMETRIC_KEY, RssTable, create_rss_table, rss_hash

# "Verifying the RSS Hash Calculation": destination, port, source, port, hash of addresses, hash with ports
VECTORS = [
    ("161.142.100.80", 1766, "66.9.149.187", 2794, 0x323E8FC2, 0x51CCC178),
    ("65.69.140.83", 4739, "199.92.111.2", 14230, 0xD718262A, 0xC626B0EA),
    ("12.22.207.184", 38024, "24.19.198.95", 12898, 0xD2D0A5DE, 0x5C2B394A),
    ("209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xAFC7327F),
    ("202.188.127.2", 1303, "153.39.163.191", 44251, 0x5D1809C5, 0x10E828A2),
    ("3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2CC18CD5, 0x40207D3D),
    ("ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0F0C461C, 0xDDE51BBF),
    ("fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, 0x4B61E985, 0x02D1FEEF),
]


class Room(View, align=64):
    octets: Array[u8] = fixed(2048, align=64)


class Hasher:
    """A table under a key, and a place for frames."""

    def __init__(self, arena: Arena, name: str, key: bytes, queues: int = 4) -> None:
        self.table: RssTable = create_rss_table(arena, name, key, queues)
        self.room = arena.table(f"{name}.room", Room, 1)[0].octets.address

    def __call__(self, frame: Frame | bytes) -> int:
        octets = bytes(frame)
        ctypes.memmove(self.room, octets, len(octets))
        return rss_hash(self.table, self.room, len(octets))


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena.create(limit=64 << 20) as one:
        yield one


@pytest.fixture(scope="module")
def microsoft(arena: Arena) -> Hasher:
    return Hasher(arena, "microsoft", MICROSOFT_KEY)


@pytest.fixture(scope="module")
def symmetric(arena: Arena) -> Hasher:
    return Hasher(arena, "symmetric", SYMMETRIC_KEY)


def packet(source: str, destination: str) -> Frame:
    return ethernet() / (IPv6 if ":" in source else IP)(src=source, dst=destination)


def ethernet() -> Frame:
    """With addresses: scapy asks the network for those that are missing."""
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


@pytest.mark.parametrize(("destination", "dport", "source", "sport", "addresses", "ports"), VECTORS)
def test_microsofts_vectors(
    microsoft: Hasher, destination: str, dport: int, source: str, sport: int, addresses: int, ports: int
) -> None:
    head = packet(source, destination)
    assert microsoft(head / ICMP()) == addresses
    assert microsoft(head / TCP(sport=sport, dport=dport)) == ports
    assert microsoft(head / UDP(sport=sport, dport=dport)) == ports
    tagged = ethernet() / Dot1Q(vlan=5) / head.payload
    assert microsoft(tagged / TCP(sport=sport, dport=dport)) == ports


def test_fragments_hash_their_addresses(microsoft: Hasher) -> None:
    destination, dport, source, sport, addresses, _ = VECTORS[0]
    udp = UDP(sport=sport, dport=dport)
    assert microsoft(ethernet() / IP(src=source, dst=destination, flags="MF") / udp) == addresses
    assert microsoft(ethernet() / IP(src=source, dst=destination, frag=100, proto=17) / (b"x" * 40)) == addresses
    destination, dport, source, sport, addresses, _ = VECTORS[5]
    assert microsoft(packet(source, destination) / IPv6ExtHdrFragment(m=1) / udp) == addresses


def test_what_is_no_ip_hashes_to_zero(microsoft: Hasher) -> None:
    assert microsoft(ethernet() / ARP()) == 0
    for length in range(34):
        assert microsoft(bytes(packet("10.0.0.1", "10.0.0.2") / UDP())[:length]) == 0


@given(frame=st.binary(max_size=128), kind=st.sampled_from([b"\x08\x00", b"\x86\xdd", b"\x81\x00", b""]))
def test_any_octets(arena: Arena, microsoft: Hasher, frame: bytes, kind: bytes) -> None:
    assert 0 <= microsoft(bytes(12) + kind + frame) < 1 << 32


@given(
    addresses=st.tuples(*[st.integers(0, 2**128 - 1)] * 2),
    ports=st.tuples(*[st.integers(0, 65535)] * 2),
    v6=st.booleans(),
)
def test_any_flow_bit_by_bit_and_both_ways(
    microsoft: Hasher, symmetric: Hasher, addresses: tuple[int, int], ports: tuple[int, int], v6: bool
) -> None:
    width = 16 if v6 else 4
    a, b = (ipaddress.ip_address(number.to_bytes(16)[:width]) for number in addresses)
    there = packet(str(a), str(b)) / TCP(sport=ports[0], dport=ports[1])
    back = packet(str(b), str(a)) / TCP(sport=ports[1], dport=ports[0])
    wanted = a.packed + b.packed + ports[0].to_bytes(2) + ports[1].to_bytes(2)
    assert microsoft(there) == naive(MICROSOFT_KEY, wanted)
    assert symmetric(there) == symmetric(back) == naive(SYMMETRIC_KEY, wanted)


def test_flows_spread_evenly(microsoft: Hasher) -> None:
    queues = array_at(u8, microsoft.table.queues.address)
    counts = [0] * 4
    for sport in range(1024, 1024 + 1000):
        counts[queues[microsoft(packet("10.1.2.3", "10.0.0.1") / TCP(sport=sport, dport=80)) & 127]] += 1
    assert min(counts) > 200


def naive(key: bytes, octets: bytes) -> int:
    """The definition."""
    total, bits = 0, int.from_bytes(key)
    for number in range(8 * len(octets)):
        if octets[number // 8] >> (7 - number % 8) & 1:
            total ^= bits >> (320 - 32 - number) & 0xFFFFFFFF
    return total
