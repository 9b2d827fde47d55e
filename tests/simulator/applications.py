"""What runs on simulated hosts, compiled. Called after each turn of the host, at the same virtual time."""

from __future__ import annotations

from pronghorn.compiled import View, copy, hot, leaf, u32, u64
from pronghorn.state.packets import finish, originate
from pronghorn.state.port import TRANSMIT_BURST
from pronghorn.state.transmit import transmit
from pronghorn.state.worker import Worker, wake_at
from tests.simulator.flows import FINISHED, IDLE, WORKED, Flows, flows_run

__all__ = ["FINISHED", "FLOWS", "IDLE", "NONE", "SOURCE", "WORKED", "Source", "applications"]

NONE, SOURCE, FLOWS = range(3)
"""SimHost.application."""


class Source(View, align=64):
    """Sends one frame again and again."""

    next: u64  # ns: when the next one is sent
    interval: u64  # ns
    remaining: u64  # frames still to send
    sent: u64
    frame: u64  # address of the octets
    octets: u32
    port: u32


@leaf
def applications(worker: Worker, kind: int, record: int) -> int:
    """Let the application have its way at worker.now; returns IDLE, WORKED or FINISHED."""
    if kind == FLOWS:
        return flows_run(worker, Flows(record))
    if kind == SOURCE:
        return source(worker, Source(record))
    return IDLE


@hot
def source(worker: Worker, own: Source) -> int:
    """Send what is due, half a transmit burst at a time."""
    queue, work = worker.queues[own.port], IDLE
    while own.remaining > 0 and own.next <= worker.now and queue.waiting < TRANSMIT_BURST // 2:
        packet = originate(worker)
        if packet.address == 0:
            break
        copy(packet.data, own.frame, own.octets)
        packet.length = own.octets
        finish(worker, packet, transmit(worker, packet, own.port))
        own.next += own.interval
        own.remaining -= 1
        own.sent += 1
        work = WORKED
    if own.remaining > 0:
        wake_at(worker, own.next)
    return work
