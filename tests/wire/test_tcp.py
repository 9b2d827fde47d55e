"""TCP headers and options."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.wire import checksum, ipv4, ipv6, tcp
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.tcp import TCP, TCPOptions
from pronghorn.wire.text import parse_ip4, parse_ip6
from tests.wire import judges
from tests.wire.support import NAMES, octets_at, place, scratch, vectors

FRAMES = vectors("frames")
u16s = st.integers(0, 0xFFFF)
u32s = st.integers(0, 0xFFFF_FFFF)
v4 = st.ip_addresses(v=4).map(str)
v6 = st.ip_addresses(v=6).map(str)
payloads = st.binary(max_size=60)


def segment(options: bytes = b"", flags: str = "S") -> bytes:
    """A header with these raw options, padded with zeros."""
    padded = options + bytes(-len(options) % 4)
    return bytes(judges.TCP(flags=flags, dataofs=5 + len(padded) // 4, chksum=0)) + padded


def parse(options: bytes, flags: str = "S") -> tuple[str, TCPOptions]:
    found = TCPOptions(scratch(TCPOptions.SIZE))
    return NAMES[tcp.parse_options(TCP(place(segment(options, flags))), found)], found


@given(u16s, u16s, u32s, u32s, st.integers(0, 255), u16s, v4, v4, payloads)
def test_over_ipv4_emit_and_scapy_agree(
    sport: int, dport: int, seq: int, ack: int, flags: int, window: int, src: str, dst: str, payload: bytes
) -> None:
    header = judges.TCP(sport=sport, dport=dport, seq=seq, ack=ack, flags=flags, window=window)
    wanted = bytes(judges.IP(src=src, dst=dst) / header / judges.Raw(payload))
    address = place(wanted[:20] + bytes(20) + payload)
    ip, made = IPv4(address), TCP(address + 20)
    tcp.emit(made.address, sport, dport, seq, ack, flags, window, 20)
    tcp.fill_checksum4(ip, made, 20 + len(payload))
    assert octets_at(address, len(wanted)) == wanted
    assert (made.sport, made.dport, made.seq, made.ack, made.window) == (sport, dport, seq, ack, window)
    assert (made.flags, tcp.header_octets(made)) == (flags, 20)
    assert tcp.verify4(ip, made, 20 + len(payload)) == 0
    made.window ^= 0x0100
    assert NAMES[tcp.verify4(ip, made, 20 + len(payload))] == "TCP_BAD_CHECKSUM"


@given(v6, v6, v6, v6, payloads)
def test_nat_over_ipv6_is_incremental(src: str, dst: str, to_src: str, to_dst: str, payload: bytes) -> None:
    before = bytes(judges.IPv6(src=src, dst=dst) / judges.TCP(sport=1, dport=2) / judges.Raw(payload))
    wanted = bytes(judges.IPv6(src=to_src, dst=to_dst) / judges.TCP(sport=3, dport=4) / judges.Raw(payload))
    address = place(before)
    ip, made = IPv6(address), TCP(address + 40)
    change = ipv6.rewrite_addresses(ip, *parse_ip6(to_src), *parse_ip6(to_dst))
    tcp.rewrite_ports(made, 3, 4, change)
    assert octets_at(address, len(wanted)) == wanted
    assert tcp.verify6(ip, made, 20 + len(payload)) == 0
    made.checksum = 0
    tcp.fill_checksum6(ip, made, 20 + len(payload))
    assert octets_at(address, len(wanted)) == wanted


@given(v4, v4, v4, v4, payloads)
def test_nat_over_ipv4_is_incremental(src: str, dst: str, to_src: str, to_dst: str, payload: bytes) -> None:
    address = place(bytes(judges.IP(src=src, dst=dst) / judges.TCP(sport=1, dport=2) / judges.Raw(payload)))
    wanted = bytes(judges.IP(src=to_src, dst=to_dst, ttl=63) / judges.TCP(sport=3, dport=4) / judges.Raw(payload))
    change = ipv4.rewrite_hop(IPv4(address), parse_ip4(to_src), parse_ip4(to_dst))
    tcp.rewrite_ports(TCP(address + 20), 3, 4, change)
    assert octets_at(address, len(wanted)) == wanted


@pytest.mark.parametrize("name", ["tcp4-data", "tcp6-syn"])
def test_a_partial_checksum_is_finished_by_whoever_sums_the_segment(name: str) -> None:
    wanted = FRAMES[name][14:]
    address = place(wanted)
    at = 20 if name.startswith("tcp4") else 40
    made, octets = TCP(address + at), len(wanted) - at
    if at == 20:
        tcp.fill_partial4(IPv4(address), made, octets)
        change = checksum.change32(IPv4(address).src, IPv4(address).src)
    else:
        tcp.fill_partial6(IPv6(address), made, octets)
        change = 0
    tcp.rewrite_ports_partial(made, made.sport, made.dport, change)
    made.checksum = checksum.add(made.address, octets) ^ 0xFFFF
    assert octets_at(address, len(wanted)) == wanted


@pytest.mark.parametrize(
    ("octets", "offset", "reason"),
    [
        (0, 5, "TCP_TRUNCATED"),
        (19, 5, "TCP_TRUNCATED"),
        (20, 4, "TCP_BAD_OFFSET"),
        (20, 0, "TCP_BAD_OFFSET"),
        (20, 6, "TCP_OFFSET_BEYOND"),
        (59, 15, "TCP_OFFSET_BEYOND"),
        (60, 15, "GOOD"),
        (20, 5, "GOOD"),
    ],
)
def test_offsets(octets: int, offset: int, reason: str) -> None:
    data = (bytes(12) + bytes([offset << 4]) + bytes(60))[:octets]
    assert NAMES[tcp.check(place(data), octets)] == reason


@pytest.mark.parametrize("flags", ["S", "SA", "A", "PA", "R", "RA", "FA", "F", "SEC"])
def test_flags_that_agree(flags: str) -> None:
    assert tcp.check_flags(int(judges.TCP(flags=flags).flags)) == 0


@pytest.mark.parametrize("flags", ["", "P", "U", "SF", "SR", "SFA", "FSRPAUEC"])
def test_flags_that_contradict_each_other(flags: str) -> None:
    assert NAMES[tcp.check_flags(int(judges.TCP(flags=flags).flags))] == "TCP_BAD_FLAGS"


# --- options ------------------------------------------------------------------------------------------------------


def test_options_of_a_syn() -> None:
    found = TCPOptions(scratch(TCPOptions.SIZE))
    assert tcp.parse_options(TCP(place(FRAMES["tcp4-syn"]) + 34), found) == 0
    assert found.present == tcp.HAS_MSS | tcp.HAS_WINDOW_SCALE | tcp.HAS_SACK_PERMITTED | tcp.HAS_TIMESTAMPS
    assert (found.mss, found.window_scale, found.timestamp, found.echo) == (1460, 7, 0x11223344, 0)


def test_options_of_a_data_segment() -> None:
    found = TCPOptions(scratch(TCPOptions.SIZE))
    assert tcp.parse_options(TCP(place(FRAMES["tcp4-data"]) + 34), found) == 0
    assert (found.present, found.timestamp, found.echo) == (tcp.HAS_TIMESTAMPS, 0x11223344, 0x55667788)


def test_sack_blocks() -> None:
    found = TCPOptions(scratch(TCPOptions.SIZE))
    assert tcp.parse_options(TCP(place(FRAMES["tcp4-sack"]) + 34), found) == 0
    assert (found.present, found.sack_blocks) == (tcp.HAS_SACK, 3)
    assert [found.sack[i] for i in range(6)] == [100, 200, 300, 400, 0xFFFFFF00, 16]


blocks = st.lists(st.tuples(u32s, u32s), min_size=1, max_size=4)


@given(
    st.none() | st.integers(64, 0xFFFF),
    st.none() | st.integers(0, 14),
    st.booleans(),
    st.none() | st.tuples(u32s, u32s),
    st.none() | blocks,
)
def test_emit_options_scapy_and_parse_agree(
    mss: int | None,
    scale: int | None,
    permitted: bool,
    stamps: tuple[int, int] | None,
    sack: list[tuple[int, int]] | None,
) -> None:
    wanted = TCPOptions(scratch(TCPOptions.SIZE))
    if mss is not None:
        wanted.mss, wanted.present = mss, wanted.present | tcp.HAS_MSS
    if scale is not None:
        wanted.window_scale, wanted.present = scale, wanted.present | tcp.HAS_WINDOW_SCALE
    if permitted:
        wanted.present |= tcp.HAS_SACK_PERMITTED
    if stamps is not None:
        wanted.timestamp, wanted.echo = stamps
        wanted.present |= tcp.HAS_TIMESTAMPS
    if sack is not None:
        wanted.present |= tcp.HAS_SACK
        wanted.sack_blocks = len(sack)
        for i, edge in enumerate(edge for block in sack for edge in block):
            wanted.sack[i] = edge
    address = place(bytes(40))
    octets = tcp.emit_options(address, wanted)
    data = octets_at(address, octets)
    assert octets <= 40
    told = {str(name): value for name, value in judges.TCP(segment(data)).options}
    assert told.get("MSS") == mss
    assert told.get("WScale") == scale
    assert ("SAckOK" in told) == permitted
    assert told.get("Timestamp") == stamps
    edges = [edge for block in sack or [] for edge in block]
    fits = 2 * ((40 - 4 - (octets - 4 - 8 * (len(told.get("SAck", ())) // 2))) // 8)
    assert list(told.get("SAck", ())) == edges[:fits]
    reason, found = parse(data)
    assert reason == "GOOD"
    assert found.present & tcp.HAS_MSS == 0 or found.mss == mss
    assert [found.sack[i] for i in range(2 * found.sack_blocks)] == edges[:fits]


@given(st.binary(max_size=40), st.sampled_from(["S", "A"]))
def test_arbitrary_options_end_with_a_reason(options: bytes, flags: str) -> None:
    reason, found = parse(options, flags)
    assert reason in ("GOOD", "TCP_BAD_OPTION")
    assert found.sack_blocks <= 4
    if found.present & tcp.HAS_MSS:
        assert found.mss >= tcp.MSS_FLOOR
    if found.present & tcp.HAS_WINDOW_SCALE:
        assert found.window_scale <= tcp.SCALE_LIMIT


@pytest.mark.parametrize(
    "options",
    [b"\2\0\0\0", b"\2\1\0\0", b"\3\xff\0\0", b"\1\1\1\2", b"\xfe\0\0\0", b"\5\x0a\0\0", b"\x08\x0a\0\0"],
)
def test_options_of_impossible_length_end_the_parsing(options: bytes) -> None:
    reason, found = parse(b"\2\4\5\xb4" + options)
    assert reason == "TCP_BAD_OPTION"
    assert (found.present, found.mss) == (tcp.HAS_MSS, 1460)


@pytest.mark.parametrize(
    "options",
    [
        b"\2\3\5",
        b"\2\5\5\xb4\0",
        b"\3\2",
        b"\3\4\7\0",
        b"\4\3\0",
        b"\x08\x09" + bytes(7),
        b"\5\2",
        b"\5\x0b" + bytes(9),
    ],
)
def test_known_options_of_the_wrong_length_are_passed_over(options: bytes) -> None:
    reason, found = parse(options + b"\1" * (-len(options) % 4))
    assert (reason, found.present) == ("GOOD", 0)


def test_an_option_may_end_the_header() -> None:
    reason, found = parse(b"\1\1\4\2")
    assert (reason, found.present) == ("GOOD", tcp.HAS_SACK_PERMITTED)


def test_no_blocks_are_no_option() -> None:
    nothing = TCPOptions(scratch(TCPOptions.SIZE))
    nothing.present = tcp.HAS_SACK
    assert tcp.emit_options(place(bytes(4)), nothing) == 0


def test_what_follows_the_end_of_options_is_not_read() -> None:
    assert parse(b"\0\2\0\0")[0] == "GOOD"


def test_options_of_a_syn_do_not_count_elsewhere() -> None:
    reason, found = parse(b"\2\4\5\xb4\3\3\7\1\4\2\1\1", "A")
    assert (reason, found.present) == ("GOOD", 0)


@pytest.mark.parametrize(("mss", "counts"), [(0, 64), (1, 64), (8, 64), (48, 64), (64, 64), (536, 536), (65535, 65535)])
def test_mss_has_a_floor(mss: int, counts: int) -> None:
    assert parse(b"\2\4" + mss.to_bytes(2, "big"))[1].mss == counts


@pytest.mark.parametrize(("scale", "counts"), [(0, 0), (14, 14), (15, 14), (255, 14)])
def test_window_scale_has_a_ceiling(scale: int, counts: int) -> None:
    assert parse(b"\3\3" + bytes([scale]))[1].window_scale == counts


@given(st.integers(0, 40))
def test_a_cookie_has_4_to_16_octets_an_even_number_or_none(octets: int) -> None:
    cookie = bytes(range(1, octets + 1))
    option = bytes((34, 2 + octets)) + cookie
    reason, found = parse((option + b"\x01" * 2)[:40])
    good = octets == 0 or (4 <= octets <= 16 and octets % 2 == 0)
    assert bool(found.present & tcp.HAS_FAST_OPEN) == good
    if not good:
        return
    assert (reason, found.cookie_octets) == ("GOOD", octets)
    assert bytes(found.cookie[k] for k in range(octets)) == cookie
    found.present |= tcp.HAS_MSS | tcp.HAS_TIMESTAMPS | tcp.HAS_SACK_PERMITTED | tcp.HAS_WINDOW_SCALE
    found.mss, found.timestamp, found.echo, found.window_scale = 1460, 1, 2, 7
    room = ctypes.create_string_buffer(40)
    size = tcp.emit_options(ctypes.addressof(room), found)
    assert size <= 40
    assert room.raw[20:size] == option + b"\x01" * (-len(option) % 4)


def test_a_cookie_counts_in_a_syn_only() -> None:
    _, found = parse(bytes((34, 6, 1, 2, 3, 4)), "A")
    assert found.present == 0
