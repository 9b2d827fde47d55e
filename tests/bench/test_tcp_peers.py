"""The peers of the TCP benchmarks: what they print, and that those in C build and move something."""

from __future__ import annotations

import json

import pytest

from bench.harness import Unavailable
from bench.peers import c_program, iperf3, loopback, lwip
from pronghorn.compiled import mode

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="the peers are not ours")


def test_iperf3_is_read_per_core_used() -> None:
    used = {"host_total": 60.0, "remote_total": 40.0}
    received = {"bytes": 3_000_000, "seconds": 2.0}
    assert iperf3.parse(json.dumps({"end": {"cpu_utilization_percent": used, "sum_received": received}})) == 1_500_000
    with pytest.raises(RuntimeError, match="moved 0"):
        iperf3.parse(json.dumps({"end": {"cpu_utilization_percent": used, "sum_received": received | {"bytes": 0}}}))


@pytest.mark.parametrize("kind", ["requests", "connections"])
def test_loopback_exchanges(kind: str) -> None:
    with c_program.built("loopback") as program:
        assert loopback.per_core(program, kind, 10, 0, 0, seconds=0.1) > 1000
        with pytest.raises(RuntimeError, match="exit 2: usage"):
            c_program.numbers([str(program)], 1)
    assert not program.exists()


def test_lwip_moves_octets() -> None:
    try:
        with lwip.bulk() as measure:
            assert measure() > 1e6
    except Unavailable as why:
        pytest.skip(str(why))


def test_a_program_that_does_not_build_says_why() -> None:
    with (
        pytest.raises(Unavailable, match=r"lwip_bulk.c does not build: .+"),
        c_program.built("lwip_bulk", "-DSECONDS=("),
    ):
        pass
