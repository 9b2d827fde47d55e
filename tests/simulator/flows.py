"""An application that sends and receives over the engine's socket calls: many flows per host, compiled.

    LISTENER   a listening stream socket; each connection that it accepts becomes a SINK
    SENDER     a stream that sends so many octets as fast as they are taken, then ends
    PACED      a datagram socket that sends a datagram each `interval`
    SINK       reads whatever comes; of a stream, compares every octet with what a SENDER sends

Octet n of a stream is n mod 251: 251 is a prime, so what is lost, doubled or exchanged does not go unnoticed.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import Array, View, hot, leaf, same, u32, u64
from pronghorn.engine.calls import Event, accept, close_socket, ready, receive, send, watch
from pronghorn.state.endpoints import ENDED, FAILED, HUNG_UP, READABLE, WRITABLE, Address
from pronghorn.state.worker import Worker, wake_at

LISTENER, SENDER, PACED, SINK = range(1, 5)
IDLE, WORKED, FINISHED = range(3)
"""What an application returns: it waits, it did something, the run is to end."""
PERIOD = 251
CHUNK = 1 << 16
"""Octets of one send or receive."""
EVENTS = 64
BATCH = 64
"""Datagrams that a PACED flow sends, and reads or connections of one socket, per turn."""
EAGAIN, ENOBUFS = errno.EAGAIN, errno.ENOBUFS


class Flow(View, align=64):
    """One socket. Written by the application, what is wanted aside."""

    kind: u32
    error: u32  # errno that ended it
    handle: u64
    octets: u64  # sent, or received
    calls: u64  # that sent or received something: datagrams
    wanted: u64  # octets to send; 0: for ever
    interval: u64  # PACED: ns from one datagram to the next
    next: u64  # PACED: ns, when the next one goes
    size: u64  # PACED: octets of a datagram
    begun: u64  # ns: first octet sent or received
    ended: u64  # ns: last octet sent, or end of the stream received; 0: not yet
    last: u64  # ns: latest call that sent or received something
    wrong: u64  # SINK: reads whose octets were not those that a SENDER sends
    listener: u64  # SINK of a stream: number of the flow that accepted it


class Flows(View, align=64):
    """A host's flows."""

    flows: Array[Flow]
    events: Array[Event]
    pattern: u64  # address of CHUNK + PERIOD octets: what is sent
    scratch: u64  # address of CHUNK octets: what was received
    count: u32
    limit: u32
    left: u32  # flows that must end for the run to end; 0 from the start: it ends by time
    finished: u32  # 1: they have
    paced: u32  # flows 0 .. paced - 1 are PACED


@hot
def flows_run(worker: Worker, own: Flows) -> int:
    """What is ready and what is due at worker.now."""
    work = IDLE
    for index in range(own.paced):
        work = max(work, _pace(worker, own, own.flows[index]))
    for place in range(ready(worker, own.events, EVENTS)):
        event = own.events[place]
        flow = own.flows[event.user]
        if flow.kind == LISTENER:
            work = max(work, _accept(worker, own, flow, event.user))
        elif flow.kind == SINK:
            work = max(work, _read(worker, own, flow))
        elif event.events & (FAILED | HUNG_UP) != 0:
            _end(worker, own, flow, errno.ECONNRESET)
        elif flow.kind == SENDER:
            work = max(work, _write(worker, own, flow))
    if own.finished != 0:
        own.finished = 0
        return FINISHED
    return work


@hot
def _pace(worker: Worker, own: Flows, flow: Flow) -> int:
    """Send the datagrams that are due."""
    work = IDLE
    for _ in range(BATCH):
        if flow.ended != 0 or flow.next > worker.now:
            break
        result = send(worker, flow.handle, own.pattern, flow.size, 0)
        flow.next += flow.interval
        if result > 0:
            work = WORKED
            _count(worker, flow, result)
        if flow.wanted != 0 and flow.octets >= flow.wanted:
            _end(worker, own, flow, 0)
    if flow.ended == 0:
        wake_at(worker, flow.next)
    return work


@hot
def _write(worker: Worker, own: Flows, flow: Flow) -> int:
    """Send as much as the socket takes."""
    work = IDLE
    for _ in range(BATCH):
        octets = CHUNK if flow.wanted == 0 else min(CHUNK, flow.wanted - flow.octets)
        result = send(worker, flow.handle, own.pattern + flow.octets % PERIOD, octets, 0)
        if result == -EAGAIN:
            return work
        if result < 0:
            _end(worker, own, flow, -result)
            return WORKED
        work = WORKED
        _count(worker, flow, result)
        if flow.octets == flow.wanted:
            _end(worker, own, flow, 0)
            return work
    return work


@hot
def _read(worker: Worker, own: Flows, flow: Flow) -> int:
    """Take what has come."""
    work = IDLE
    for _ in range(BATCH):
        result = receive(worker, flow.handle, own.scratch, CHUNK, 0)
        if result == -EAGAIN:
            return work
        work = WORKED
        if result <= 0:
            _end(worker, own, flow, -result)
            return work
        if not same(own.scratch, own.pattern + flow.octets % PERIOD, result):
            flow.wrong += 1
        _count(worker, flow, result)
    return work


@hot
def _accept(worker: Worker, own: Flows, listener: Flow, number: int) -> int:
    """Make a SINK of each new connection. `number` is the listener's."""
    work = IDLE
    for _ in range(BATCH):
        handle = accept(worker, listener.handle, Address(0))
        if handle < 0:
            return work
        work = WORKED
        if own.count == own.limit:
            close_socket(worker, handle)
            continue
        flow = own.flows[own.count]
        flow.kind, flow.handle, flow.listener = SINK, handle, number
        watch(worker, handle, READABLE | ENDED, 0, own.count)
        own.count += 1
        listener.calls += 1
    return work


@hot
def _end(worker: Worker, own: Flows, flow: Flow, error: int) -> None:
    """The flow is over: close its socket."""
    close_socket(worker, flow.handle)
    flow.ended, flow.error = worker.now, error
    if own.left != 0:
        own.left -= 1
        own.finished = 1 if own.left == 0 else 0


@leaf
def _count(worker: Worker, flow: Flow, octets: int) -> None:
    if flow.calls == 0:
        flow.begun = worker.now
    flow.calls += 1
    flow.octets += octets
    flow.last = worker.now


WATCHED = {SENDER: WRITABLE, SINK: READABLE | ENDED, LISTENER: READABLE, PACED: 0}
"""What each kind of flow waits for."""
