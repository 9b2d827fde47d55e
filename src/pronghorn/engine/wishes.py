"""Where a socket's Wishes are: in a datagram socket's Endpoint, in a stream's Tuning."""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.state.endpoints import LISTENER, STREAM, endpoints_of
from pronghorn.state.wishes import Wishes
from pronghorn.state.worker import Worker
from pronghorn.tcp.tcb import tcp_of
from pronghorn.tcp.tuning import tuning_own
from pronghorn.udp.endpoint import endpoint_of


@leaf
def is_stream(worker: Worker, number: int) -> bool:
    """Whether the open socket is TCP's."""
    kind = endpoints_of(worker).sockets[number].kind
    return kind == STREAM or kind == LISTENER


@hot
def wishes_read(worker: Worker, number: int) -> Wishes:
    """To be looked at."""
    if is_stream(worker, number):
        return tcp_of(worker).tunings[endpoints_of(worker).sockets[number].tuning].wishes
    return endpoint_of(worker, number).wishes


@hot
def wishes_own(worker: Worker, number: int) -> Wishes:
    """To be written; address 0: there is no room for a stream's."""
    if not is_stream(worker, number):
        return endpoint_of(worker, number).wishes
    tuning = tuning_own(worker, number)
    return Wishes(tuning.wishes.address if tuning.address != 0 else 0)
