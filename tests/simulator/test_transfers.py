"""What must hold on every path, whatever the tables say today: nothing stalls, nothing collapses, the law is kept."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pronghorn.ports.wire_port import Impairment
from pronghorn.tcp.congestion import BBR, CUBIC, NEWRENO
from pronghorn.tcp.tcb import tcp_of
from tests.simulator.conditions_table import BACK, LINE, Condition, outcome
from tests.simulator.fairness_table import share
from tests.simulator.network import MILLISECOND
from tests.simulator.transfers import COMPILED, Transfers, jain

CONTROLS = pytest.mark.parametrize("congestion", [NEWRENO, CUBIC, BBR])
FAMILIES = pytest.mark.parametrize("family", [4, 6])
compiled_only = pytest.mark.skipif(not COMPILED, reason="minutes of traffic take the interpreter too long")
FULL = LINE.rate / 8 / 1000 * 1428 / 1514
"""kB/s of octets on a full line, IPv6."""


@FAMILIES
@CONTROLS
def test_nothing_stalls_for_ever(congestion: int, family: int) -> None:
    """30 % of everything lost, both ways: transfers arrive whole, or the sender gives up, as it does after eight
    time-outs in a row (one in 200 at 51 % each) once its application has closed. No connection stays."""
    octets, count = (100_000, 8) if COMPILED else (10_000, 1)
    with Transfers(congestion, buffers=64 << 10) as transfers:
        line = Impairment(rate=10_000_000, delay=20 * MILLISECOND, loss=300_000)
        wire = transfers.wire(line, line)
        flows = [transfers.flow(wire, family, octets) for _ in range(count)]
        for _ in range(90):
            transfers.run(10)
            if all(flow.whole for flow in flows):
                break
        assert sum(flow.whole for flow in flows) >= count - count // 8
        assert all(flow.sender.ended > 0 for flow in flows)
        assert all(flow.tcb.rto < 2_000_000 for flow in flows), "waits for time-outs were taken for round trips"
        transfers.run(1800)
        assert tcp_of(transfers.left.worker).count == 0


@CONTROLS
def test_a_dead_path_is_given_up(congestion: int) -> None:
    """Nothing passes any more: after tcp_retries2 time-outs, a quarter of an hour or so, the application is told."""
    with Transfers(congestion) as transfers:
        wire = transfers.wire(Impairment(delay=10 * MILLISECOND))
        flow = transfers.flow(wire, octets=1 << 30)
        transfers.run(0.1)
        transfers.change(wire, loss=1_000_000)
        transfers.run(600)
        assert flow.sender.ended == 0
        transfers.run(1200)
        assert flow.sender.ended > 0
        assert flow.sender.error != 0


@compiled_only
@pytest.mark.parametrize("loss", [1_000, 10_000, 30_000])
def test_newreno_keeps_to_its_law(loss: int) -> None:
    """Mathis et al. 1997: a window of sqrt(3 / 2p) segments, while time-outs are rare. Four flows, two minutes."""
    with Transfers(NEWRENO) as transfers:
        wire = transfers.wire(Impairment(rate=1_000_000_000, delay=50 * MILLISECOND, loss=loss))
        flows = [transfers.flow(wire) for _ in range(4)]
        transfers.run(20)
        before = sum(flow.octets for flow in flows)
        transfers.run(100)
        window = (sum(flow.octets for flow in flows) - before) / 400 * 0.1 / 1448
        assert window == pytest.approx(math.sqrt(3 / 2 / (loss / 1e6)), rel=0.25)


@compiled_only
@FAMILIES
@pytest.mark.parametrize(("loss", "share"), [(10_000, 0.93), (50_000, 0.88), (100_000, 0.8), (150_000, 0.6)])
def test_bbr_does_not_mind_random_loss(loss: int, share: float, family: int) -> None:
    """Up to 1 - 1 / 1.25 = 20 %, where probing no longer finds more than is lost."""
    with Transfers(BBR, buffers=8 << 20) as transfers:
        wire = transfers.wire(replace(LINE, loss=loss))
        flow = transfers.flow(wire, family)
        transfers.run(40)
        assert flow.octets / 40_000 > share * FULL * (1 - loss / 1e6)
        assert transfers.counter("TCPTimeouts") == 0


@compiled_only
@CONTROLS
@pytest.mark.parametrize("rate", [1_000_000_000, 10_000_000_000])
def test_a_fast_line_is_filled(congestion: int, rate: int) -> None:
    """A segment takes 12 us, or 1.2: a paced sender is not bound by the tick of its timer."""
    with Transfers(congestion, buffers=8 << 20) as transfers:
        delay = MILLISECOND // 2
        wire = transfers.wire(Impairment(rate=rate, delay=delay, queue_octets=rate // 4000), store=16384)
        flow = transfers.flow(wire)
        transfers.run(0.2)
        before = flow.octets
        transfers.run(0.05)
        assert (flow.octets - before) * 8 / 0.05 > 0.9 * rate


@compiled_only
def test_bbr_paces_what_it_sends_again() -> None:
    """Sixteen flows overflow a queue of one BDP: a part is lost, and not two fifths of everything."""
    shares = share([BBR] * 16)
    assert shares.used > 0.97
    assert shares.dropped < 0.2 * sum(shares.octets) / 1448


@compiled_only
@pytest.mark.parametrize("congestion", [NEWRENO, CUBIC])
@pytest.mark.parametrize("count", [2, 16, 64])
def test_equal_flows_share_equally(congestion: int, count: int) -> None:
    shares = share([congestion] * count)
    assert jain(shares.octets) > 0.93
    assert shares.used > 0.97


@compiled_only
def test_marks_instead_of_losses() -> None:
    """ECN on both sides: nothing is dropped, the queue stays at the mark."""
    marking = Impairment(rate=40_000_000, delay=20 * MILLISECOND, queue_octets=200_000, mark_octets=50_000)
    marked, plain = share([CUBIC] * 8, marking, 6, ecn=True), share([CUBIC] * 8, marking, 6)
    assert marked.dropped == 0
    assert marked.marked > 0
    assert marked.used > 0.9
    assert marked.queue < 10 < plain.queue
    assert plain.marked == 0
    assert plain.dropped > 0


@compiled_only
@FAMILIES
def test_reordering_is_no_loss(family: int) -> None:
    """Every twentieth segment 10 ms late: RACK waits a little. Three duplicates of RFC 5681 would not have."""
    late = Impairment(
        LINE.rate, 0, LINE.delay, queue_octets=LINE.queue_octets, reorder=50_000, reorder_delay=60_000_000
    )
    rack = outcome(Condition("late", late), CUBIC, family)
    plain = outcome(Condition("late", late, sack=False), CUBIC, family)
    assert rack.goodput > 0.8 * FULL
    assert rack.goodput > 1.3 * plain.goodput


@compiled_only
@CONTROLS
def test_lost_acknowledgements_do_not_matter(congestion: int) -> None:
    few = Impairment(delay=BACK.delay, loss=300_000)
    assert outcome(Condition("ACKs", LINE, few), congestion).goodput > 0.95 * FULL


@compiled_only
@CONTROLS
def test_a_needless_time_out_is_undone(congestion: int) -> None:
    """The round trip becomes 20 times as long at once: one segment is sent again (RFC 5682, 3522), no window lost."""
    with Transfers(congestion, buffers=8 << 20) as transfers:
        wire = transfers.wire(LINE, BACK)
        flow = transfers.flow(wire, 6)
        transfers.run(10)
        resent, cwnd = transfers.counter("RetransSegs"), flow.tcb.cwnd
        transfers.change(wire, delay=1000 * MILLISECOND)
        transfers.run(4)
        assert transfers.counter("TCPTimeouts") == 1
        assert transfers.counter("RetransSegs") - resent <= 2
        assert congestion == BBR or flow.tcb.cwnd >= cwnd  # BBR looks for the least RTT anew


@compiled_only
@CONTROLS
def test_an_outage_ends_for_the_connection_too(congestion: int) -> None:
    """Five seconds without anything: the next time-out finds the path again, and soon the line is full."""
    with Transfers(congestion, buffers=8 << 20) as transfers:
        wire = transfers.wire(LINE, BACK)
        flow = transfers.flow(wire)
        transfers.run(10)
        transfers.change(wire, loss=1_000_000)
        transfers.run(5)
        transfers.change(wire, loss=0)
        transfers.run(10)  # back-off has led to time-outs at 0.3, 0.9, 2.1, 4.5 and 9.3 s
        before = flow.octets
        transfers.run(2)
        assert (flow.octets - before) / 2000 > 0.9 * FULL


@compiled_only
def test_bbr_leaves_a_deep_queue_empty() -> None:
    """Bufferbloat: ten times the bandwidth-delay product, one second of queue. CUBIC fills it, BBR does not."""
    deep = Condition("deep", replace(LINE, queue_octets=2_500_000))
    model, cubic = outcome(deep, BBR), outcome(deep, CUBIC)
    assert min(model.goodput, cubic.goodput) > 0.94 * FULL
    assert model.queue < 20
    assert cubic.queue > 500


@CONTROLS
def test_a_window_of_one_segment_is_acknowledged_at_once(congestion: int) -> None:
    """Quick acknowledgements: slow start from one segment doubles each 100 ms, and no delayed ACK is in its way."""
    with Transfers(congestion) as transfers:
        for host in (transfers.left, transfers.right):
            tcp_of(host.worker).initial_window = 1
        flow = transfers.flow(transfers.wire(Impairment(rate=100_000_000, delay=50 * MILLISECOND)))
        transfers.run(0.1 + 0.395)
        assert flow.octets >= 1448 * (1 + 2 + 4)
        assert flow.octets <= 1448 * (1 + 3 + 9 + 27)
