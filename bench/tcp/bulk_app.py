"""One connection that carries as much as it can: a source that writes while there is room, and a sink that counts."""

from __future__ import annotations

from pronghorn.compiled import Array, View, fixed, hot, u8, u32, u64
from pronghorn.state.endpoints import (
    EAGAIN,
    EDGE,
    ENDED,
    READABLE,
    WRITABLE,
    Address,
    endpoints_of,
    socket_ready,
    socket_watch,
)
from pronghorn.state.worker import Worker
from pronghorn.tcp.calls import tcp_accept, tcp_close, tcp_receive, tcp_send

CHUNK = 1 << 17
"""Octets of a write or read: what iperf3 takes."""


class BulkApp(View, align=64):
    """State of a source or a sink."""

    listener: u32  # of a sink
    sender: u32  # of a source: number of its socket
    ended: u32
    unused: u32
    octets: u64  # that a sink has read
    failed: u64
    buffer: Array[u8] = fixed(CHUNK, align=64)


@hot
def sink_step(worker: Worker, app: BulkApp) -> None:
    """Read all there is."""
    endpoints = endpoints_of(worker)
    for _ in range(endpoints.ready_count):
        number = socket_ready(endpoints)
        if number < 0:
            return
        if number == app.listener:
            number = tcp_accept(worker, app.listener, Address(0))
            if number >= 0:
                socket_watch(endpoints, number, READABLE | ENDED, EDGE)
            continue
        got = CHUNK
        while got == CHUNK:
            got = tcp_receive(worker, number, app.buffer.address, CHUNK, 0)
            app.octets += max(got, 0)
        if got == 0:
            app.ended = 1
            tcp_close(worker, number)


@hot
def source_step(worker: Worker, app: BulkApp) -> None:
    """Write while there is room."""
    endpoints = endpoints_of(worker)
    for _ in range(endpoints.ready_count):
        number = socket_ready(endpoints)
        if number < 0:
            return
        put = CHUNK
        while put == CHUNK:
            put = tcp_send(worker, number, app.buffer.address, CHUNK, 0)
        if put < 0 and put != -EAGAIN:
            app.failed += 1
            socket_watch(endpoints, number, 0, 0)


@hot
def source_watch(worker: Worker, app: BulkApp, number: int) -> None:
    """Begin with this socket."""
    app.sender = number
    socket_watch(endpoints_of(worker), number, WRITABLE, EDGE)
