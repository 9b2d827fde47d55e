"""ICMPv6."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.wire import icmpv6, ipv6
from pronghorn.wire.icmpv6 import ICMPv6
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.text import parse_ip6
from tests.wire import judges
from tests.wire.support import NAMES, octets_at, place, vectors

FRAMES = vectors("frames")
u16s = st.integers(0, 0xFFFF)
v6 = st.ip_addresses(v=6).map(str)
QUOTED = FRAMES["icmp6-unreachable-behind-options"][62:]


def quote(quoted: bytes) -> tuple[str, int, int]:
    data = bytes(8) + quoted
    reason, protocol, at = icmpv6.quote(place(data), len(data))
    return NAMES[reason], protocol, at


@given(v6, v6, u16s, u16s, st.binary(max_size=60))
def test_emit_and_scapy_agree(src: str, dst: str, identifier: int, sequence: int, payload: bytes) -> None:
    echo = judges.ICMPv6EchoRequest(id=identifier, seq=sequence, data=payload)
    wanted = bytes(judges.IPv6(src=src, dst=dst) / echo)
    address = place(wanted[:40] + bytes(8) + payload)
    ip, at, octets = IPv6(address), address + 40, 8 + len(payload)
    icmpv6.emit(ip, at, icmpv6.ECHO_REQUEST, 0, identifier << 16 | sequence, octets)
    assert octets_at(address, len(wanted)) == wanted
    assert icmpv6.verify(ip, at, octets) == 0
    ICMPv6(at).sequence ^= 0x0100
    assert NAMES[icmpv6.verify(ip, at, octets)] == "ICMPV6_BAD_CHECKSUM"


@given(v6, v6, v6, u16s, u16s, st.binary(max_size=20))
def test_a_request_becomes_its_reply_and_is_translated(
    src: str, dst: str, other: str, identifier: int, to: int, payload: bytes
) -> None:
    address = place(bytes(judges.IPv6(src=src, dst=dst) / judges.ICMPv6EchoRequest(id=identifier, data=payload)))
    ip, message = IPv6(address), ICMPv6(address + 40)
    ipv6.rewrite_addresses(ip, *parse_ip6(dst), *parse_ip6(src))
    icmpv6.emit_echo_reply(message)
    wanted = bytes(judges.IPv6(src=dst, dst=src) / judges.ICMPv6EchoReply(id=identifier, data=payload))
    assert octets_at(address, len(wanted)) == wanted
    icmpv6.rewrite_identifier(message, to, ipv6.rewrite_source(ip, *parse_ip6(other)))
    wanted = bytes(judges.IPv6(src=other, dst=src) / judges.ICMPv6EchoReply(id=to, data=payload))
    assert octets_at(address, len(wanted)) == wanted


def test_kinds() -> None:
    assert [kind for kind in range(256) if icmpv6.is_discovery(kind)] == [133, 134, 135, 136, 137]
    assert icmpv6.is_error(icmpv6.PARAMETER_PROBLEM)
    assert not icmpv6.is_error(icmpv6.ECHO_REQUEST)


def test_too_big() -> None:
    frame = FRAMES["icmp6-too-big"]
    message = ICMPv6(place(frame) + 54)
    assert icmpv6.next_hop_mtu(message) == 1280
    assert icmpv6.quote(message.address, len(frame) - 54) == (0, 6, 48)


def test_the_pointer_of_a_parameter_problem() -> None:
    address = place(FRAMES["icmp6-echo"][14:])
    icmpv6.emit(IPv6(address), address + 40, icmpv6.PARAMETER_PROBLEM, icmpv6.UNKNOWN_OPTION, 0x10002, 24)
    assert icmpv6.pointer(ICMPv6(address + 40)) == 0x10002


def test_a_quoted_datagram_behind_options() -> None:
    assert quote(QUOTED) == ("GOOD", 17, 8 + 40 + 8)


FRAGMENT = bytes(judges.IPv6(nh=44, plen=16)) + b"\x11\0\0\x08" + bytes(12)
NESTED = bytes(judges.IPv6(nh=44, plen=24)) + b"\x2c\0\0\1" + bytes(4) + b"\x11\0\0\1" + bytes(12)


@pytest.mark.parametrize(
    ("quoted", "reason"),
    [
        (b"", "ICMPV6_QUOTE_TRUNCATED"),
        (QUOTED[:39], "ICMPV6_QUOTE_TRUNCATED"),
        (QUOTED[:47], "ICMPV6_QUOTE_TRUNCATED"),
        (QUOTED[:55], "ICMPV6_QUOTE_TRUNCATED"),
        (b"\x45" + QUOTED[1:], "ICMPV6_QUOTE_BAD"),
        (NESTED, "ICMPV6_QUOTE_BAD"),
        (FRAGMENT, "ICMPV6_QUOTE_FRAGMENT"),
    ],
)
def test_malformed_quotes(quoted: bytes, reason: str) -> None:
    assert quote(quoted) == (reason, 0, 0)


def test_truncated() -> None:
    assert NAMES[icmpv6.check(place(bytes(7)), 7)] == "ICMPV6_TRUNCATED"
    assert icmpv6.check(place(bytes(8)), 8) == 0
