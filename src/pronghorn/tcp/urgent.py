"""Urgent data (RFC 9293 3.8.5, RFC 6093), as Linux has it: one octet at a time, out of the stream or, with
SO_OOBINLINE, in it.

The peer's urgent pointer is taken to lie behind the urgent octet (RFC 6093 3.1: what everybody does). Reading stops at
the mark once; the next read steps over the octet, unless it is inline. MSG_OOB reads it. A newer pointer replaces the
one before. Our own pointer lies behind the last octet that was sent with MSG_OOB, until that is acknowledged; as long,
segments are not held back and not merged.

All of it lies in a Rare record, which a connection gets with its first urgent octet. Without memory for one, urgent
data is ordinary data. Pointers that lead anywhere (WinNuke, CVE-2017-6214) are positions in the stream,
compared like others, and at most 65,535 octets ahead.
"""

from __future__ import annotations

from pronghorn.compiled import cold, hot, leaf, load8, sequence, store8
from pronghorn.state.endpoints import (
    ANY_NUMBER,
    EAGAIN,
    EINVAL,
    OOB_INLINE,
    URGENT,
    endpoints_of,
    socket_event,
    socket_quiet,
)
from pronghorn.state.worker import Worker
from pronghorn.tcp.rare import rare_of, rare_take
from pronghorn.tcp.records import Rare
from pronghorn.tcp.tcb import CLOSED, FIN_RECEIVED, READ_CLOSED, Tcb, Tcp
from pronghorn.wire.tcp import TCP, URG

# Rare.urgent
NONE, EXPECTED, ARRIVED, TAKEN = range(4)  # TAKEN: was read, but the stream was not, up to there
MASK = 0xFFFF_FFFF
MOST_AHEAD = 0xFFFF
MSG_PEEK, MSG_TRUNC = 2, 0x20


@leaf
def _is_inline(worker: Worker, tcb: Tcb) -> bool:
    """SO_OOBINLINE; of a connection that waits to be accepted nothing is left out yet."""
    return tcb.socket == ANY_NUMBER or endpoints_of(worker).sockets[tcb.socket].options & OOB_INLINE != 0


@leaf
def _tell(worker: Worker, tcb: Tcb, is_so: bool) -> None:
    """URGENT is so now, or no longer."""
    if tcb.socket == ANY_NUMBER:
        return
    if is_so:
        socket_event(endpoints_of(worker), tcb.socket, URGENT)
    else:
        socket_quiet(endpoints_of(worker), tcb.socket, URGENT)


# --- from the peer ------------------------------------------------------------------------------------------------


@cold
def urgent_input(worker: Worker, tcp: Tcp, tcb: Tcb, segment: TCP, payload: int, octets: int) -> None:
    """A segment with URG, or one that may bring the octet that is expected (Linux's tcp_urg)."""
    if segment.flags & URG != 0:
        _take_pointer(worker, tcp, tcb, sequence.add(segment.seq, max(segment.urgent - 1, 0)))
    rare = rare_of(tcp, tcb)
    if rare.address == 0 or rare.urgent != EXPECTED:
        return
    offset = rare.urgent_at - segment.seq & MASK
    if offset < octets:
        rare.urgent, rare.urgent_octet = ARRIVED, load8(payload + offset)
        _tell(worker, tcb, True)


@hot
def _take_pointer(worker: Worker, tcp: Tcp, tcb: Tcb, at: int) -> None:
    """The octet at this position is urgent, unless it was read already or the pointer is an old one."""
    if sequence.after(tcb.rcv_read, at) or sequence.before(at, tcb.rcv_nxt):
        return
    known = rare_of(tcp, tcb)
    if known.address != 0 and known.urgent != NONE:
        if not sequence.after(at, known.urgent_at):
            return
        if known.urgent_at == tcb.rcv_read and tcb.rcv_read != tcb.rcv_nxt and not _is_inline(worker, tcb):
            tcb.rcv_read = sequence.add(tcb.rcv_read, 1)  # the octet before, which would be read as data otherwise
    rare = rare_take(tcp, tcb)
    if rare.address != 0:
        rare.urgent, rare.urgent_at = EXPECTED, at
        _tell(worker, tcb, False)


# --- to the application -------------------------------------------------------------------------------------------


@cold
def until_mark(worker: Worker, tcp: Tcp, tcb: Tcb, waiting: int) -> tuple[int, int]:
    """Octets to pass over before reading goes on (0, or 1: the urgent one), and how many may be read then."""
    rare = rare_of(tcp, tcb)
    if rare.address == 0 or rare.urgent == NONE:
        return 0, waiting
    offset = rare.urgent_at - tcb.rcv_read & MASK
    if offset >= waiting:
        return 0, waiting
    if offset != 0:
        return 0, offset
    if _is_inline(worker, tcb):
        return 0, waiting
    return 1, waiting - 1


@leaf
def at_mark(tcp: Tcp, tcb: Tcb) -> bool:
    """Whether the next octet is the urgent one (SIOCATMARK)."""
    rare = rare_of(tcp, tcb)
    return rare.address != 0 and rare.urgent != NONE and rare.urgent_at == tcb.rcv_read


@leaf
def urgent_waits(tcp: Tcp, tcb: Tcb) -> bool:
    """Whether MSG_OOB has something to read."""
    rare = rare_of(tcp, tcb)
    return rare.address != 0 and rare.urgent == ARRIVED


@hot
def hidden_octets(worker: Worker, tcp: Tcp, tcb: Tcb) -> int:
    """1 when the next octet does not count as readable."""
    return 1 if at_mark(tcp, tcb) and not _is_inline(worker, tcb) else 0


@cold
def mark_passed(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """Something was read: was the urgent octet among it, or passed over?"""
    rare = rare_of(tcp, tcb)
    if rare.address != 0 and rare.urgent != NONE and sequence.after(tcb.rcv_read, rare.urgent_at):
        rare.urgent = NONE
        _tell(worker, tcb, False)


@cold
def receive_urgent(worker: Worker, tcp: Tcp, tcb: Tcb, data: int, octets: int, flags: int) -> int:
    """MSG_OOB: the urgent octet. -EINVAL when there is none (yes, as Linux), -EAGAIN when it is on its way."""
    rare = rare_of(tcp, tcb)
    if rare.address == 0 or rare.urgent == NONE or rare.urgent == TAKEN or _is_inline(worker, tcb):
        return -EINVAL
    if rare.urgent == ARRIVED:
        return _give(worker, tcb, rare, data, octets, flags)
    return 0 if tcb.state == CLOSED or tcb.flags & (READ_CLOSED | FIN_RECEIVED) != 0 else -EAGAIN


@hot
def _give(worker: Worker, tcb: Tcb, rare: Rare, data: int, octets: int, flags: int) -> int:
    if flags & MSG_PEEK == 0:
        rare.urgent = TAKEN
        _tell(worker, tcb, False)
    if octets <= 0:
        return 0
    if flags & MSG_TRUNC == 0:
        store8(data, rare.urgent_octet)
    return 1


# --- to the peer --------------------------------------------------------------------------------------------------


@cold
def start_urgent(tcp: Tcp, tcb: Tcb) -> bool:
    """The last octet written is urgent. False: no memory."""
    rare = rare_take(tcp, tcb)
    if rare.address == 0:
        return False
    rare.sending, rare.urgent_sent = 1, tcb.snd_end
    return True


@leaf
def is_urgent(tcp: Tcp, tcb: Tcb) -> bool:
    """Whether something urgent was not acknowledged yet: then nothing is held back."""
    return tcb.rare != 0 and _is_sending(tcp.rares[tcb.rare], tcb)


@hot
def _is_sending(rare: Rare, tcb: Tcb) -> bool:
    if rare.sending != 0 and not sequence.after(rare.urgent_sent, tcb.snd_una):
        rare.sending = 0
    return rare.sending != 0


@cold
def urgent_output(tcp: Tcp, tcb: Tcb, segment: TCP) -> None:
    """Set URG and the pointer in a segment that begins before the end of what is urgent; the checksum follows."""
    if not is_urgent(tcp, tcb):
        return
    seq, end = segment.seq, tcp.rares[tcb.rare].urgent_sent
    ahead = sequence.difference(end, seq)
    if ahead <= 0:
        return
    if ahead > MOST_AHEAD and not sequence.after(sequence.add(seq, MOST_AHEAD), tcb.snd_nxt):
        return  # too far ahead to be told yet
    segment.flags |= URG
    segment.urgent = min(ahead, MOST_AHEAD)
