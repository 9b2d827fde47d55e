"""IPv4 headers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.wire import checksum, ipv4
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.text import format_ip4, format_mac, parse_ip4
from tests.wire import judges
from tests.wire.support import NAMES, octets_at, place, vectors

u8s = st.integers(0, 0xFF)
u16s = st.integers(0, 0xFFFF)
u32s = st.integers(0, 0xFFFF_FFFF)
PACKET = vectors("frames")["udp4"][14:]
FIELDS = st.tuples(u8s, u16s, u16s, u16s, st.integers(1, 255), u8s, u32s, u32s)


def judge(packet: bytes) -> str:
    return NAMES[ipv4.check(place(packet), len(packet))]


def built(options: bytes = b"", payload: bytes = b"", **fields: Any) -> bytes:
    """A packet with these raw options, its checksum right unless given."""
    header = judges.IP(src="192.0.2.1", dst="198.51.100.2", proto=59, **fields)
    header.options = [judges.Raw(options)] if options else []
    return bytes(header / payload)


def emit(address: int, fields: tuple[int, ...]) -> None:
    tos, length, ident, fragment, ttl, protocol, src, dst = fields
    ipv4.emit(address, tos, length, ident, fragment, ttl, protocol, src, dst)


@given(FIELDS)
def test_emit_and_scapy_agree(fields: tuple[int, ...]) -> None:
    tos, length, ident, fragment, ttl, protocol, src, dst = fields
    address = place(bytes(20))
    emit(address, fields)
    wanted = judges.IP(
        tos=tos, len=length, id=ident, flags=fragment >> 13, frag=fragment & 0x1FFF, ttl=ttl, proto=protocol,
        src=format_ip4(src), dst=format_ip4(dst),
    )  # fmt: skip
    assert octets_at(address, 20) == bytes(wanted)
    ip = IPv4(address)
    assert (ip.tos, ip.length, ip.ident, ip.fragment, ip.ttl, ip.protocol, ip.src, ip.dst) == fields


@given(st.binary(max_size=40).map(lambda raw: raw[: len(raw) & ~3]), st.binary(max_size=30))
def test_check_never_reads_past_the_end_and_agrees_with_scapy_on_checksums(options: bytes, payload: bytes) -> None:
    packet = built(options, payload)
    assert judge(packet) in ("GOOD", "IPV4_BAD_OPTION", "IPV4_SOURCE_ROUTE")
    ip = IPv4(place(packet))
    assert ipv4.header_octets(ip) == 20 + len(options)
    ip.checksum = 0
    ipv4.fill_checksum(ip)
    assert octets_at(ip.address, len(packet)) == packet


@given(st.integers(0, 19), st.integers(1, 255))
def test_any_changed_octet_is_noticed(at: int, flip: int) -> None:
    packet = bytearray(PACKET)
    packet[at] ^= flip
    assert judge(bytes(packet)) != "GOOD"


@given(FIELDS, u32s, u32s)
def test_rewriting_is_the_same_as_emitting_anew(fields: tuple[int, ...], src: int, dst: int) -> None:
    address = place(bytes(20))
    for rewritten, rewrite in (
        ((*fields[:6], src, dst), lambda ip: ipv4.rewrite_addresses(ip, src, dst)),
        ((*fields[:6], src, fields[7]), lambda ip: ipv4.rewrite_source(ip, src)),
        ((*fields[:7], dst), lambda ip: ipv4.rewrite_destination(ip, dst)),
        ((*fields[:4], fields[4] - 1, fields[5], src, dst), lambda ip: ipv4.rewrite_hop(ip, src, dst)),
        ((*fields[:4], fields[4] - 1, *fields[5:]), ipv4.decrement_ttl),
    ):
        emit(address, rewritten)
        wanted = octets_at(address, 20)
        emit(address, fields)
        change = rewrite(IPv4(address))
        assert octets_at(address, 20) == wanted
        if change is not None:  # what the addresses changed by is what layer 4 needs
            pseudo = checksum.pseudo4(fields[6], fields[7], fields[5], 0)
            after = checksum.pseudo4(rewritten[6], rewritten[7], fields[5], 0)
            expected = checksum.finish(after + 1)
            assert checksum.apply(checksum.finish(pseudo + 1), change) == expected


def test_padding_behind_the_packet_is_allowed() -> None:
    assert judge(PACKET + bytes(6)) == "GOOD"


MALFORMED = [
    (PACKET[:19], "IPV4_TRUNCATED"),
    (b"", "IPV4_TRUNCATED"),
    (b"\x65" + PACKET[1:], "IPV4_BAD_VERSION"),
    (b"\x44" + PACKET[1:], "IPV4_BAD_IHL"),
    (b"\x40" + PACKET[1:], "IPV4_BAD_IHL"),
    (b"\x4f" + PACKET[1:], "IPV4_BAD_IHL"),
    (built(len=19), "IPV4_BAD_LENGTH"),
    (built(len=0), "IPV4_BAD_LENGTH"),
    (built(len=21), "IPV4_BAD_LENGTH"),
    (built(b"\1" * 4, len=23), "IPV4_BAD_LENGTH"),
    (built(b"\1" * 4, len=25), "IPV4_BAD_LENGTH"),
    (PACKET[:8] + b"\x3f" + PACKET[9:], "IPV4_BAD_CHECKSUM"),
    (built(b"\1" * 4, chksum=1), "IPV4_BAD_CHECKSUM"),
    (built(b"\x83\x07\x04\1\2\3\4\0"), "IPV4_SOURCE_ROUTE"),
    (built(b"\1\x89\x07\x04\1\2\3\4"), "IPV4_SOURCE_ROUTE"),
    (built(b"\x94\x00\0\0"), "IPV4_BAD_OPTION"),
    (built(b"\x94\x01\0\0"), "IPV4_BAD_OPTION"),
    (built(b"\x94\x05\0\0"), "IPV4_BAD_OPTION"),
    (built(b"\1\1\1\x94"), "IPV4_BAD_OPTION"),
    (built(b"\x07\x07\x03\0\0\0\0\0"), "IPV4_BAD_OPTION"),  # record route whose pointer is before the first entry
    (built(b"\x07\x07\x06\0\0\0\0\0"), "IPV4_BAD_OPTION"),  # and into the last octets
    (built(b"\1\1\x07\x02"), "IPV4_BAD_OPTION"),
    (built(b"\x07\x07\x07\0\0\0\0\0"), "IPV4_BAD_OPTION"),
    (built(b"\x44\x08\x04\0\0\0\0\0"), "IPV4_BAD_OPTION"),
    (built(b"\x44\x03\x05\0"), "IPV4_BAD_OPTION"),
]
FINE = [
    b"\x94\x04\0\0",
    b"\x07\x07\x04\0\0\0\0\0",
    b"\x07\x07\x08\0\0\0\0\0",
    b"\x44\x08\x05\0\0\0\0\0",
    b"\0\xff\xff\xff",
    b"\x07\x03\x04\0",
    b"\1\1\x94\x02",
]


@pytest.mark.parametrize(("packet", "reason"), MALFORMED)
def test_malformed(packet: bytes, reason: str) -> None:
    assert judge(packet) == reason


@pytest.mark.parametrize("options", FINE)
def test_options_that_fit_are_good(options: bytes) -> None:
    assert judge(built(options)) == "GOOD"


@pytest.mark.parametrize(
    ("src", "dst", "reason"),
    [
        ("192.0.2.1", "198.51.100.2", "GOOD"),
        ("192.0.2.1", "255.255.255.255", "GOOD"),
        ("192.0.2.1", "224.0.0.1", "GOOD"),
        ("192.0.2.1", "192.0.2.1", "IPV4_LAND"),
        ("0.0.0.0", "192.0.2.1", "IPV4_MARTIAN_SOURCE"),
        ("127.0.0.1", "192.0.2.1", "IPV4_MARTIAN_SOURCE"),
        ("224.0.0.5", "192.0.2.1", "IPV4_MARTIAN_SOURCE"),
        ("240.0.0.1", "192.0.2.1", "IPV4_MARTIAN_SOURCE"),
        ("255.255.255.255", "192.0.2.1", "IPV4_MARTIAN_SOURCE"),
        ("192.0.2.1", "0.0.0.0", "IPV4_MARTIAN_DESTINATION"),
        ("192.0.2.1", "127.255.0.1", "IPV4_MARTIAN_DESTINATION"),
        ("192.0.2.1", "240.0.0.1", "IPV4_MARTIAN_DESTINATION"),
    ],
)
def test_addresses(src: str, dst: str, reason: str) -> None:
    address = place(PACKET)
    ipv4.rewrite_addresses(IPv4(address), parse_ip4(src), parse_ip4(dst))
    assert NAMES[ipv4.check_addresses(IPv4(address))] == reason


@pytest.mark.parametrize(
    ("fragment", "payload", "protocol", "reason"),
    [
        (0x2000, 16, 17, "GOOD"),
        (0x0003, 5, 17, "GOOD"),
        (0x2003, 0, 17, "IPV4_FRAGMENT_EMPTY"),
        (0x2000, 12, 17, "IPV4_FRAGMENT_UNALIGNED"),
        (0x1FFC, 11, 17, "GOOD"),  # ends at 65,535
        (0x1FFC, 12, 17, "IPV4_FRAGMENT_BEYOND"),
        (0x1FFF, 8, 17, "IPV4_FRAGMENT_BEYOND"),
        (0x3FFF, 8, 17, "IPV4_FRAGMENT_BEYOND"),
        (0x2000, 8, 6, "IPV4_FRAGMENT_TINY"),
        (0x2001, 24, 6, "IPV4_FRAGMENT_TINY"),
        (0x2000, 24, 6, "GOOD"),
        (0x0002, 24, 6, "GOOD"),
    ],
)
def test_fragments(fragment: int, payload: int, protocol: int, reason: str) -> None:
    address = place(bytes(20))
    ipv4.emit(address, 0, 20 + payload, 1, fragment, 64, protocol, 0xC000_0201, 0xC000_0202)
    ip = IPv4(address)
    assert ipv4.is_fragment(ip)
    assert ipv4.is_later_fragment(ip) == (fragment & 0x1FFF != 0)
    assert NAMES[ipv4.check_fragment(ip)] == reason


def test_a_packet_with_do_not_fragment_is_no_fragment() -> None:
    assert not ipv4.is_fragment(IPv4(place(vectors("frames")["tcp4-syn"][14:])))


def test_group_addresses() -> None:
    assert format_mac(ipv4.group_mac(parse_ip4("239.129.2.3"))) == "01:00:5e:01:02:03"
    assert ipv4.is_multicast(parse_ip4("224.0.0.1"))
    assert not ipv4.is_multicast(parse_ip4("223.255.255.255"))
