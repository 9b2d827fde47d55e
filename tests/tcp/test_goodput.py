"""What a connection carries over a path that loses: both ends' engines, a line with a queue, a seed; virtual time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pronghorn.compiled import mode
from pronghorn.ports.wire_port import Impairment
from pronghorn.state.endpoints import endpoints_of
from pronghorn.state.mib import COUNTERS
from pronghorn.tcp.congestion import BBR, CUBIC, NEWRENO
from pronghorn.tcp.tcb import tcp_of
from tests.simulator.network import MILLISECOND, Network

COMPILED = mode() != "interpreted"
SECONDS = 20 if COMPILED else 0.6
PERCENT = 10_000
compiled_only = pytest.mark.skipif(not COMPILED, reason="minutes of traffic take the interpreter too long")


@dataclass
class Result:
    """Mbit/s of each flow, and the sender's TcpExt counters."""

    goodput: list[float]
    counters: dict[str, int]


def carry(congestion: int, wire: Impairment, flows: int = 1, sack: int = 1, seconds: float = SECONDS) -> Result:
    """Bulk flows from one host to another for so long."""
    with Network(seed=3) as network:
        left, right = network.host("left", packets=4096), network.host("right", packets=4096)
        link = network.link(left, right, wire, Impairment(delay=wire.delay), options="mtu=1500&store=4096")
        for host in (left, right):
            tcp = tcp_of(host.worker)
            tcp.congestion, tcp.sack = congestion, sack
            defaults = tcp.tunings[0]
            defaults.congestion = congestion
            defaults.send_limit = defaults.receive_limit = 2 << 20
            defaults.fixed_buffers = 3
        right.listen(link.address(1, 4), 80)
        for _ in range(flows):
            left.stream(link.address(1, 4), 80)
        network.run(seconds=seconds)
        own = right.flows()
        sinks = [own.flows[number] for number in range(1, own.count)]
        assert len(sinks) == flows
        assert all(sink.wrong == 0 for sink in sinks)
        mib = endpoints_of(left.worker).mib
        counters = {name: mib[number] for number, (_group, name) in enumerate(COUNTERS)}
        return Result([sink.octets * 8 / seconds / 1e6 for sink in sinks], counters)


@pytest.mark.parametrize("whole", [True, False])
def test_bursts_that_are_read_at_once_are_acknowledged_at_once(whole: bool) -> None:
    """A burst each round trip of 2 ms, also when quick acks are used up. Waiting for ATO makes that 40 ms."""
    delay, burst, seconds = MILLISECOND, 20_000, 0.1
    with Network(seed=5) as network:
        left, right = (network.host(name, packets=2048, large=64 if whole else 0) for name in ("left", "right"))
        sending, receiving = (tcp_of(host.worker).tunings[0] for host in (left, right))
        sending.send_limit, sending.fixed_buffers = burst, 2
        receiving.receive_limit, receiving.fixed_buffers = 1_000_001, 1  # which is rounded up to be told
        wire = Impairment(delay=delay)
        link = network.link(left, right, wire, Impairment(delay=delay), options="mtu=1500&store=4096")
        right.listen(link.address(1, 4), 80)
        left.stream(link.address(1, 4), 80)
        network.run(seconds=seconds)
        sink = right.flows().flows[1]
        assert sink.wrong == 0
        rounds = seconds * 1e9 / (2 * delay)
        assert sink.octets > 0.8 * rounds * burst


def line(loss: int = 0, queue: int = 125_000, reorder: int = 0) -> Impairment:
    """10 Mbit/s, 100 ms there and back."""
    delay = 50 * MILLISECOND
    return Impairment(
        rate=10_000_000, delay=delay, queue_octets=queue, loss=loss, reorder=reorder, reorder_delay=delay * 6 // 5
    )


@pytest.mark.parametrize("congestion", [NEWRENO, CUBIC, BBR])
def test_fills_the_line(congestion: int) -> None:
    """Nearly all of it, and no time-out; the interpreter sees the slow start."""
    result = carry(congestion, line())
    assert result.goodput[0] > (8.5 if COMPILED else 0.3)
    assert result.counters["TCPTimeouts"] == 0


@compiled_only
@pytest.mark.parametrize(("loss", "share"), [(1, 9.0), (5, 8.0)])
def test_random_loss(loss: int, share: float) -> None:
    """BBR carries more than three times what NewReno carries without SACK; and nearly what the line lets through."""
    plain = carry(NEWRENO, line(loss * PERCENT), sack=0)
    model = carry(BBR, line(loss * PERCENT))
    assert model.goodput[0] > share
    assert model.goodput[0] > 3 * plain.goodput[0]
    assert model.counters["TCPTimeouts"] == 0


@compiled_only
@pytest.mark.parametrize("congestion", [NEWRENO, CUBIC])
def test_loss_based_controls_follow_their_law(congestion: int) -> None:
    """At 1 % the window is about sqrt(3 / 2p) = 12 segments (RFC 9438 5.1.1), repaired without time-outs."""
    result = carry(congestion, line(PERCENT), seconds=60)
    assert pytest.approx(result.goodput[0], rel=0.4) == 12 * 1448 * 8 / 0.1 / 1e6
    assert result.counters["TCPTimeouts"] <= 2


@compiled_only
def test_a_reordering_path_is_no_losing_path() -> None:
    """Every twentieth segment is 10 ms late: hardly anything is sent again, and the line stays full (RFC 8985)."""
    result = carry(CUBIC, line(reorder=5 * PERCENT))
    assert result.goodput[0] > 8
    assert result.counters["RetransSegs"] < 250


@compiled_only
@pytest.mark.parametrize(("congestion", "most"), [(NEWRENO, 2), (CUBIC, 2), (BBR, 8)])
def test_flows_share_the_line(congestion: int, most: int) -> None:
    """Eight flows: the line is full, and the fastest has at most so many times what the slowest has."""
    result = carry(congestion, line(), flows=8, seconds=60)
    assert sum(result.goodput) > 8.5
    assert max(result.goodput) < most * min(result.goodput)
