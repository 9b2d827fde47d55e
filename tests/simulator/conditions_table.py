"""What paths do besides losing: reordering, duplicates, lost acknowledgements, slow ways back, changes, deep queues.

A line of 20 Mbit/s with a queue of one bandwidth-delay product, a round trip of 100 ms, one flow of each congestion
control for 30 s; what changes does so after ten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pronghorn.ports.wire_port import Impairment
from pronghorn.tcp.congestion import CONGESTION, CUBIC
from tests.simulator.network import MILLISECOND, Link
from tests.simulator.transfers import Transfers

LINE = Impairment(rate=20_000_000, delay=50 * MILLISECOND, queue_octets=250_000)
BACK = Impairment(delay=50 * MILLISECOND)
SECONDS, CHANGE = 30, 10
SAMPLE = 0.02


@dataclass(frozen=True)
class Condition:
    """A path: both ways of it, and what happens after ten seconds."""

    name: str
    there: Impairment = LINE
    back: Impairment = BACK
    change: Callable[[Transfers, Link], None] | None = None
    sack: bool = True


def _slower(transfers: Transfers, link: Link) -> None:
    transfers.change(link, delay=1000 * MILLISECOND)


def _faster(transfers: Transfers, link: Link) -> None:
    transfers.change(link, delay=10 * MILLISECOND)


def _outage(transfers: Transfers, link: Link) -> None:
    transfers.change(link, loss=1_000_000)
    transfers.run(5)
    transfers.change(link, loss=0)


LATE = replace(LINE, reorder=50_000, reorder_delay=LINE.delay + 10 * MILLISECOND)
CONDITIONS = (
    Condition("nothing"),
    Condition("5 % of segments 10 ms late", LATE),
    Condition("the same, without SACK", LATE, sack=False),
    Condition("delay spread over 20 ms", replace(LINE, jitter=10 * MILLISECOND)),
    Condition("5 % of segments twice", replace(LINE, duplicate=50_000)),
    Condition("1 % of frames damaged", replace(LINE, corrupt=10_000)),
    Condition("losses in bursts, 1 % in all", replace(LINE, burst_begin=2_000, burst_end=200_000)),
    Condition("30 % of ACKs lost", LINE, replace(BACK, loss=300_000)),
    Condition("way back of 200 kbit/s", LINE, replace(BACK, rate=200_000, queue_octets=10_000)),
    Condition("round trip 100 ms, then 2 s", change=_slower),
    Condition("round trip 100, then 20 ms", change=_faster),
    Condition("nothing passes for 5 s", change=_outage),
    Condition("a queue of ten BDP", replace(LINE, queue_octets=2_500_000)),
)


@dataclass
class Outcome:
    """What became of one flow."""

    goodput: float  # kB/s
    resent: int
    dropped: int  # by the queue
    timeouts: int
    undone: int
    queue: float  # ms, mean


def outcome(condition: Condition, congestion: int = CUBIC, family: int = 4) -> Outcome:
    """Run it."""
    with Transfers(congestion, buffers=8 << 20, sack=condition.sack) as transfers:
        wire = transfers.wire(condition.there, condition.back)
        lane = wire.lanes[0]
        flow = transfers.flow(wire, family)
        begin, waited, looks, changed = transfers.network.now, 0, 0, condition.change is None
        while transfers.network.now < begin + SECONDS * 1_000_000_000:
            if not changed and transfers.network.now >= begin + CHANGE * 1_000_000_000:
                changed = True
                if condition.change is not None:
                    condition.change(transfers, wire)
            transfers.run(SAMPLE)
            waited += max(lane.busy_until - transfers.network.now, 0)
            looks += 1
        undone = ("TCPFullUndo", "TCPPartialUndo", "TCPDSACKUndo", "TCPLossUndo")
        return Outcome(
            flow.octets / SECONDS / 1000,
            transfers.counter("RetransSegs"),
            lane.dropped,
            transfers.counter("TCPTimeouts"),
            sum(transfers.counter(name) for name in undone),
            waited / looks / MILLISECOND,
        )


def conditions_table() -> str:
    """Each condition with each congestion control."""
    lines = [
        f"One flow, 20 Mbit/s (2.39 MB/s of octets), 100 ms round trip, a queue of 100 ms, {SECONDS} s, IPv6.",
        "",
        f"{'':<28} {'':<6} {'kB/s':>8} {'resent':>7} {'dropped':>8} {'time-outs':>9} {'undone':>7} {'queue':>9}",
    ]
    for condition in CONDITIONS:
        for name, congestion in CONGESTION.items():
            seen = outcome(condition, congestion, 6)
            lines.append(
                f"{condition.name:<28} {name:<6} {seen.goodput:>8.1f} {seen.resent:>7} {seen.dropped:>8}"
                f" {seen.timeouts:>9} {seen.undone:>7} {seen.queue:>6.1f} ms"
            )
    return "\n".join(lines) + "\n"
