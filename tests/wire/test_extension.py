"""IPv6 extension headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.wire import extension
from pronghorn.wire.extension import Fragment
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import (
    PROTOCOL_AUTHENTICATION,
    PROTOCOL_DESTINATION_OPTIONS,
    PROTOCOL_FRAGMENT,
    PROTOCOL_HOP_BY_HOP,
    PROTOCOL_NONE,
    PROTOCOL_ROUTING,
    PROTOCOL_TCP,
    PROTOCOL_UDP,
)
from tests.wire import judges
from tests.wire.support import NAMES, octets_at, place, vectors

HBH, DST, RH, FRAG, AH = (
    PROTOCOL_HOP_BY_HOP,
    PROTOCOL_DESTINATION_OPTIONS,
    PROTOCOL_ROUTING,
    PROTOCOL_FRAGMENT,
    PROTOCOL_AUTHENTICATION,
)
PADN = b"\1\4\0\0\0\0"
Header = tuple[int, bytes]


def packet(*headers: Header, last: int = PROTOCOL_UDP, tail: bytes = bytes(8)) -> bytes:
    """An IPv6 packet with these extension headers: each its number, and its octets without the next-header field."""
    kinds = [kind for kind, _ in headers] + [last]
    chain = b"".join(bytes([following]) + body for (_, body), following in zip(headers, kinds[1:], strict=True))
    return bytes(judges.IPv6(src="2001:db8::1", dst="2001:db8::2", nh=kinds[0], plen=len(chain + tail))) + chain + tail


def options(data: bytes = PADN) -> bytes:
    """An options header, from its length field."""
    assert (len(data) + 2) % 8 == 0
    return bytes([(len(data) + 2) // 8 - 1]) + data


def fragment(offset: int = 0, more: int = 1) -> bytes:
    return b"\0" + (offset | more).to_bytes(2, "big") + b"\xde\xad\xbe\xef"


def walk(data: bytes) -> tuple[str, int, int, int]:
    reason, protocol, at, where = extension.walk(IPv6(place(data)), len(data))
    return NAMES[reason], protocol, at, where


def test_no_extension_header() -> None:
    assert walk(packet()) == ("GOOD", PROTOCOL_UDP, 40, 0)
    assert walk(packet(last=PROTOCOL_NONE, tail=b"")) == ("GOOD", PROTOCOL_NONE, 40, 0)


def test_every_kind_is_passed() -> None:
    chain = [(HBH, options()), (DST, options()), (RH, b"\0\2\0\0\0\0\0"), (FRAG, fragment()), (AH, b"\4" + bytes(22))]
    assert walk(packet(*chain, (DST, options()), last=PROTOCOL_TCP)) == ("GOOD", PROTOCOL_TCP, 104, 64)


def test_scapy_s_chain() -> None:
    data = vectors("frames")["extensions-udp6"][14:]
    parsed = judges.IPv6(data)
    assert walk(data) == ("GOOD", PROTOCOL_UDP, len(data) - len(parsed[judges.UDP]), 0)


def test_a_later_fragment_ends_the_walk() -> None:
    data = packet((FRAG, fragment(offset=24, more=0)), last=DST)
    assert walk(data) == ("GOOD", DST, 48, 40)


@given(st.lists(st.sampled_from([(DST, options()), (RH, b"\0\0\0\0\0\0\0"), (AH, b"\4" + bytes(22))]), max_size=8))
def test_any_good_chain_up_to_the_limit(chain: list[Header]) -> None:
    data = packet(*chain)
    assert walk(data) == ("GOOD", PROTOCOL_UDP, len(data) - 8, 0)


@given(st.sampled_from([HBH, DST, RH, FRAG, AH]), st.binary(max_size=80))
def test_arbitrary_octets_end_with_a_reason(first: int, junk: bytes) -> None:
    data = bytes(judges.IPv6(nh=first, plen=len(junk))) + junk
    reason, _, at, _ = walk(data)
    assert reason in NAMES
    assert at <= len(data) + 1 or reason == "EXTENSION_TRUNCATED"


MALFORMED = [
    # truncated: header length past the end, nothing left for a header
    (packet((DST, b"\1" + PADN), tail=b""), "EXTENSION_TRUNCATED", 41),
    (packet((HBH, b"\xff" + PADN)), "EXTENSION_TRUNCATED", 41),
    (packet((DST, b"\0\1")[:2], tail=b""), "EXTENSION_TRUNCATED", 40),
    (packet(last=RH, tail=b""), "EXTENSION_TRUNCATED", 40),
    (packet(last=FRAG, tail=bytes(7)), "EXTENSION_TRUNCATED", 40),
    # too many, wrong place
    (packet(*[(DST, options())] * 9), "EXTENSION_TOO_MANY", 96),
    (packet(*[(DST, options())] * 100), "EXTENSION_TOO_MANY", 96),
    (packet((DST, options()), (HBH, options())), "EXTENSION_HOP_BY_HOP", 40),
    (packet((HBH, options()), (HBH, options())), "EXTENSION_HOP_BY_HOP", 40),
    # routing headers that ask for hops; type 0 is deprecated by RFC 5095
    (packet((RH, b"\2\0\1" + bytes(4) + bytes(16))), "EXTENSION_ROUTING", 42),
    (packet((RH, b"\2\4\1" + bytes(4) + bytes(16))), "EXTENSION_ROUTING", 42),
    # options
    (packet((HBH, options(b"\1\5\0\0\0\0"))), "EXTENSION_BAD_OPTION", 42),
    (packet((HBH, options(b"\0\1\xff\0\0\0"))), "EXTENSION_BAD_OPTION", 43),
    (packet((DST, options(b"\0\0\0\0\0\1"))), "EXTENSION_BAD_OPTION", 47),
    (packet((DST, options(bytes(22)))), "EXTENSION_TOO_MANY_OPTIONS", 58),
    (packet((HBH, options(b"\xc2\4\0\1\0\0"))), "EXTENSION_JUMBO", 42),
    (packet((DST, options(b"\x44\4\0\0\0\0"))), "EXTENSION_OPTION_DISCARD", 42),
    (packet((DST, options(b"\0\0\x84\2\0\0"))), "EXTENSION_OPTION_REPORT", 44),
    (packet((DST, options(b"\xc9\0\0\0\0\0"))), "EXTENSION_OPTION_REPORT_UNICAST", 42),
    # fragments
    (packet((FRAG, fragment(0, 0))), "EXTENSION_FRAGMENT_ATOMIC", 6),
    (packet((FRAG, fragment()), (FRAG, fragment())), "EXTENSION_FRAGMENT_NESTED", 6),
    (packet((FRAG, fragment()), (DST, options()), (FRAG, fragment())), "EXTENSION_FRAGMENT_NESTED", 48),
    (packet((FRAG, fragment(8)), last=FRAG), "EXTENSION_FRAGMENT_NESTED", 6),
]


@pytest.mark.parametrize(("data", "reason", "pointer"), MALFORMED)
def test_malformed(data: bytes, reason: str, pointer: int) -> None:
    found, _, at, _ = walk(data)
    assert (found, at) == (reason, pointer)


def test_kinds_of_extension_headers() -> None:
    assert {number for number in range(256) if extension.is_extension(number)} == {HBH, RH, FRAG, AH, DST}


def test_an_option_of_length_zero_is_passed() -> None:
    assert walk(packet((DST, options(b"\x1e\0\x1e\0\x1e\0"))))[0] == "GOOD"


def test_codes_of_parameter_problems() -> None:
    codes = {NAMES[reason]: extension.problem_code(reason) for reason in range(len(NAMES))}
    assert {name: code for name, code in codes.items() if code >= 0} == {
        "EXTENSION_ROUTING": 0,
        "EXTENSION_HOP_BY_HOP": 1,
        "EXTENSION_OPTION_REPORT": 2,
        "EXTENSION_OPTION_REPORT_UNICAST": 2,
    }


@pytest.mark.parametrize(
    ("offset", "more", "octets", "reason"),
    [
        (0, 1, 16, "GOOD"),
        (16, 0, 5, "GOOD"),
        (16, 0, 0, "IPV6_FRAGMENT_EMPTY"),
        (0, 1, 12, "IPV6_FRAGMENT_UNALIGNED"),
        (0xFFF8, 0, 8, "IPV6_FRAGMENT_BEYOND"),
        (0xFFF8, 0, 7, "GOOD"),
    ],
)
def test_fragments(offset: int, more: int, octets: int, reason: str) -> None:
    address = place(bytes(8))
    extension.emit_fragment(address, PROTOCOL_UDP, offset, more, 0xDEADBEEF)
    assert NAMES[extension.check_fragment(Fragment(address), octets)] == reason


@given(st.integers(0, 8191), st.integers(0, 1), st.integers(0, 0xFFFF_FFFF))
def test_emit_fragment_and_scapy_agree(units: int, more: int, ident: int) -> None:
    address = place(bytes(8))
    extension.emit_fragment(address, PROTOCOL_TCP, units * 8, more, ident)
    wanted = judges.IPv6ExtHdrFragment(nh=PROTOCOL_TCP, offset=units, m=more, id=ident)
    assert octets_at(address, 8) == bytes(wanted)
