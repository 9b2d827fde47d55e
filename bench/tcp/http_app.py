"""A minimal HTTP/1.1 server, called between turns: accepts, reads to the end of a request, sends a fixed response.

It is written as a server on epoll is: edge-triggered events, one receive for what is there, one send. A request ends
with an empty line, wherever the pieces of it begin; `Socket.user` keeps how much of the end has been seen. There are
two listeners: connections to the second are closed after the response, as for `Connection: close`.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, copy, fixed, hot, leaf, load8, load32, u8, u32, u64
from pronghorn.state.endpoints import (
    EAGAIN,
    EDGE,
    ENDED,
    READABLE,
    Address,
    Endpoints,
    endpoints_of,
    socket_ready,
    socket_watch,
)
from pronghorn.state.worker import Worker
from pronghorn.tcp.calls import tcp_accept, tcp_close, tcp_receive, tcp_send

BUFFER = 4096
CR, LF = 13, 10
EACH = 0x0101_0101  # times an octet: that octet in each place of a word
ENDING = 4  # octets of CR LF CR LF
CLOSING = 8  # in Socket.user: close after the response

BODY = b"Hello from a stack in Python, compiled. Sixty-four octets here.\n"
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: pronghorn\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
)


class HttpApp(View, align=64):
    """The server's state."""

    listener: u32  # number of the listening socket
    closing: u32  # of the one for one request per connection
    response_octets: u32
    unused: u32
    accepted: u64
    requests: u64
    ended: u64  # connections that the other side ended
    failed: u64  # calls that returned an unexpected error
    response: Array[u8] = fixed(256, align=64)
    buffer: Array[u8] = fixed(BUFFER, align=64)


@hot
def http_step(worker: Worker, app: HttpApp) -> None:
    """Everything that is ready, once."""
    endpoints = endpoints_of(worker)
    for _ in range(endpoints.ready_count):
        number = socket_ready(endpoints)
        if number < 0:
            return
        if number == app.listener:
            _accept(worker, endpoints, app, number, 0)
        elif number == app.closing:
            _accept(worker, endpoints, app, number, CLOSING)
        else:
            _serve(worker, endpoints, app, number)


@hot
def _accept(worker: Worker, endpoints: Endpoints, app: HttpApp, listener: int, closing: int) -> None:
    number = tcp_accept(worker, listener, Address(0))
    while number >= 0:
        app.accepted += 1
        endpoints.sockets[number].user = closing
        socket_watch(endpoints, number, READABLE | ENDED, EDGE)
        number = tcp_accept(worker, listener, Address(0))
    if number != -EAGAIN:
        app.failed += 1


@hot
def _serve(worker: Worker, endpoints: Endpoints, app: HttpApp, number: int) -> None:
    """Read what is there; a response for every request that it completes."""
    got = BUFFER
    while got == BUFFER:  # a full buffer: there may be more
        got = tcp_receive(worker, number, app.buffer.address, BUFFER, 0)
        if got <= 0:
            if got != -EAGAIN:
                app.ended += 1
                tcp_close(worker, number)
            return
        socket = endpoints.sockets[number]
        closing, place = socket.user & CLOSING, 0
        while place < got:
            place, seen = find_end(app.buffer.address, place, got, socket.user & ~CLOSING)
            socket.user = closing | seen
            if seen != ENDING:
                break
            socket.user = closing
            app.requests += 1
            if tcp_send(worker, number, app.response.address, app.response_octets, 0) != app.response_octets:
                app.failed += 1
            if closing != 0:
                tcp_close(worker, number)
                return


@leaf
def find_end(address: int, place: int, octets: int, seen: int) -> tuple[int, int]:
    """Look for an empty line from `place` on, `seen` octets of it having come before.

    Returns the place after what was looked at, and how much of an empty line ends there: ENDING if it is there.
    """
    while seen > 0 and seen < ENDING and place < octets:
        octet = load8(address + place)
        if octet == (CR if seen & 1 == 0 else LF):
            seen += 1
            place += 1
        else:
            seen = 0
    if seen > 0:
        return place, seen
    at = place
    while at + 4 <= octets:  # by words; most have no line feed
        word = load32(address + at) ^ LF * EACH
        if (word - EACH) & ~word & 0x80 * EACH != 0:
            for last in range(at, at + 4):
                if _ends(address, place, last):
                    return last + 1, ENDING
        at += 4
    for last in range(at, octets):
        if _ends(address, place, last):
            return last + 1, ENDING
    return octets, _suffix(address, place, octets)


@leaf
def _ends(address: int, place: int, last: int) -> bool:
    """Whether an empty line that begins at `place` or later ends with the octet `last`."""
    if last - place < ENDING - 1 or load8(address + last) != LF or load8(address + last - 1) != CR:
        return False
    return _suffix(address, place, last - 1) == 2


@leaf
def _suffix(address: int, begin: int, octets: int) -> int:
    """How many octets of CR LF CR stand at the end of the octets from `begin` on: 0 to 3."""
    left = octets - begin
    if left >= 2 and load8(address + octets - 2) == CR and load8(address + octets - 1) == LF:
        return 2
    if left < 1 or load8(address + octets - 1) != CR:
        return 0
    return 3 if left >= 3 and load8(address + octets - 3) == CR and load8(address + octets - 2) == LF else 1


@hot
def http_begin(app: HttpApp, listener: int, closing: int, response: int, octets: int) -> None:
    """Fill in the record; `response` is the address of the text."""
    app.listener, app.closing, app.response_octets = listener, closing, octets
    copy(app.response.address, response, octets)
