"""A connection goes from one engine to another that has the same address: from a parent to its forked child.

octets = give_octets(worker, handle)                 # room that the Parcel takes
give(worker, handle, target, octets)                 # the handle is closed, the peer hears nothing
handle = take(other, target, octets)                 # tcp/hand_over.py says what a Parcel holds
"""

from __future__ import annotations

from pronghorn.compiled import entry
from pronghorn.state.endpoints import endpoints_of, socket_handle, socket_number
from pronghorn.state.worker import Worker
from pronghorn.tcp.hand_over import Parcel, tcp_give, tcp_give_octets, tcp_take


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
