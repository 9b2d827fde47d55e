"""How much the peer may send: the receive window (RFC 9293 3.8.6, RFC 7323 2), and its growth.

The right edge never goes back (RFC 9293 3.8.6.2.2: shrinking is discouraged), save when there is no memory for what it
permits (pressure.py), and goes on in steps worth a segment, or half of the buffer: no silly windows. With scaling the
edge is rounded up to what the peer can be told.

`receive_limit` begins small and grows with what the application reads within a round trip, as Linux's dynamic right
sizing does (Feng & Fisk 2001, tcp_rcv_space_adjust): a slow reader is never offered much. Under memory pressure it
does not grow, and four segments are offered at most (Linux's tcp_under_memory_pressure).
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, sequence
from pronghorn.state.endpoints import count
from pronghorn.state.mib import FROM_ZERO_WINDOW_ADV, TO_ZERO_WINDOW_ADV
from pronghorn.state.worker import Worker
from pronghorn.tcp.tcb import SCALING, Tcb, Tcp, elapsed, stamp
from pronghorn.wire.tcp import SYN

LARGEST = 65535
MASK = 0xFFFF_FFFF


@leaf
def unread(tcb: Tcb) -> int:
    """Octets in order that the application has not taken."""
    return tcb.rcv_nxt - tcb.rcv_read & MASK


@leaf
def offered(tcb: Tcb) -> int:
    """Octets that the peer may still send, as it was told."""
    return max(sequence.difference(tcb.rcv_right, tcb.rcv_nxt), 0)


@leaf
def could_offer(tcp: Tcp, tcb: Tcb) -> int:
    """Octets that there is room for."""
    limit = tcb.receive_limit
    if tcp.pressed != 0:
        limit = min(limit, 4 * tcb.rcv_mss, max(tcp.pressed, tcb.rcv_mss))
        if tcp.pressed == 1 and tcb.octets_in == 0:
            return 0  # memory is left for connections that are read
    return max(limit - unread(tcb), 0)


@leaf
def worth_telling(tcb: Tcb, room: int) -> bool:
    """Whether the window has grown enough to offer more (RFC 9293 3.8.6.2.2, RFC 1122 4.2.3.3)."""
    return room - offered(tcb) >= min(tcb.receive_limit >> 1, tcb.rcv_mss)


@hot
def advertise(worker: Worker, tcp: Tcp, tcb: Tcb, flags: int) -> int:
    """The window field of a segment that acknowledges rcv_nxt; moves rcv_right."""
    before = offered(tcb)
    room = could_offer(tcp, tcb)
    if room > before and worth_telling(tcb, room):
        window = room
    else:
        window = before
    if flags & SYN != 0 or tcb.agreed & SCALING == 0:
        field = min(window, LARGEST)
        tcb.rcv_right = sequence.add(tcb.rcv_nxt, max(field, before))
        return field
    scale = tcb.rcv_scale
    field = min((window + (1 << scale) - 1) >> scale, LARGEST)
    tcb.rcv_right = sequence.add(tcb.rcv_nxt, max(field << scale, before))
    if field == 0:
        if before != 0 or tcb.rcv_acked != tcb.rcv_nxt:
            count(worker, TO_ZERO_WINDOW_ADV, 1)
    elif before == 0:
        count(worker, FROM_ZERO_WINDOW_ADV, 1)
    return field


@hot
def was_read(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The application has taken octets: once per round trip, see whether it could use more."""
    now = stamp(worker)
    if elapsed(now, tcb.drs_at) < max(tcb.srtt >> 3, 1):
        return
    taken = tcb.rcv_read - tcb.drs_from & MASK
    tcb.drs_at, tcb.drs_from = now, tcb.rcv_read
    wanted = 2 * taken + 16 * tcb.rcv_mss
    if wanted > tcb.receive_limit and tcp.pressed == 0 and tcp.tunings[tcb.tuning].fixed_buffers & 5 == 0:
        tcb.receive_limit = min(wanted, max(tcp.receive_max, tcb.receive_limit))


@leaf
def scale_for(most: int) -> int:
    """The window scale that lets a window of `most` octets be told: 0 to 14."""
    scale = 0
    while scale < 14 and LARGEST << scale < most:
        scale += 1
    return scale
