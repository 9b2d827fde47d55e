"""What TCP_INFO and `show` tell beside the state itself, in what the Tcb has to spare.

Segments with data, modulo 2**24: `tcb.receive` counts those that came, `tcb.send` those that went, again and again
counted. Duplicates that the peer has reported (Linux's dsack_dups, in segments) and times that reordering was seen
(reord_seen), up to 65,535 each: where the accept queue is linked until the connection is accepted. Before that nothing
is sent that could be reported, save the SYN.

The delivery rate (Linux's rate_delivered, rate_interval_us) is that of the last sample that the application did not
limit, or of one that it did and that was no lower.
"""

from __future__ import annotations

from pronghorn.compiled import cold, leaf
from pronghorn.memory.stream import Stream
from pronghorn.tcp.tcb import PASSIVE, Tcb

RATE_OF_APP = 1 << 31
"""In Tcb.rate_interval, which is less."""

_LOW = 1 << 16
_MOST = _LOW - 1


@leaf
def count_data(stream: Stream, segments: int) -> None:
    """So many more, 65,535 at most."""
    sum = stream.owner16 + segments
    stream.owner16 = sum
    if sum >= _LOW:
        stream.owner8 += 1


@leaf
def data_counted(stream: Stream) -> int:
    """How many there were."""
    return stream.owner8 << 16 | stream.owner16


@cold
def count_duplicates(tcb: Tcb, segments: int) -> None:
    """The peer has reported so many, by a DSACK."""
    if tcb.flags & PASSIVE == 0:
        seen = tcb.accept_next
        tcb.accept_next = seen & ~_MOST | min((seen & _MOST) + segments, _MOST)


@leaf
def duplicates_reported(tcb: Tcb) -> int:
    """How many it has reported."""
    return tcb.accept_next & _MOST if tcb.flags & PASSIVE == 0 else 0


@cold
def count_reordering(tcb: Tcb) -> None:
    """An acknowledgement told that segments had arrived out of order."""
    if tcb.flags & PASSIVE == 0:
        seen = tcb.accept_next
        tcb.accept_next = min((seen >> 16) + 1, _MOST) << 16 | seen & _MOST


@leaf
def reorderings(tcb: Tcb) -> int:
    """How many did."""
    return tcb.accept_next >> 16 if tcb.flags & PASSIVE == 0 else 0


@leaf
def note_rate(tcb: Tcb, octets: int, interval: int, limited: bool) -> None:
    """A sample: `octets` were delivered in `interval` us, 1 to 2**31 - 1."""
    if limited:
        best = tcb.rate_interval & ~RATE_OF_APP
        if octets * best < tcb.rate_octets * interval:
            return
        interval |= RATE_OF_APP
    tcb.rate_octets, tcb.rate_interval = octets, interval
