"""ICMP for IPv4."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.wire import icmp
from pronghorn.wire.icmp import ICMP
from tests.wire import judges
from tests.wire.support import NAMES, octets_at, place, vectors

FRAMES = vectors("frames")
u16s = st.integers(0, 0xFFFF)
QUOTED = FRAMES["icmp-unreachable"][42:]


def quote(quoted: bytes) -> tuple[str, int, int]:
    data = bytes(8) + quoted
    reason, protocol, at = icmp.quote(place(data), len(data))
    return NAMES[reason], protocol, at


@given(u16s, u16s, st.binary(max_size=60))
def test_emit_and_scapy_agree(identifier: int, sequence: int, payload: bytes) -> None:
    wanted = bytes(judges.ICMP(type=8, id=identifier, seq=sequence) / judges.Raw(payload))
    address = place(bytes(8) + payload)
    icmp.emit(address, icmp.ECHO_REQUEST, 0, identifier << 16 | sequence, len(wanted))
    assert octets_at(address, len(wanted)) == wanted
    message = ICMP(address)
    assert (message.type, message.code, message.identifier, message.sequence) == (8, 0, identifier, sequence)
    assert icmp.verify(address, len(wanted)) == 0
    message.identifier ^= 0x0100
    assert NAMES[icmp.verify(address, len(wanted))] == "ICMP_BAD_CHECKSUM"


@given(u16s, u16s, u16s, st.binary(max_size=20))
def test_a_request_becomes_its_reply(identifier: int, sequence: int, other: int, payload: bytes) -> None:
    request = bytes(judges.ICMP(type=8, id=identifier, seq=sequence) / judges.Raw(payload))
    address = place(request)
    icmp.emit_echo_reply(ICMP(address))
    wanted = bytes(judges.ICMP(type=0, id=identifier, seq=sequence) / judges.Raw(payload))
    reply = octets_at(address, len(request))
    assert reply == wanted or (reply[2:4], wanted[2:4]) == (b"\xff\xff", b"\0\0")  # both are right
    assert icmp.verify(address, len(request)) == 0
    icmp.rewrite_identifier(ICMP(address), other)
    assert icmp.verify(address, len(request)) == 0


def test_a_reply_of_nothing_but_zeros_has_a_checksum_that_receivers_accept() -> None:
    address = place(bytes(judges.ICMP(type=8)))
    icmp.emit_echo_reply(ICMP(address))
    assert octets_at(address, 8) == b"\0\0\xff\xff\0\0\0\0"
    assert icmp.verify(address, 8) == 0


def test_errors() -> None:
    assert {kind for kind in range(256) if icmp.is_error(kind)} == {3, 4, 5, 11, 12}


def test_a_quoted_datagram() -> None:
    assert quote(QUOTED) == ("GOOD", 17, 28)


def test_a_quoted_segment_of_which_eight_octets_are_there() -> None:
    frame = FRAMES["icmp-needed"]
    address = place(frame) + 34
    assert icmp.quote(address, len(frame) - 34) == (0, 6, 28)
    assert icmp.next_hop_mtu(ICMP(address)) == 1400


def test_a_quoted_header_with_options() -> None:
    assert quote(b"\x46" + QUOTED[1:20] + b"\x83\7\4\0" + QUOTED[20:]) == ("GOOD", 17, 32)


def test_the_pointer_of_a_parameter_problem() -> None:
    assert icmp.pointer(ICMP(place(bytes(judges.ICMP(type=12, ptr=20))))) == 20


@pytest.mark.parametrize(
    ("quoted", "reason"),
    [
        (b"", "ICMP_QUOTE_TRUNCATED"),
        (QUOTED[:19], "ICMP_QUOTE_TRUNCATED"),
        (QUOTED[:27], "ICMP_QUOTE_TRUNCATED"),
        (b"\x46" + QUOTED[1:28], "ICMP_QUOTE_TRUNCATED"),
        (b"\x65" + QUOTED[1:], "ICMP_QUOTE_BAD"),
        (b"\x44" + QUOTED[1:], "ICMP_QUOTE_BAD"),
        (QUOTED[:2] + b"\0\x13" + QUOTED[4:], "ICMP_QUOTE_BAD"),
        (QUOTED[:6] + b"\0\1" + QUOTED[8:], "ICMP_QUOTE_FRAGMENT"),
    ],
)
def test_malformed_quotes(quoted: bytes, reason: str) -> None:
    assert quote(quoted) == (reason, 0, 0)


def test_truncated() -> None:
    assert NAMES[icmp.check(place(bytes(7)), 7)] == "ICMP_TRUNCATED"
    assert icmp.check(place(bytes(8)), 8) == 0
