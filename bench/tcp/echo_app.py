"""An echo server and its client, called between turns; the counterpart of bench/peers/c/loopback.c.

The client keeps `connections` open and exchanges SIZE octets over each, again and again; with `closing` it closes after
one exchange and connects anew.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, fixed, hot, u8, u32, u64
from pronghorn.state.endpoints import (
    EAGAIN,
    EDGE,
    ENDED,
    READABLE,
    WRITABLE,
    Address,
    Endpoints,
    endpoints_of,
    socket_ready,
    socket_watch,
)
from pronghorn.state.worker import Worker
from pronghorn.tcp.calls import EINPROGRESS, tcp_accept, tcp_close, tcp_connect, tcp_open, tcp_receive, tcp_send

BUFFER = 4096
SIZE = 64
BURST = 32  # connections that the client begins between two turns

CONNECTING, OPEN = range(2)  # Socket.user


class EchoApp(View, align=64):
    """State of a server or a client."""

    listener: u32  # of a server
    family: u32  # of a client, 4 or 6
    connections: u32
    closing: u32
    opened: u32  # connections that were begun and are not over
    targets: u32  # of a client: so many addresses of the server from `first` on, in turn
    first: u64
    accepted: u64
    begun: u64
    exchanges: u64
    failed: u64
    server: Address
    buffer: Array[u8] = fixed(BUFFER, align=64)


@hot
def echo_server_step(worker: Worker, app: EchoApp) -> None:
    """Everything that is ready, once."""
    endpoints = endpoints_of(worker)
    for _ in range(endpoints.ready_count):
        number = socket_ready(endpoints)
        if number < 0:
            return
        if number == app.listener:
            _accept(worker, endpoints, app)
            continue
        got = tcp_receive(worker, number, app.buffer.address, BUFFER, 0)
        if got > 0:
            if tcp_send(worker, number, app.buffer.address, got, 0) != got:
                app.failed += 1
        elif got != -EAGAIN:
            tcp_close(worker, number)


@hot
def _accept(worker: Worker, endpoints: Endpoints, app: EchoApp) -> None:
    number = tcp_accept(worker, app.listener, Address(0))
    while number >= 0:
        app.accepted += 1
        socket_watch(endpoints, number, READABLE | ENDED, EDGE)
        number = tcp_accept(worker, app.listener, Address(0))


@hot
def echo_client_step(worker: Worker, app: EchoApp) -> None:
    """Connect what is missing, then everything that is ready, once."""
    endpoints = endpoints_of(worker)
    begun = 0
    while app.opened < app.connections and begun < BURST:
        _connect(worker, endpoints, app)
        begun += 1
    for _ in range(endpoints.ready_count):
        number = socket_ready(endpoints)
        if number < 0:
            return
        if endpoints.sockets[number].user == CONNECTING:
            endpoints.sockets[number].user = OPEN
            socket_watch(endpoints, number, READABLE | ENDED, EDGE)
            _ask(worker, app, number)
        else:
            _heard(worker, app, number)


@hot
def _connect(worker: Worker, endpoints: Endpoints, app: EchoApp) -> None:
    app.opened += 1
    number = tcp_open(worker, app.family)
    if number < 0:
        app.failed += 1
        app.opened -= 1
        return
    endpoints.sockets[number].user = CONNECTING
    socket_watch(endpoints, number, WRITABLE, EDGE)
    app.server.lo = app.first + app.begun % app.targets
    app.begun += 1
    if tcp_connect(worker, number, app.server) != -EINPROGRESS:
        app.failed += 1
        app.opened -= 1
        tcp_close(worker, number)


@hot
def _ask(worker: Worker, app: EchoApp, number: int) -> None:
    if tcp_send(worker, number, app.buffer.address, SIZE, 0) != SIZE:
        app.failed += 1


@hot
def _heard(worker: Worker, app: EchoApp, number: int) -> None:
    """A reply, or the end."""
    got = tcp_receive(worker, number, app.buffer.address, BUFFER, 0)
    if got == -EAGAIN:
        return
    if got != SIZE:
        app.failed += 1
        app.opened -= 1
        tcp_close(worker, number)
        return
    app.exchanges += 1
    if app.closing == 0:
        _ask(worker, app, number)
        return
    tcp_close(worker, number)
    app.opened -= 1
