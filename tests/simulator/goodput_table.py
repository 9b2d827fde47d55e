"""Goodput of one flow under random loss: loss x buffers x congestion control, at a round trip of 100 ms.

The line carries 50 Mbit/s with a queue of one bandwidth-delay product: 5.98 MB/s of octets in segments of 1448.
"""

from __future__ import annotations

from pronghorn.ports.wire_port import Impairment
from pronghorn.tcp.congestion import CONGESTION
from tests.simulator.network import MILLISECOND
from tests.simulator.transfers import Transfers

LOSSES = (0, 1_000, 10_000, 30_000, 50_000, 100_000, 200_000, 300_000)
"""Parts per million, one way."""
BUFFERS = (4, 16, 64, 256, 2048)
"""KiB, both of the sender and of the receiver."""
SECONDS = 40
RATE = 50_000_000
DELAY = 50 * MILLISECOND


def cell(
    congestion: int, buffers: int, loss: int, family: int = 4, sack: bool = True, seed: int = 1, rate: int = RATE
) -> float:
    """Goodput in kB/s: what the application at the other end has read, over the time since connect."""
    with Transfers(congestion, buffers * 1024, sack=sack, seed=seed) as transfers:
        line = Impairment(rate=rate, delay=DELAY, queue_octets=rate // 80, loss=loss)
        flow = transfers.flow(transfers.wire(line), family)
        transfers.run(SECONDS)
        return flow.octets / SECONDS / 1000


def goodput_table() -> str:
    """The table; IPv4, one seed."""
    lines = [
        f"Goodput in kB/s over {SECONDS} s: 100 ms round trip, 50 Mbit/s, one flow, loss in the direction of data.",
        "",
        "          buffers  " + "".join(f"{f'{loss / 10_000:g} %':>10}" for loss in LOSSES),
    ]
    for name, congestion in CONGESTION.items():
        for buffers in BUFFERS:
            values = [cell(congestion, buffers, loss) for loss in LOSSES]
            lines.append(f"{name:<8} {buffers:>5} KiB  " + "".join(f"{value:>10.1f}" for value in values))
    return "\n".join(lines) + "\n"
