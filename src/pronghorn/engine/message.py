"""recvmsg and sendmsg: octets in parts, an address, flags, and ancillary data as Linux lays it out.

    message.vector, message.count = parts, 2
    message.control, message.control_octets = address, 256
    octets = receive_message(worker, handle, message, MSG_TRUNC)     # message.flags, .control_octets: what was written

With MSG_ERRQUEUE it is the oldest of the socket's errors: the octets that ICMP quoted of what we had sent, where that
went, and a struct sock_extended_err with who said it (ip(7), IP_RECVERR). Without one: -EAGAIN.

Times are the engine's clock plus what `engine_wall` was told; a stream's octets have none. Left out: on
sending, IP_RETOPTS and the extension headers of IPv6
(-EINVAL); a stream takes no ancillary data, and ignores it as Linux does.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import Array, View, entry, hot, u32, u64
from pronghorn.engine.calls import receive_parts, send_parts
from pronghorn.engine.errors import receive_error
from pronghorn.engine.tell import tell_arrival, tell_error
from pronghorn.engine.wishes import is_stream, wishes_read
from pronghorn.state import linux
from pronghorn.state.ancillary import Control, ancillary_int
from pronghorn.state.endpoints import endpoints_of, socket_number
from pronghorn.state.error_queue import error_first
from pronghorn.state.parts import Part, parts_octets
from pronghorn.state.wishes import TELL_INQ
from pronghorn.state.worker import Worker
from pronghorn.tcp.transfer import readable, record_of
from pronghorn.udp.aside import aside_begin, aside_end
from pronghorn.udp.endpoint import endpoint_of, udp_of

EAGAIN = errno.EAGAIN


class Message(View, align=8, size=48):
    """What a call takes and gives, beside the result."""

    vector: Array[Part]
    peer: u64  # address of an Address: whence a datagram came, or where it goes; 0: nobody wants to know
    control: u64  # address of ancillary data; 0: none
    control_octets: u64  # room; receive_message writes how many octets it filled
    count: u32  # parts
    flags: u32  # written by receive_message: MSG_TRUNC, MSG_CTRUNC, MSG_ERRQUEUE
    addressed: u32  # written by receive_message: 1 when the address was
    unused: u32


@entry
def receive_message(worker: Worker, handle: int, message: Message, flags: int) -> int:
    """Take a datagram or octets of a stream, and what is known about them: octets, or -errno."""
    endpoints = endpoints_of(worker)
    number = socket_number(endpoints, handle)
    if number < 0:
        return number
    control = udp_of(worker).control
    control.at, control.left, control.truncated = message.control, message.control_octets, 0
    if message.control == 0:
        control.left = 0
    message.flags, message.addressed = 0, 0
    if flags & linux.MSG_ERRQUEUE != 0:
        done = _receive_error(worker, number, message, control)
    else:
        done = _receive(worker, number, message, control, flags)
    message.control_octets = control.at - message.control if message.control != 0 else 0
    if control.truncated != 0:
        message.flags |= linux.MSG_CTRUNC
    return done


@hot
def _receive(worker: Worker, number: int, message: Message, control: Control, flags: int) -> int:
    done = receive_parts(worker, number, message.vector, message.count, flags, message.peer)
    if done < 0:
        return done
    if is_stream(worker, number):
        if wishes_read(worker, number).bits & TELL_INQ != 0:
            tcb = record_of(worker, number)
            ancillary_int(control, linux.SOL_TCP, linux.TCP_INQ, readable(tcb) if tcb.address != 0 else 0)
        return done
    taken = udp_of(worker).taken
    room = parts_octets(message.vector, message.count)
    message.addressed = 1 if message.peer != 0 else 0
    if taken.length > room:
        message.flags |= linux.MSG_TRUNC
    tell_arrival(worker, control, endpoint_of(worker, number), taken)
    return done


@hot
def _receive_error(worker: Worker, number: int, message: Message, control: Control) -> int:
    """The oldest error."""
    endpoints = endpoints_of(worker)
    record = error_first(endpoints, number)
    if record.address == 0:
        return -EAGAIN
    room = parts_octets(message.vector, message.count)
    message.flags = linux.MSG_ERRQUEUE | (linux.MSG_TRUNC if record.length > room >= 0 else 0)
    message.addressed = 1 if message.peer != 0 else 0
    tell_error(worker, control, endpoints.sockets[number].family, record)
    return receive_error(worker, number, message.vector, message.count, message.peer)


@entry
def send_message(worker: Worker, handle: int, message: Message, flags: int) -> int:
    """Send the parts' octets, ancillary data saying how: octets taken, or -errno."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    if is_stream(worker, number) or message.control == 0 or message.control_octets == 0:
        return send_parts(worker, number, message.vector, message.count, flags, message.peer)
    endpoint = endpoint_of(worker, number)
    result = aside_begin(worker, endpoint, message.control, message.control_octets)
    if result == 0:
        result = send_parts(worker, number, message.vector, message.count, flags, message.peer)
    aside_end(worker, endpoint)
    return result


@entry
def engine_wall(worker: Worker, nanoseconds: int) -> None:
    """It is so many nanoseconds after the beginning of 1970 now, at the engine's present reading of its clock: for
    SO_TIMESTAMP. To be told again when the system's clock was set."""
    endpoints_of(worker).wall = nanoseconds - worker.now
