"""Segments from addresses that nobody has, and ICMP errors of liars: rows 18 and 25 of the bad inputs."""

from __future__ import annotations

import struct

import pytest

from pronghorn.net.path_mtu import FLOOR4, FLOOR6
from pronghorn.net.state import net_of
from pronghorn.tcp.tcb import ESTABLISHED, SYN_SENT
from pronghorn.wire.tcp import ACK, RST, SYN
from tests.support.feed import OWN4, OWN6, ROUTER
from tests.tcp.victim import MASK, Peer, Victim, packet, with_checksum

# CVE-1999-0016, CVE-2020-8558
SOURCES = {
    4: {
        "land": (OWN4[0], "ipv4_land"),
        "loopback": ("127.0.0.1", "ipv4_martian_source"),
        "loopback-other": ("127.9.9.9", "ipv4_martian_source"),
        "nobody": ("0.0.0.0", "ipv4_martian_source"),
        "nobody-other": ("0.1.2.3", "ipv4_martian_source"),
        "group": ("224.0.0.1", "ipv4_martian_source"),
        "group-other": ("239.255.255.250", "ipv4_martian_source"),
        "reserved": ("240.0.0.1", "ipv4_martian_source"),
        "everybody": ("255.255.255.255", "ipv4_martian_source"),
    },
    6: {
        "land": (OWN6[0], "ipv6_land"),
        "loopback": ("::1", "ipv6_martian_source"),
        "nobody": ("::", "ipv6_unspecified_source"),
        "group": ("ff02::1", "ipv6_martian_source"),
        "group-other": ("ff0e::1234", "ipv6_martian_source"),
        "mapped": ("::ffff:10.0.0.1", "ipv6_martian_source"),
    },
}
CASES = [(family, name) for family, found in SOURCES.items() for name in found]


@pytest.mark.parametrize(("victim", "name"), CASES, indirect=["victim"])
@pytest.mark.parametrize("flags", [SYN, ACK, RST, SYN | ACK])
def test_source_that_is_no_single_other_host(victim: Victim, name: str, flags: int) -> None:
    """Nothing is answered, nothing is kept."""
    victim.listen()
    source, verdict = SOURCES[victim.family][name]
    assert Peer(victim, source).send(flags=flags) == verdict
    assert victim.in_use() == []
    assert victim.sent(0) == []


def to_group(victim: Victim, destination: str, mac: str = "") -> bytes:
    """A SYN to a group or to everybody."""
    peer = Peer(victim)
    header = struct.pack("!HHIIBBHHH", peer.sport, 80, 5, 0, 0x50, SYN, 60_000, 0, 0)
    frame = packet(peer.src, destination, 6, with_checksum(peer.src, destination, 6, header, 16))
    return (bytes.fromhex(mac.replace(":", "")) if mac else frame[:6]) + frame[6:]


GROUPS = {
    4: ["224.0.0.1", "255.255.255.255", "192.0.2.255", "239.1.1.1"],
    6: ["ff02::1", "ff02::1:ff00:1", "ff0e::77"],
}


@pytest.mark.parametrize(
    ("victim", "destination"), [(family, one) for family, all in GROUPS.items() for one in all], indirect=["victim"]
)
@pytest.mark.parametrize("mac", ["", "ff:ff:ff:ff:ff:ff"])
def test_syn_to_a_group(victim: Victim, destination: str, mac: str) -> None:
    """RFC 1122 4.2.3.10: dropped in silence."""
    victim.listen()
    victim.hear(to_group(victim, destination, mac))
    assert victim.in_use() == []
    assert victim.sent(0) == []


def test_syn_for_us_in_a_broadcast_frame(victim: Victim) -> None:
    """A unicast address in a frame to everybody (RFC 1122 3.3.6)."""
    victim.listen()
    victim.hear(to_group(victim, victim.own, "ff:ff:ff:ff:ff:ff"))
    assert victim.in_use() == []
    assert [frame for frame in victim.sent(0) if frame[:6] == bytes.fromhex(ROUTER.replace(":", ""))] == []


# --- ICMP: CVE-2004-0790, -0791, -1060 (RFC 5927) ---------------------------------------------------------------------


def error(peer: Peer, seq: int, kind: int, code: int, word: int = 0, sport: int = 0) -> bytes:
    """An ICMP error about a segment that the victim sent to the peer at `seq` (from the peer's `wants`)."""
    victim, router = peer.victim, "192.0.2.254" if peer.victim.family == 4 else "2001:db8:1::fe"
    layer4 = struct.pack("!HHII", peer.dport, sport or peer.sport, peer.wants + seq & MASK, 0) + bytes(8)
    quoted = packet(victim.own, peer.src, 6, layer4 + bytes(1000))[14:]
    quoted = quoted[: (20 if victim.family == 4 else 40) + len(layer4)]
    message = struct.pack("!BBHI", kind, code, 0, word) + quoted
    protocol = 1 if victim.family == 4 else 58
    return packet(router, victim.own, protocol, with_checksum(router, victim.own, protocol, message, 2))


def too_big(peer: Peer, seq: int, mtu: int) -> bytes:
    return error(peer, seq, 3, 4, mtu) if peer.victim.family == 4 else error(peer, seq, 2, 0, mtu)


def unreachable(peer: Peer, seq: int, code: int = 0) -> bytes:
    return error(peer, seq, 3, code) if peer.victim.family == 4 else error(peer, seq, 1, code)


@pytest.mark.parametrize("seq", [-1, -5000, 8000, 1 << 20, 1 << 31])
def test_error_about_a_segment_that_is_not_in_flight(victim: Victim, seq: int) -> None:
    """Too big or unreachable: not believed, and counted."""
    peer = victim.peer()
    victim.write(peer.number, 8000)
    victim.turn()
    mss = peer.tcb.mss
    assert victim.verdict(too_big(peer, seq, 600 if victim.family == 4 else 1280)) == "icmp_ignored"
    assert victim.verdict(unreachable(peer, seq)) == "icmp_ignored"
    assert peer.tcb.mss == mss
    assert peer.tcb.state == ESTABLISHED
    assert victim.counter("OutOfWindowIcmps") == 2


@pytest.mark.parametrize("mtu", [0, 1, 40, 67, 68, 551, 1279])
def test_absurd_mtu(victim: Victim, mtu: int) -> None:
    """A segment keeps a size that is worth sending, whatever a router says."""
    peer = victim.peer()
    victim.write(peer.number, 20_000)
    victim.turn()
    victim.hear(too_big(peer, 0, mtu))
    least = FLOOR4 - 40 if victim.family == 4 else FLOOR6 - 60
    assert peer.tcb.mss >= least
    victim.wait(3, 0.1)
    assert len(peer.heard()) <= 80
    net_of(victim.worker).path_count = 0
    for place in range(net_of(victim.worker).path_mask + 1):
        net_of(victim.worker).paths[place].expires = 0


@pytest.mark.parametrize("mtu", [1500, 9000, 65_535])
def test_mtu_that_is_no_smaller(victim: Victim, mtu: int) -> None:
    peer = victim.peer()
    victim.write(peer.number, 5000)
    victim.turn()
    mss = peer.tcb.mss
    victim.hear(too_big(peer, 0, mtu))
    assert peer.tcb.mss == mss


@pytest.mark.parametrize("code", range(5))
def test_hard_errors_do_not_end_a_connection(victim: Victim, code: int) -> None:
    """RFC 5927 5.2: even in flight, they are soft errors."""
    peer = victim.peer()
    victim.write(peer.number, 3000)
    victim.turn()
    if victim.family == 6 or code != 4:
        victim.hear(unreachable(peer, 0, code))
    assert peer.tcb.state == ESTABLISHED
    assert peer.send(b"alive", ack=3000) == "delivered"


def test_error_about_a_connection_that_is_not_there(victim: Victim) -> None:
    peer = victim.peer()
    for sport in (1, 9999):
        victim.hear(error(peer, 0, 3 if victim.family == 4 else 1, 1, sport=sport))
    assert victim.in_use() == [ESTABLISHED]
    assert SYN_SENT not in victim.in_use()
