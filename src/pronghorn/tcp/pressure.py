"""Memory pressure: what a connection may still take when the worker's buffers run out, after Linux's tcp_mem.

    below memory_low         no pressure; one that there was ends here
    above memory_pressure    pressure begins: windows, rings and send buffers stop growing, and grow small (relief.py)
    above memory_high        nothing more is queued, save that the empty queue of a connection whose application reads,
                             or sends, takes a segment

All of the worker's Buddy counts: both directions, records of segments, and UDP's datagrams, which stay away from the
last sixteenth. A take that fails begins pressure too, however much is used: the memory may be in pieces.

Under pressure a queue may hold an eighth of what is left below memory_high (Choudhury & Hahne, "Dynamic queue length
thresholds", IEEE/ACM ToN 6:2, 1998): n queues at their limit leave 8/(n + 8) of it free, where Linux's average over all
sockets (__sk_mem_raise_allocated) has to count those that hold nothing. Never less than LEAST_RECEIVE or LEAST_SEND.

No deadlock: what lies above memory_high is there for connections that work, one segment at a time (Linux's forced
charge, which is not limited). A connection on which nothing was ever received is not known to be read; it waits with a
window of 0, so that any number of slow readers cannot stop the others. The last 64th is kept for records of segments
and for handshakes. Octets that a peer sends in vain are refused by a window of 0 (Linux 6.6): they come again as window
probes, which are answered for ever, and not as retransmissions, which are counted.
"""

from __future__ import annotations

from pronghorn.compiled import cold, hot, leaf
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.ranges import ranges_end
from pronghorn.memory.stream import stream_reserve, stream_size
from pronghorn.state.endpoints import count, endpoints_of
from pronghorn.state.mib import MEMORY_PRESSURES, RCV_Q_DROP
from pronghorn.state.worker import Worker
from pronghorn.tcp.tcb import MILLISECOND, NEVER, Tcb, Tcp

LEAST_RECEIVE = 2048
"""Octets that a receive queue may hold: the ring of one segment of Ethernet's."""
LEAST_SEND = 4096
"""Octets that a send queue may hold: Linux's tcp_wmem[0]."""
SWEEP_EVERY = 4 * MILLISECOND
"""Between two looks at some connections (relief.py)."""
MASK = 0xFFFF_FFFF


@leaf
def share(tcp: Tcp, used: int) -> int:
    """Octets that one queue may hold under pressure, when so many are in use altogether: 1 and up."""
    return max(tcp.memory_high - used >> 3, 1)


@cold
def press(worker: Worker, tcp: Tcp) -> None:
    """Memory is short: there is pressure from now on, and every connection will be looked at."""
    if tcp.pressed == 0:
        count(worker, MEMORY_PRESSURES, 1)
    tcp.pressed = share(tcp, Buddy(endpoints_of(worker).buddy).used)
    tcp.sweep_left = tcp.fresh
    if tcp.sweep_at == NEVER:
        tcp.sweep_at = worker.now + SWEEP_EVERY


@leaf
def has_reserve(buddy: Buddy) -> bool:
    """Whether a segment may be queued above memory_high."""
    return buddy.used + LEAST_RECEIVE <= buddy.limit - (buddy.limit >> 6)


@leaf
def receive_most(tcp: Tcp, tcb: Tcb, buddy: Buddy, held: int) -> int:
    """Octets that the receive queue may hold under pressure; `held`: in front of those that come."""
    least, used = max(tcb.rcv_mss, LEAST_RECEIVE), buddy.used
    if used > tcp.memory_high:
        return least if held == 0 and tcb.octets_in != 0 and has_reserve(buddy) else 0
    return max(share(tcp, used), least)


@leaf
def send_most(tcp: Tcp, tcb: Tcb, buddy: Buddy, waiting: int) -> int:
    """Octets that the send queue may hold under pressure; `waiting`: those that it holds."""
    used = buddy.used
    if used > tcp.memory_high:
        return max(tcb.mss, LEAST_RECEIVE) if waiting == 0 and has_reserve(buddy) else 0
    return max(share(tcp, used), LEAST_SEND)


@hot
def receive_room(worker: Worker, tcp: Tcp, tcb: Tcb, seq: int, octets: int) -> int:
    """Let the receive ring grow for `octets` from `seq` on: for how many of them there is room now. 0 is counted."""
    buddy = Buddy(endpoints_of(worker).buddy)
    held = seq - tcb.rcv_read & MASK
    if tcp.pressed != 0 or buddy.used > tcp.memory_pressure:
        octets = _receive_pressed(worker, tcp, tcb, held, octets)
    if octets > 0:
        kept = ranges_end(buddy, tcb.beyond, tcb.rcv_nxt) - tcb.rcv_read & MASK
        if stream_reserve(buddy, tcb.receive, tcb.rcv_read, kept, held + octets):
            return octets
        press(worker, tcp)
    _refuse(worker, tcp, tcb)
    return 0


@cold
def _receive_pressed(worker: Worker, tcp: Tcp, tcb: Tcb, held: int, octets: int) -> int:
    """For how many of the octets there is room under pressure; 0 or less: none."""
    if tcp.pressed == 0:
        press(worker, tcp)
    most = receive_most(tcp, tcb, Buddy(endpoints_of(worker).buddy), held)
    return min(octets, max(most, stream_size(tcb.receive)) - held)


@cold
def _refuse(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """There is no room for what came: the peer is told a smaller window."""
    count(worker, RCV_Q_DROP, 1)
    if tcb.beyond.count == 0:
        tcb.rcv_right = tcb.rcv_nxt
    if tcp.tunings[tcb.tuning].fixed_buffers & 5 == 0:  # it grows again with what is read
        tcb.receive_limit = min(tcb.receive_limit, max(stream_size(tcb.receive), 4 * tcb.rcv_mss))


@hot
def send_room(worker: Worker, tcp: Tcp, tcb: Tcb, waiting: int, octets: int) -> int:
    """Let the send ring, which holds `waiting`, grow for `octets` more: for how many of them there is room now."""
    buddy = Buddy(endpoints_of(worker).buddy)
    if tcp.pressed != 0 or buddy.used > tcp.memory_pressure:
        octets = _send_pressed(worker, tcp, tcb, waiting, octets)
    if octets > 0 and stream_reserve(buddy, tcb.send, tcb.snd_una, waiting, waiting + octets):
        return octets
    press(worker, tcp)
    return 0


@cold
def _send_pressed(worker: Worker, tcp: Tcp, tcb: Tcb, waiting: int, octets: int) -> int:
    """For how many of the octets there is room under pressure; 0 or less: none."""
    if tcp.pressed == 0:
        press(worker, tcp)
    most = send_most(tcp, tcb, Buddy(endpoints_of(worker).buddy), waiting)
    return min(octets, max(most, stream_size(tcb.send)) - waiting)
