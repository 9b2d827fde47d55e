"""What ICMP said about sockets that want to know it all: IP_RECVERR's queue, which MSG_ERRQUEUE reads (ip(7)).

    record = error_put(endpoints, number)          # the newest of socket `number`, to be filled in; address 0: no room
    record = error_first(endpoints, number)        # the oldest; address 0: there is none
    error_drop(endpoints, number)                  # it was read
    error_forget(endpoints, number)                # the socket is closed

Few sockets have any, so that the records are one table of a fixed size for all sockets of a worker, found by the
socket's number; one socket has at most EACH. When there is no room, the latest error is not kept, as in Linux. While
one waits the socket is FAILED, and its errno is the pending one.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, copy, fill, fixed, hot, leaf, u8, u16, u32, u64
from pronghorn.state.endpoints import FAILED, Endpoints, socket_event, socket_quiet

RECORDS, HEADS = 256, 64
EACH = 32
PAYLOAD = 128
"""Octets of the datagram that an error was about which are kept."""

LOCAL, ICMP, ICMP6 = 1, 2, 3
"""sock_extended_err.ee_origin (include/uapi/linux/errqueue.h)."""


class ErrorRecord(View, align=64, size=256):
    """One error. Free when `socket` is 0."""

    offender_hi: u64  # who said it
    offender_lo: u64
    to_hi: u64  # where the datagram went
    to_lo: u64
    at: u64  # worker.now
    next: u32  # number plus 1, of the same head or among the free
    socket: u32  # number plus 1
    error: u32
    info: u32  # MTU of a 'too big'
    to_port: u16
    interface: u16
    octets: u16  # of payload, that are kept
    length: u16  # that there were
    origin: u8
    type: u8
    code: u8
    family: u8  # of the packet
    payload: Array[u8] = fixed(PAYLOAD, align=64)


class Errors(View, align=64):
    """The worker's table, at Endpoints.errors."""

    count: u32
    free: u32  # number plus 1
    fresh: u32
    unused: u32
    heads: Array[u32] = fixed(HEADS, align=64)
    records: Array[ErrorRecord] = fixed(RECORDS, align=64)


_RECORDS = Errors.offset("records")


@hot
def errors_open(errors: Errors) -> None:
    """An empty table, whose memory may hold anything."""
    fill(errors.address, 0, _RECORDS)


@hot
def error_put(endpoints: Endpoints, number: int) -> ErrorRecord:
    """A new record, zero but for its place, behind the socket's others."""
    errors = Errors(endpoints.errors)
    held, last = 0, 0
    place = errors.heads[number % HEADS]
    while place != 0:
        last = place
        held += 1 if errors.records[place - 1].socket == number + 1 else 0
        place = errors.records[place - 1].next
    place = errors.free
    if held >= EACH or (place == 0 and errors.fresh == RECORDS):
        return ErrorRecord(0)
    if place != 0:
        errors.free = errors.records[place - 1].next
    else:
        errors.fresh += 1
        place = errors.fresh
    record = errors.records[place - 1]
    fill(record.address, 0, ErrorRecord.SIZE)
    record.socket = number + 1
    if last != 0:
        errors.records[last - 1].next = place
    else:
        errors.heads[number % HEADS] = place
    errors.count += 1
    return record


@hot
def error_say(endpoints: Endpoints, record: ErrorRecord, payload: int, octets: int) -> None:
    """The record is complete, but for the payload: let the application hear of it."""
    record.length = min(max(octets, 0), 0xFFFF)
    record.octets = min(record.length, PAYLOAD)
    copy(record.payload.address, payload, record.octets)
    socket_event(endpoints, record.socket - 1, FAILED)


@hot
def error_first(endpoints: Endpoints, number: int) -> ErrorRecord:
    """The socket's oldest record; address 0: it has none."""
    errors = Errors(endpoints.errors)
    if errors.count == 0:
        return ErrorRecord(0)
    place = errors.heads[number % HEADS]
    while place != 0:
        record = errors.records[place - 1]
        if record.socket == number + 1:
            return record
        place = record.next
    return ErrorRecord(0)


@hot
def error_drop(endpoints: Endpoints, number: int) -> None:
    """Forget the socket's oldest record, which there is; the pending errno is the next one's."""
    errors, head = Errors(endpoints.errors), number % HEADS
    before, place = 0, errors.heads[head]
    while errors.records[place - 1].socket != number + 1:
        before, place = place, errors.records[place - 1].next
    record = errors.records[place - 1]
    if before == 0:
        errors.heads[head] = record.next
    else:
        errors.records[before - 1].next = record.next
    record.socket, record.next = 0, errors.free
    errors.free = place
    errors.count -= 1
    following = error_first(endpoints, number)
    endpoints.sockets[number].error = following.error if following.address != 0 else 0
    if following.address == 0:
        socket_quiet(endpoints, number, FAILED)


@hot
def error_forget(endpoints: Endpoints, number: int) -> None:
    """Forget all of the socket's."""
    while error_first(endpoints, number).address != 0:
        error_drop(endpoints, number)


@leaf
def error_taken(endpoints: Endpoints, number: int) -> int:
    """The pending errno, which the application thereby has; 0: none. Records in the queue stay, and so does FAILED."""
    error = endpoints.sockets[number].error
    if error != 0:
        endpoints.sockets[number].error = 0
        if Errors(endpoints.errors).count == 0 or error_first(endpoints, number).address == 0:
            socket_quiet(endpoints, number, FAILED)
    return error
