"""Octets between this stack and a kernel's, each compared with what it has to be: over TAP, AF_XDP and packet sockets,
over both families, opened from either side, in both directions; on perfect wires and on bad ones."""

from __future__ import annotations

import pytest

from bench.tcp.station import DEVICES, Station, station
from pronghorn.compiled import mode
from pronghorn.state.endpoints import endpoints_of
from pronghorn.state.mib import IN_CSUM_ERRORS

pytestmark = pytest.mark.root

INTERPRETED = mode() == "interpreted"
OCTETS = 60_000 if INTERPRETED else 6_000_000
BAD = "rate=400mbit&delay=1ms&jitter=200us&loss=0.3%&reorder=1%&reorder_delay=2ms&duplicate=0.5%&corrupt=0.3%"
KINDS = ["tap"] if INTERPRETED else list(DEVICES)


def carry(one: Station, octets: int) -> None:
    """Both directions and both at once, opened from here and from there."""
    for family in (4, 6):
        one.listen(family)
        for out, back in ((octets, 0), (0, octets), (octets, octets)):
            for actively in (True, False):
                before = one.app.received
                peer = one.exchange(family, out, back, actively)
                assert (peer["received"], peer["wrong"]) == (out, 0), peer
                assert (one.app.received - before, one.app.wrong) == (back, 0)


def checksum_errors(one: Station) -> tuple[int, int]:
    """Segments that we and the kernel have found damaged."""
    ours: int = endpoints_of(one.worker).mib[IN_CSUM_ERRORS]
    return ours, one.nstat("TcpInCsumErrors")


@pytest.mark.parametrize("device", KINDS)
def test_octets_are_what_they_were(device: str) -> None:
    with station(device) as one:
        carry(one, OCTETS)
        assert checksum_errors(one) == (0, 0)


@pytest.mark.parametrize("device", KINDS)
def test_octets_are_what_they_were_after_a_bad_wire(device: str) -> None:
    with station(device, BAD) as one:
        carry(one, OCTETS // 4)
        lanes = one.wires[0].lanes
        for lane in lanes:
            assert min(lane.lost, lane.reordered, lane.duplicated, lane.corrupted) > (0 if not INTERPRETED else -1)
        assert sum(checksum_errors(one)) <= sum(lane.corrupted for lane in lanes)
        assert min(checksum_errors(one)) > 0 or INTERPRETED
