"""Datagram sockets for people: as tcp/show.py."""

from __future__ import annotations

from pronghorn.compiled import Array, copy, entry
from pronghorn.state.endpoints import DATAGRAM, ECHO, endpoints_of
from pronghorn.state.selection import SCAN, Selection, selects
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import BOUND, Endpoint, udp_of


@entry
def show_datagram_sockets(worker: Worker, selection: Selection, rows: Array[Endpoint], room: int) -> int:
    """Copy up to `room` bound sockets from record selection.next on; how many. selection.next says where to go on."""
    endpoints, udp, count = endpoints_of(worker), udp_of(worker), 0
    number, end = selection.next, udp.fresh
    last = min(end, number + SCAN)
    while number < last and count < room:
        endpoint = udp.endpoints[number]
        number += 1
        socket = endpoints.sockets[endpoint.socket]
        if endpoint.flags & BOUND == 0 or socket.record != endpoint.index:
            continue
        if socket.kind != DATAGRAM and socket.kind != ECHO:
            continue
        if selects(
            selection,
            endpoint.local_hi,
            endpoint.local_lo,
            endpoint.local_port,
            endpoint.remote_hi,
            endpoint.remote_lo,
            endpoint.remote_port,
        ):
            copy(rows[count].address, endpoint.address, Endpoint.SIZE)
            count += 1
    selection.next = number
    selection.done = 1 if number >= end else 0
    return count
