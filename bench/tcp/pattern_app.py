"""An application that checks every octet: each connection sends a known stream and compares what it receives with it.

The stream is PATTERN, over and over. Its length is a prime number above all windows, so a piece that is missing, twice
or in the wrong place does not go unnoticed, whatever ring or page it came from. A connection sends `target` octets,
ends its direction, reads to the end of the other and closes. Who listens takes any number of connections, one after
another or at once; `Socket.user` is the place of their record, plus 1.
"""

from __future__ import annotations

import random

from pronghorn.compiled import Array, View, external, fixed, hot, i32, leaf, load8, u8, u32, u64
from pronghorn.state.endpoints import (
    EAGAIN,
    ENDED,
    FAILED,
    HUNG_UP,
    READABLE,
    WRITABLE,
    Address,
    endpoints_of,
    socket_ready,
    socket_watch,
)
from pronghorn.state.worker import Worker
from pronghorn.tcp.calls import tcp_accept, tcp_close, tcp_receive, tcp_send, tcp_shutdown

PERIOD = 8_388_593
CHUNK = 1 << 17
"""Octets of a write or read."""
STREAMS = 64
"""Connections that may be open at a time."""
EMPTY, OPEN, SENT = 0, 1, 2  # Stream.state

compare = external("memcmp", (u64, u64, u64), i32)


def pattern() -> bytes:
    """PERIOD octets, and those of the beginning again: from any place in the period CHUNK octets follow."""
    octets = random.Random(9293).randbytes(PERIOD)
    return octets + octets[:CHUNK]


class Stream(View, align=64, size=64):
    """One connection."""

    state: u32
    number: u32  # of its socket
    sent: u64
    received: u64
    target: u64  # octets to send


class PatternApp(View, align=64):
    """State of the application on one worker."""

    pattern: u64  # address of the pattern
    target: u64  # octets that accepted connections send
    listener: u32  # number of the listening socket, plus 1; 0: none
    opened: u32
    ended: u32  # whose both directions have ended well
    failed: u32  # that ended otherwise
    error: u32  # errno of the latest
    unused: u32
    received: u64
    sent: u64
    wrong: u64  # octets that were not those of the stream
    streams: Array[Stream] = fixed(STREAMS, align=64)
    buffer: Array[u8] = fixed(CHUNK, align=64)


@hot
def pattern_step(worker: Worker, app: PatternApp) -> None:
    """Everything that is ready, once."""
    endpoints = endpoints_of(worker)
    for _ in range(endpoints.ready_count):
        number = socket_ready(endpoints)
        if number < 0:
            return
        if number + 1 == app.listener:
            _accept(worker, app)
            continue
        stream = app.streams[endpoints.sockets[number].user - 1]
        events = endpoints.sockets[number].events
        if stream.state == OPEN and events & (WRITABLE | FAILED) != 0:
            _write(worker, app, stream)
        if stream.state != EMPTY and events & (READABLE | ENDED | FAILED | HUNG_UP) != 0:
            _read(worker, app, stream)


@hot
def pattern_begin(worker: Worker, app: PatternApp, number: int, target: int) -> bool:
    """Let the application have a socket, which connects or is connected, and send `target` octets. False: too many."""
    place = 0
    while place < STREAMS and app.streams[place].state != EMPTY:
        place += 1
    if place == STREAMS:
        return False
    stream = app.streams[place]
    stream.state, stream.number, stream.sent, stream.received, stream.target = OPEN, number, 0, 0, target
    endpoints_of(worker).sockets[number].user = place + 1
    socket_watch(endpoints_of(worker), number, READABLE | WRITABLE | ENDED, 0)
    app.opened += 1
    return True


@hot
def _accept(worker: Worker, app: PatternApp) -> None:
    number = tcp_accept(worker, app.listener - 1, Address(0))
    while number >= 0:
        if not pattern_begin(worker, app, number, app.target):
            tcp_close(worker, number)
            app.failed += 1
        number = tcp_accept(worker, app.listener - 1, Address(0))


@hot
def _write(worker: Worker, app: PatternApp, stream: Stream) -> None:
    """As much as is taken; then the end."""
    while stream.sent < stream.target:
        most = min(CHUNK, stream.target - stream.sent)
        put = tcp_send(worker, stream.number, app.pattern + stream.sent % PERIOD, most, 0)
        if put < 0:
            if put != -EAGAIN:
                _fail(worker, app, stream, -put)
            return
        stream.sent += put
        app.sent += put
    result = tcp_shutdown(worker, stream.number, 1)
    if result < 0:
        _fail(worker, app, stream, -result)
        return
    stream.state = SENT
    socket_watch(endpoints_of(worker), stream.number, READABLE | ENDED, 0)


@hot
def _read(worker: Worker, app: PatternApp, stream: Stream) -> None:
    """Compare all there is."""
    got = CHUNK
    while got == CHUNK:
        got = tcp_receive(worker, stream.number, app.buffer.address, CHUNK, 0)
        if got > 0:
            expected = app.pattern + stream.received % PERIOD
            if compare(app.buffer.address, expected, got) != 0:
                app.wrong += _differences(app.buffer.address, expected, got)
            stream.received += got
            app.received += got
    if got == -EAGAIN or got > 0:
        return
    if got < 0 or stream.state == OPEN:
        if got < 0:
            _fail(worker, app, stream, -got)
        return  # the other side has nothing more to say; we have
    tcp_close(worker, stream.number)
    stream.state = EMPTY
    app.ended += 1


@leaf
def _differences(one: int, other: int, octets: int) -> int:
    count = 0
    for place in range(octets):
        count += 1 if load8(one + place) != load8(other + place) else 0
    return count


@hot
def _fail(worker: Worker, app: PatternApp, stream: Stream, error: int) -> None:
    tcp_close(worker, stream.number)
    stream.state = EMPTY
    app.failed += 1
    app.error = error
