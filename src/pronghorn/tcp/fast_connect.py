"""TCP Fast Open (RFC 7413), the client's side: data in a SYN, and what the SYN-ACK says about it.

While the connection is in SYN_SENT, FAST_OPEN among `agreed` means that its SYN asks for fast open; later, that data in
a SYN was taken. A connection in SYN_SENT that has sent nothing (snd_nxt is snd_una) waits for its first octets:
TCP_FASTOPEN_CONNECT. The SYN and its data are two records of what is in flight: only the first SYN carries data and
option, later ones are plain, and what the server did not take is sent again after the handshake.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import cold, hot, leaf, sequence
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.stream import stream_put, stream_reserve
from pronghorn.state.endpoints import count, endpoints_of
from pronghorn.state.mib import ACTIVE_OPENS, FAST_OPEN_ACTIVE, FAST_OPEN_ACTIVE_FAIL, ORIG_DATA_SENT
from pronghorn.state.worker import Worker
from pronghorn.tcp.fast_cache import CLIENT_NO_COOKIE, cookie_find, cookie_learn, data_lost, data_passed, is_blocked
from pronghorn.tcp.options import announced_mss, find_path_mtu, set_mss
from pronghorn.tcp.output import emit_syn
from pronghorn.tcp.recovery import segment_sent, segments_refused
from pronghorn.tcp.tcb import FAST_OPEN, SYN_SENT, Tcb, Tcp
from pronghorn.wire import tcp as wire
from pronghorn.wire.tcp import HAS_FAST_OPEN, MSS_FLOOR

EINPROGRESS, EADDRNOTAVAIL = errno.EINPROGRESS, errno.EADDRNOTAVAIL
MASK = 0xFFFF_FFFF


@leaf
def is_deferred(tcb: Tcb) -> bool:
    """Whether the connection waits for its first octets before it sends a SYN."""
    return tcb.state == SYN_SENT and tcb.snd_nxt == tcb.snd_una


@hot
def may_send_data(worker: Worker, tcp: Tcp, tcb: Tcb) -> bool:
    """Whether a SYN to the connection's remote address may carry data."""
    place = cookie_find(worker, tcp, tcb)
    if is_blocked(worker, place):
        return False
    return tcp.fast_open & CLIENT_NO_COOKIE != 0 or (place.address != 0 and place.octets != 0)


@hot
def _room_in_syn(worker: Worker, tcp: Tcp, tcb: Tcb) -> int:
    """Octets of data that a SYN may carry, all options taken off (RFC 7413 4.2.1). Sets mss and peer_mss."""
    place = cookie_find(worker, tcp, tcb)
    known = place.mss if place.address != 0 else 0
    tcb.peer_mss = max(known, MSS_FLOOR) if known != 0 else announced_mss(tcp, tcb, find_path_mtu(worker, tcb))
    set_mss(worker, tcp, tcb)
    return max(tcb.mss - wire.OPTIONS, 0)


@cold
def send_syn_with(worker: Worker, tcp: Tcp, tcb: Tcb, data: int, octets: int) -> int:
    """The first SYN, asking for fast open, with as much as may be of the `octets` at `data`: how many that were, or
    -EINPROGRESS for none."""
    tcb.agreed |= FAST_OPEN
    taken = 0
    if octets > 0 and may_send_data(worker, tcp, tcb):
        taken = min(octets, _room_in_syn(worker, tcp, tcb))
        buddy = Buddy(endpoints_of(worker).buddy)
        if taken > 0 and stream_reserve(buddy, tcb.send, tcb.snd_end, 0, taken):
            stream_put(buddy, tcb.send, tcb.snd_end, data, taken)
            tcb.snd_end = sequence.add(tcb.snd_end, taken)
        else:
            taken = 0
    send_first_syn(worker, tcp, tcb)
    return taken if taken > 0 else -EINPROGRESS


@hot
def send_first_syn(worker: Worker, tcp: Tcp, tcb: Tcb) -> bool:
    """Send the SYN, with what is in the send ring. False: no memory."""
    if not segment_sent(worker, tcp, tcb, 1):
        return False
    fresh = tcb.snd_end - tcb.snd_nxt & MASK
    if fresh != 0 and segment_sent(worker, tcp, tcb, fresh):
        count(worker, ORIG_DATA_SENT, 1)
    count(worker, ACTIVE_OPENS, 1)
    emit_syn(worker, tcp, tcb)
    return True


@hot
def fast_open_answered(worker: Worker, tcp: Tcp, tcb: Tcb, ack: int) -> None:
    """The SYN-ACK of a SYN that asked for fast open: learn its cookie; what became of the data (RFC 7413 4.2.2)?"""
    options = tcp.options
    data = (tcb.snd_nxt - tcb.snd_una & MASK) > 1
    taken = data and ack == tcb.snd_nxt
    if options.present & HAS_FAST_OPEN != 0 and options.cookie_octets != 0:
        cookie_learn(worker, tcp, tcb, options)
    elif data and not taken and tcb.retransmits != 0:
        data_lost(worker, tcp, tcb)
    if taken:
        tcb.agreed |= FAST_OPEN
        data_passed(cookie_find(worker, tcp, tcb))
        count(worker, FAST_OPEN_ACTIVE, 1)
    elif data:
        count(worker, FAST_OPEN_ACTIVE_FAIL, 1)


@hot
def resend_refused(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """After the handshake: data of the SYN that the server did not take is sent again, which is no congestion."""
    if tcb.snd_nxt != tcb.snd_una:
        segments_refused(worker, tcb)
