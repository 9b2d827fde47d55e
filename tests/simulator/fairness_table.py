"""How flows share a bottleneck: 40 Mbit/s, a round trip of 40 ms, a queue of one bandwidth-delay product (200 kB).

Flows begin 37 ms apart; the first eight seconds do not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pronghorn.ports.wire_port import Impairment
from pronghorn.tcp.congestion import BBR, CONGESTION, CUBIC, NEWRENO
from tests.simulator.network import MILLISECOND, Link
from tests.simulator.transfers import Transfer, Transfers, jain

FLOWS = (2, 4, 8, 16, 32, 64)
FEW = (2, 8, 32)
LINE = Impairment(rate=40_000_000, delay=20 * MILLISECOND, queue_octets=200_000)
APART = 0.037
WARM_UP, SECONDS = 8, 12
SAMPLE = 0.01
"""s: how often the queue is looked at."""
NAMES = {number: name for name, number in CONGESTION.items()}


@dataclass
class Shares:
    """What each flow got, and what the line saw in the meantime."""

    octets: list[int]
    used: float  # part of the line's time, lower layers' headers included
    dropped: int
    marked: int
    queue: float  # ms, mean
    timeouts: int


def share(controls: list[int], line: Impairment = LINE, family: int = 4, ecn: bool = False) -> Shares:
    """One flow for each congestion control given, over one line."""
    with Transfers(ecn=ecn) as transfers:
        wire = transfers.wire(line)
        lane = wire.lanes[0]
        flows = _begin(transfers, wire, controls, family)
        transfers.run(WARM_UP - APART * len(controls))
        before = [flow.octets for flow in flows]
        start = lane.octets, lane.dropped, lane.marked, transfers.counter("TCPTimeouts")
        queue, looks = 0, round(SECONDS / SAMPLE)
        for _ in range(looks):
            transfers.run(SAMPLE)
            queue += max(lane.busy_until - transfers.network.now, 0)
        octets = [flow.octets - first for flow, first in zip(flows, before, strict=True)]
        whole = sum(octets) * 1514 / (1448 if family == 4 else 1428)
        return Shares(
            octets,
            whole * 8 / line.rate / SECONDS,
            lane.dropped - start[1],
            lane.marked - start[2],
            queue / looks / MILLISECOND,
            transfers.counter("TCPTimeouts") - start[3],
        )


def _row(name: str, shares: Shares) -> str:
    return (
        f"{name:<14} {len(shares.octets):>5} {jain(shares.octets):>8.3f} {shares.used:>8.1%} {shares.queue:>9.1f} ms"
        f" {shares.dropped:>8} {shares.marked:>8} {shares.timeouts:>9}"
    )


HEAD = f"{'':<14} {'flows':>5} {'Jain':>8} {'line':>8} {'queue':>12} {'dropped':>8} {'marked':>8} {'time-outs':>9}"


def fairness_table() -> str:
    """Flows of one kind; of two kinds; and with ECN."""
    lines = [
        f"Flows through 40 Mbit/s with a queue of 40 ms (one BDP), 40 ms round trip, over {SECONDS} s, IPv4.",
        "",
        HEAD,
    ]
    for name, congestion in CONGESTION.items():
        lines += [_row(name, share([congestion] * flows)) for flows in FLOWS]
    lines += ["", "The same, marked from 10 ms of queue on, ECN on both sides, IPv6.", "", HEAD]
    marking = Impairment(rate=LINE.rate, delay=LINE.delay, queue_octets=LINE.queue_octets, mark_octets=50_000)
    for congestion in (NEWRENO, CUBIC):
        lines += [_row(NAMES[congestion], share([congestion] * flows, marking, 6, ecn=True)) for flows in FEW]
    return "\n".join(lines) + "\n"


def rivals_table() -> str:
    """Half of the flows by one congestion control, half by another: what part of the octets the first half gets."""
    lines = [
        "Half of the flows by one congestion control and half by another: the first half's part of all octets.",
        "The line is that of the fairness table; its queue is one BDP, and four.",
        "",
        f"{'':<28}" + "".join(f"{flows:>8}" for flows in FEW) + "  flows",
    ]
    for depth in (1, 4):
        line = Impairment(rate=LINE.rate, delay=LINE.delay, queue_octets=depth * LINE.queue_octets)
        for one, other in ((CUBIC, NEWRENO), (BBR, NEWRENO), (BBR, CUBIC)):
            parts = []
            for flows in FEW:
                shares = share([one, other] * (flows // 2), line, 6)
                parts.append(sum(shares.octets[::2]) / sum(shares.octets))
            name = f"{NAMES[one]} beside {NAMES[other]}, {depth} BDP"
            lines.append(f"{name:<28}" + "".join(f"{part:>8.1%}" for part in parts))
    return "\n".join(lines) + "\n"


def late_table() -> str:
    """How fast shares become equal: a second flow, and eight at once."""
    lines = [
        "A second flow begins 10 s after the first: its part of the octets in the seconds after that.",
        "",
        f"{'':<10}" + "".join(f"{part:>10}" for part in ("0-5", "5-10", "10-20", "20-30", "30-40")),
    ]
    for name, congestion in CONGESTION.items():
        with Transfers(congestion) as transfers:
            wire = transfers.wire(LINE)
            flows = [transfers.flow(wire)]
            transfers.run(10)
            flows.append(transfers.flow(wire))
            parts = [period[1] / sum(period) for period in _periods(transfers, flows, (5, 5, 10, 10, 10))]
        lines.append(f"{name:<10}" + "".join(f"{part:>10.1%}" for part in parts))
    lines += [
        "",
        "Eight flows begin 37 ms apart, with a queue of four BDP: Jain's index of each ten seconds.",
        "",
        f"{'':<10}" + "".join(f"{f'{begin}-{begin + 10}':>10}" for begin in range(0, 60, 10)),
    ]
    deep = Impairment(rate=LINE.rate, delay=LINE.delay, queue_octets=4 * LINE.queue_octets)
    for name, congestion in CONGESTION.items():
        with Transfers(congestion) as transfers:
            flows = _begin(transfers, transfers.wire(deep), [congestion] * 8, 4)
            indexes = [jain(period) for period in _periods(transfers, flows, (10,) * 6)]
        lines.append(f"{name:<10}" + "".join(f"{index:>10.3f}" for index in indexes))
    return "\n".join(lines) + "\n"


def _begin(transfers: Transfers, wire: Link, controls: list[int], family: int) -> list[Transfer]:
    """One flow for each congestion control given, one after the other."""
    flows = []
    for control in controls:
        flows.append(transfers.flow(wire, family, congestion=control))
        transfers.run(APART)
    return flows


def _periods(transfers: Transfers, flows: list[Transfer], seconds: tuple[int, ...]) -> Iterator[list[int]]:
    """What each flow carries in each of the periods that follow each other."""
    for period in seconds:
        before = [flow.octets for flow in flows]
        transfers.run(period)
        yield [flow.octets - first for flow, first in zip(flows, before, strict=True)]
