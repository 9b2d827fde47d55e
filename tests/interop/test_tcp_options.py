"""A kernel that lacks one thing or another, small MTUs, and narrow links behind a router: every octet is compared."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from bench.tcp.station import Station, station
from pronghorn.compiled import mode

pytestmark = [pytest.mark.root, pytest.mark.skipif(mode() == "interpreted", reason="the kernel's settings are judged")]

OCTETS = 300_000
TIMESTAMPS, SACK, SCALING, ECN = 1, 2, 4, 8  # tcpi_options
BAD = "delay=1ms&jitter=500us&loss=0.5%&duplicate=0.5%&corrupt=0.2%"


@pytest.fixture(scope="module")
def tap() -> Iterator[Station]:
    with station("tap", BAD) as one:
        yield one


def carry(one: Station, octets: int = OCTETS) -> int:
    """Both directions at once, on both families, opened from here and from there; the options that were agreed on."""
    options: set[int] = set()
    for family in (4, 6):
        one.listen(family)
        for actively in (True, False):
            before = one.app.received
            peer = one.exchange(family, octets, octets, actively)
            assert (peer["received"], peer["wrong"]) == (octets, 0), peer
            assert (one.app.received - before, one.app.wrong) == (octets, 0)
            options.add(int(peer["options"]) & (TIMESTAMPS | SACK | SCALING | ECN))
    assert len(options) == 1
    return options.pop()


@pytest.mark.parametrize(
    ("setting", "options"),
    [
        ({"tcp_timestamps": 0}, SACK | SCALING),
        ({"tcp_sack": 0}, TIMESTAMPS | SCALING),
        ({"tcp_window_scaling": 0}, TIMESTAMPS | SACK),
        ({"tcp_timestamps": 0, "tcp_sack": 0, "tcp_window_scaling": 0}, 0),
        ({"tcp_ecn": 1}, TIMESTAMPS | SACK | SCALING | ECN),
        ({"tcp_mtu_probing": 2}, TIMESTAMPS | SACK | SCALING),
        ({"tcp_congestion_control": "reno"}, TIMESTAMPS | SACK | SCALING),
        ({"tcp_moderate_rcvbuf": 0, "tcp_rmem": '"4096 6000 6000"'}, TIMESTAMPS | SACK),
    ],
)
def test_a_kernel_that_is_otherwise(tap: Station, setting: dict[str, object], options: int) -> None:
    before = {key: tap.kernel.run("cat", f"/proc/sys/net/ipv4/{key}").stdout.strip() for key in setting}
    tap.kernel.sysctl(**{f"ipv4__{key}": value for key, value in setting.items()})
    tap.tcp.ecn = 1 if "tcp_ecn" in setting else 2
    try:
        agreed = carry(tap, OCTETS // 20 if "tcp_rmem" in setting else OCTETS)
        assert agreed | SCALING == options | SCALING
        assert agreed == options or "tcp_rmem" in setting
    finally:
        tap.kernel.sysctl(**{f"ipv4__{key}": f'"{value}"' for key, value in before.items()})


@pytest.mark.parametrize("ours", [{"timestamps": 0}, {"sack": 0}, {"window_scaling": 0}, {"congestion": 0}])
def test_a_stack_that_is_otherwise(tap: Station, ours: dict[str, int]) -> None:
    (name, value), *_ = ours.items()
    before = getattr(tap.tcp, name)
    setattr(tap.tcp, name, value)
    try:
        missing = {"timestamps": TIMESTAMPS, "sack": SACK, "window_scaling": SCALING}.get(name, 0)
        assert carry(tap) == (TIMESTAMPS | SACK | SCALING) & ~missing
    finally:
        setattr(tap.tcp, name, before)


@pytest.mark.parametrize("mtu", [1280, 9000])
def test_other_mtus(mtu: int) -> None:
    with station("tap", "delay=500us", mtu=mtu) as one:
        carry(one)


def test_the_smallest_mtu() -> None:
    """IPv6 needs 1280."""
    with station("tap", mtu=576, families=(4,)) as one:
        for actively in (True, False):
            one.listen(4)
            peer = one.exchange(4, OCTETS, OCTETS, actively)
            assert (peer["received"], peer["wrong"], peer["mss"]) == (OCTETS, 0, 524), peer
            assert one.app.wrong == 0


def test_a_narrow_link_behind_routers() -> None:
    """The routers say what fits (RFC 1191, RFC 8201): the kernel hears of it, and so do we."""
    with station("tap", narrow=1400) as one:
        for family in (4, 6):
            one.listen(family)
            for actively in (True, False):
                peer = one.exchange(family, OCTETS, OCTETS, actively)
                assert (peer["received"], peer["wrong"], one.app.wrong) == (OCTETS, 0, 0), peer
                assert peer["mss"] == (1348 if family == 4 else 1328)


def test_a_narrow_link_behind_silent_routers() -> None:
    """Nobody says what fits: both sides find out by themselves (RFC 4821)."""
    with station("tap", narrow=1400) as one:
        for router in one.routers:
            for table, kind in (("ip", "icmp type destination-unreachable"), ("ip6", "icmpv6 type packet-too-big")):
                router.run("nft", "add", "table", table, "quiet")
                router.run("nft", "add", "chain", table, "quiet", "out", "{ type filter hook output priority 0; }")
                router.run("nft", "add", "rule", table, "quiet", "out", *kind.split(), "drop")
        one.kernel.sysctl(ipv4__tcp_mtu_probing=1)
        one.tcp.mtu_probing = 1
        for family in (4, 6):
            one.listen(family)
            peer = one.exchange(family, OCTETS, OCTETS, family == 4)
            assert (peer["received"], peer["wrong"], one.app.wrong) == (OCTETS, 0, 0), peer


def test_marks_instead_of_losses() -> None:
    """A router marks what has to wait (RFC 3168): both ends slow down, and nothing is dropped."""
    with station("tap", "rate=100mbit&delay=2ms&mark=30000&queue=400000") as one:
        one.kernel.sysctl(ipv4__tcp_ecn=1)
        one.environment = {**os.environ, "CONGESTION": "cubic"}
        one.tcp.ecn = 1
        assert carry(one, 1_500_000) & ECN
        for lane in one.wires[0].lanes:
            assert (lane.marked > 0, lane.dropped) == (True, 0)
