"""Segments with data, counted for TCP_INFO in what its streams have to spare: modulo 2**24.

`tcb.receive` counts those that came, `tcb.send` those that went, again and again counted.
"""

from __future__ import annotations

from pronghorn.compiled import leaf
from pronghorn.memory.stream import Stream

_LOW = 1 << 16


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
