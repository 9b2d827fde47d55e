"""From one engine to another that has the same address, a parent's and its forked child's: connections, datagrams.

octets = give_octets(worker, handle)                 # room that the Parcel takes
give(worker, handle, target, octets)                 # the handle is closed, the peer hears nothing
handle = take(other, target, octets)                 # tcp/hand_over.py says what a Parcel holds

octets = take_stray(worker, target, room)            # a segment that still comes here, and its connection
put_stray(other, target, octets)                     # it has come there

octets = datagram_octets(worker, handle)             # room for what waits to be read
copy_datagrams(worker, handle, target, octets)
count = datagram_count(worker, handle)
put_datagrams(other, its, target, octets, count)     # udp/hand_over.py says of what they are made
drop_datagram(worker, handle)                        # one that was read there
"""

from __future__ import annotations

import errno

from pronghorn.compiled import entry, hot
from pronghorn.engine.handle import handle
from pronghorn.state.endpoints import DATAGRAM, ECHO, endpoints_of, socket_handle, socket_number
from pronghorn.state.worker import Worker
from pronghorn.tcp.hand_over import Parcel, tcp_give, tcp_give_octets, tcp_take
from pronghorn.tcp.records import Stray
from pronghorn.tcp.strays import stray_packet, stray_take
from pronghorn.udp.endpoint import endpoint_of
from pronghorn.udp.hand_over import udp_copy, udp_drop, udp_put, udp_waiting_octets

EOPNOTSUPP, EPROTO = errno.EOPNOTSUPP, errno.EPROTO


@entry
def give_octets(worker: Worker, handle: int) -> int:
    """Octets that `give` will write if nothing comes in between; -ENOTCONN; -EAGAIN: the handshake is not over."""
    number = socket_number(endpoints_of(worker), handle)
    return number if number < 0 else tcp_give_octets(worker, number)


@entry
def give(worker: Worker, handle: int, target: int, room: int) -> int:
    """Write the connection to the address `target` and close the handle without a word to the peer: octets written."""
    number = socket_number(endpoints_of(worker), handle)
    return number if number < 0 else tcp_give(worker, number, target, room)


@entry
def take(worker: Worker, source: Parcel, octets: int) -> int:
    """The handle of the connection in the Parcel, which goes on here; -EPROTO, -EEXIST, -ENOMEM."""
    number = tcp_take(worker, source.address, octets)
    return number if number < 0 else socket_handle(endpoints_of(worker), number)


@entry
def take_stray(worker: Worker, target: int, room: int) -> int:
    """Move the oldest segment for a connection that was given away, a `Stray` and its frame, to the address `target`:
    its octets; 0: there is none; -EMSGSIZE: it was longer than the room."""
    return stray_take(worker, target, room)


@entry
def put_stray(worker: Worker, source: Stray, octets: int) -> int:
    """Handle such a segment as if it had come by the first port. Between two turns. 0; -EPROTO: it is not whole, or
    there is no packet for it."""
    packet = stray_packet(worker, source.address, octets)
    if packet.address == 0:
        return -EPROTO
    worker.received += 1
    worker.burst[0] = packet.address
    handle(worker, 1)
    return 0


# --- datagrams ----------------------------------------------------------------------------------------------------


@hot
def _datagrams(worker: Worker, handle: int) -> int:
    """The socket's number; -EOPNOTSUPP: it is no datagram socket."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    kind = endpoints_of(worker).sockets[number].kind
    return number if kind == DATAGRAM or kind == ECHO else -EOPNOTSUPP


@entry
def datagram_count(worker: Worker, handle: int) -> int:
    """How many wait to be read."""
    number = _datagrams(worker, handle)
    return number if number < 0 else endpoint_of(worker, number).waiting


@entry
def datagram_octets(worker: Worker, handle: int) -> int:
    """Octets that `copy_datagrams` writes; 0: nothing waits."""
    number = _datagrams(worker, handle)
    return number if number < 0 else udp_waiting_octets(worker, number)


@entry
def copy_datagrams(worker: Worker, handle: int, target: int, room: int) -> int:
    """Write what waits to be read to the address `target`, and leave it: how many datagrams; -EINVAL: no room."""
    number = _datagrams(worker, handle)
    return number if number < 0 else udp_copy(worker, number, target, room)


@entry
def put_datagrams(worker: Worker, handle: int, source: int, octets: int, most: int) -> int:
    """At most so many of those at the address `source` wait here, too: how many found room; -EPROTO."""
    number = _datagrams(worker, handle)
    return number if number < 0 else udp_put(worker, number, source, octets, most)


@entry
def drop_datagram(worker: Worker, handle: int) -> int:
    """The first datagram that waits is gone; -EAGAIN: there is none."""
    number = _datagrams(worker, handle)
    return number if number < 0 else udp_drop(worker, number)
