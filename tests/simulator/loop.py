"""The simulator's loop, compiled: every engine that has something to do is turned, then time jumps to the next event.

An event is what a worker asked for (worker.due: timers, applications) or a frame that arrives at one of a host's wire
ends. Hosts are looked at in their order, so equal times have one order too.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, hot, u32, u64
from pronghorn.engine.run import turn_at
from pronghorn.ports.wire import WireEnd, wire_next
from pronghorn.state.worker import NEVER, Worker
from tests.simulator.applications import FINISHED, applications

WIRES = 64
"""Wire ends that a host can have."""
TURNS = 1000
"""Turns of a host in a row at one time, before others have theirs."""
ROUNDS = 100_000
"""Rounds of all hosts at one time: more, and time stands still."""

DONE, STOPPED, STUCK = range(3)


class SimHost(View, align=64):
    """One engine."""

    workers: Array[Worker]
    ends: Array[u64]  # addresses of the WireEnds of its ports
    worker_count: u32
    end_count: u32
    application: u32  # of applications.py
    unused: u32
    record: u64  # address of the application's record


class SimLoop(View, align=64):
    """The network."""

    now: u64  # ns, virtual
    hosts: Array[SimHost]
    host_count: u32
    stop: u32  # 1: an application ends the run
    events: u64  # times at which anything happened
    turns: u64


@hot
def simulate(loop: SimLoop, until: int) -> int:
    """Everything up to and including `until`, ns. DONE; STOPPED by an application; STUCK when time stands still."""
    rounds = 0
    while loop.stop == 0:
        soonest = NEVER
        for index in range(loop.host_count):
            host = loop.hosts[index]
            if host_due(host) <= loop.now:
                _turn_host(loop, host)
        for index in range(loop.host_count):
            soonest = min(soonest, host_due(loop.hosts[index]))
        rounds = rounds + 1 if soonest <= loop.now else 0
        if rounds > ROUNDS:
            return STUCK
        if soonest > until:
            loop.now = until
            return DONE
        if soonest > loop.now:
            loop.now = soonest
            loop.events += 1
    loop.stop = 0
    return STOPPED


@hot
def host_due(host: SimHost) -> int:
    """When (ns) the host has something to do."""
    due = NEVER
    for index in range(host.worker_count):
        due = min(due, host.workers[index].due)
    for index in range(host.end_count):
        when = wire_next(WireEnd(host.ends[index]))
        if when >= 0:
            due = min(due, when)
    return due


@hot
def _turn_host(loop: SimLoop, host: SimHost) -> None:
    """Turns of the host's workers at loop.now until there is nothing left to do."""
    for _ in range(TURNS):
        work = 0
        for index in range(host.worker_count):
            work += turn_at(host.workers[index], loop.now)
        if host.application != 0:
            done = applications(host.workers[0], host.application, host.record)
            work += done
            if done == FINISHED:
                loop.stop = 1
                break
        loop.turns += host.worker_count
        if work == 0:
            return
    host.workers[0].due = loop.now  # there is more
