"""How readings become a number: alternation, medians, spread, bars, and failures that stay where they happened."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator

import pytest

from bench import bars, report
from bench.__main__ import chosen, load
from bench.bars import BARS, Bar
from bench.figures import short
from bench.harness import Benchmark, Measure, Result, Side, Unavailable, measure, spread


def side(readings: list[float], log: list[str] | None = None, name: str = "") -> Side:
    """A side that returns the readings one by one and writes down that it was asked."""

    @contextlib.contextmanager
    def opened() -> Iterator[Measure]:
        rest = iter(readings)

        def one() -> float:
            (log if log is not None else []).append(name)
            return next(rest)

        yield one
        if log is not None:
            log.append(f"{name} closed")

    return opened


def failing(error: Exception) -> Side:
    @contextlib.contextmanager
    def opened() -> Iterator[Measure]:
        if error:
            raise error
        yield lambda: 0.0

    return opened


def breaking(error: BaseException) -> Side:
    @contextlib.contextmanager
    def opened() -> Iterator[Measure]:
        def one() -> float:
            raise error

        yield one

    return opened


def run(ours: Side, peer: Side | None = None, runs: int = 3, say: Callable[[str], None] = lambda _: None) -> Result:
    name = "the peer" if peer else None
    return measure(Benchmark("mac_swap", "a trial", "packets/s", ours, name, peer, runs), say)


def test_ours_and_the_peer_alternate_and_are_closed() -> None:
    log: list[str] = []
    run(side([1, 2, 3], log, "a"), side([1, 2, 3], log, "b"))
    assert log == ["a", "b"] * 3 + ["a closed", "b closed"]


def test_the_number_is_the_median_and_the_ratio_that_of_the_medians() -> None:
    result = run(side([10, 90, 30]), side([20, 10, 15]))
    assert (result.value, result.peer_value, result.ratio) == (30, 15, 2)
    assert result.runs == 3
    assert result.spread == pytest.approx(80 / 30)
    assert result.met
    assert result.reason is None


@pytest.mark.parametrize(
    ("readings", "expected"),
    [([], None), ([5], None), ([5, 5], 0.0), ([0, 0], 0.0), ([0, 0, 1], None), ([9, 10, 11], 0.2), ([-1, -2, -3], 1.0)],
)
def test_spread(readings: list[float], expected: float | None) -> None:
    assert spread(readings) == (expected if expected is None else pytest.approx(expected))


def test_a_peer_that_cannot_be_had_leaves_the_ratio_open_and_says_why() -> None:
    result = run(side([1, 2, 3]), failing(Unavailable("it is not installed")))
    assert (result.value, result.ratio, result.met) == (2, None, None)
    assert result.reason == "the peer: it is not installed"
    assert not result.error


def test_a_peer_that_fails_later_does_not_stop_ours() -> None:
    result = run(side([1, 2, 3]), breaking(ValueError("broken")))
    assert (result.value, result.ratio, result.runs) == (2, None, 3)
    assert result.reason == "the peer: ValueError: broken"


def test_ours_unavailable_still_shows_the_peer() -> None:
    result = run(failing(Unavailable("engine not available: not built")), side([7, 8, 9]))
    assert (result.value, result.peer_value, result.ratio, result.runs) == (None, 7, None, 0)
    assert result.reason == "engine not available: not built"
    assert not result.error


def test_ours_failing_is_an_error_of_that_result() -> None:
    said: list[str] = []
    result = run(breaking(OSError("no such thing")), side([1, 1, 1]), say=said.append)
    assert (result.value, result.ratio, result.error) == (None, None, True)
    assert result.reason == "OSError: no such thing"
    assert "no such thing" in said[-1]


def test_an_interrupt_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(breaking(KeyboardInterrupt()))


def test_the_object_has_the_agreed_keys_first() -> None:
    printed = run(side([1, 2, 3]), side([1, 1, 1])).object()
    assert list(printed)[:8] == ["name", "value", "unit", "peer", "peer_value", "ratio", "spread", "runs"]
    (back,) = json.loads(report.as_json([run(side([1, 2, 3]), side([1, 1, 1]))]))
    assert back == printed


@pytest.mark.parametrize(
    ("bar", "value", "ratio", "met"),
    [
        (Bar("ratio", "at least", 1.0), 5, 1.0, True),
        (Bar("ratio", "at least", 1.0), 5, 0.99, False),
        (Bar("ratio", "at least", 1.0), 5, None, None),
        (Bar("value", "at most", 0, "failures"), 0, None, True),
        (Bar("value", "at most", 0, "failures"), 1, None, False),
        (Bar("value", "below", 1.0, "s"), 1.0, None, False),
        (Bar("value", "below", 1.0, "s"), 0.5, None, True),
        (Bar("value", "below", 1.0, "s"), None, None, None),
    ],
)
def test_bars(bar: Bar, value: float | None, ratio: float | None, met: bool | None) -> None:
    assert bar.met(value, ratio) is met


def test_every_bar_has_its_benchmark_and_every_benchmark_its_bar() -> None:
    loaded = [load(name) for name in BARS]
    assert [benchmark.name for benchmark in loaded] == list(BARS)
    for benchmark in loaded:
        assert (benchmark.bar.of == "value") or benchmark.peer is not None
        assert benchmark.bar.of == "ratio" or benchmark.bar.unit == benchmark.unit


def test_the_bars_are_those_that_were_agreed() -> None:
    assert {name: str(bar) for name, bar in bars.BARS.items()} == {
        "mac_swap": "ratio ≥ 1",
        "lb_full_nat_100k": "ratio ≥ 0.2",
        "lb_full_nat_1m": "ratio ≥ 0.1",
        "lb_full_nat_10m": "ratio ≥ 0.05",
        "lb_direct": "ratio ≥ 0.3",
        "lb_nat": "ratio ≥ 0.2",
        "lb_tunnel": "ratio ≥ 0.22",
        "lb_nat64": "ratio ≥ 0.12",
        "lb_connections": "≥ 1 M connections/s",
        "lb_many": "ratio ≥ 0.9",
        "lb_deny_100k": "ratio ≥ 0.9",
        "lb_memory": "≤ 128 B",
        "lb_remap": "< 0.5 % of flows",
        "bridge": "≥ 20 M packets/s",
        "tcp_server_100": "ratio ≥ 0.03",
        "tcp_server_10k": "ratio ≥ 0.015",
        "tcp_server_short": "ratio ≥ 0.007",
        "tcp_requests": "ratio ≥ 10",
        "tcp_connections": "ratio ≥ 10",
        "tcp_bulk": "ratio ≥ 1.5",
        "tcp_bulk_mtu": "ratio ≥ 2",
        "tcp_million": "ratio ≥ 0.8",
        "syn_flood": "ratio ≥ 0.7",
        "tcp_loss": "ratio ≥ 3",
        "tcp_kernel_peer": "≤ 0 octets",
        "tcp_idle_memory": "≤ 512 B",
        "redis_50": "ratio ≥ 4",
        "redis_1": "ratio ≥ 3",
        "redis_pipeline": "ratio ≥ 1.5",
        "nginx_keepalive": "ratio ≥ 2.5",
        "nginx_short": "ratio ≥ 3",
        "iperf": "ratio ≥ 1.3",
        "asyncio_echo": "ratio ≥ 2",
        "asyncio_echo_uvloop": "ratio ≥ 1",
        "kill_program": "≤ 0 leaks and failures",
        "redis_gateway": "ratio ≥ 1",
        "zero_copy": "ratio ≤ 0.7",
        "http_xdp": "ratio ≥ 1",
        "drain": "≤ 0 failures",
        "idle_cpu": "< 1 % of a core",
        "start": "< 1 s",
        "build": "< 180 s",
    }


def test_names_are_chosen_in_the_order_of_the_table() -> None:
    assert chosen([]) == list(BARS)
    assert chosen(["build", "mac_swap"]) == ["mac_swap", "build"]
    with pytest.raises(ValueError, match="no benchmark mac_swop; there are mac_swap, "):
        chosen(["mac_swop"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "-"), (97_654_321, "97.7 M"), (20e6, "20 M"), (62_031.4, "62,031"), (0.4181, "0.418")],
)
def test_figures(value: float | None, expected: str) -> None:
    assert short(value) == expected


def test_the_table_shows_the_last_line_of_a_reason() -> None:
    assert report.last_line("Traceback:\n  here\nKeyError: 'x'\n") == "KeyError: 'x'"
