"""The question that SIOCATMARK is on Linux: a socket call of its own, as it has no number among the options."""

from __future__ import annotations

from pronghorn.compiled import entry
from pronghorn.state.endpoints import endpoints_of, socket_number
from pronghorn.state.worker import Worker
from pronghorn.tcp.calls import tcp_at_mark


@entry
def at_mark(worker: Worker, handle: int) -> int:
    """Whether the next octet of the stream is the urgent one: 1 or 0."""
    number = socket_number(endpoints_of(worker), handle)
    return number if number < 0 else tcp_at_mark(worker, number)
