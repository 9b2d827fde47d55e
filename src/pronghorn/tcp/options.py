"""What the SYNs agree on: MSS (RFC 9293 3.7.1, RFC 6691), window scale and timestamps (RFC 7323), SACK (RFC 2018),
cookies for fast open (RFC 7413), and the size of our segments that follows.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, store64
from pronghorn.net.path_mtu import path_limit
from pronghorn.net.state import net_of
from pronghorn.state.worker import Worker
from pronghorn.tcp.emit import route, timestamp_now
from pronghorn.tcp.fast_cache import offer_cookie
from pronghorn.tcp.secrets import fast_open_cookie
from pronghorn.tcp.tcb import FAST_OPEN, SACK, SCALING, SYN_RECEIVED, SYN_SENT, TIMESTAMPS, Tcb, Tcp
from pronghorn.tcp.window import scale_for
from pronghorn.wire import ipv4, ipv6
from pronghorn.wire import tcp as wire
from pronghorn.wire.tcp import HAS_FAST_OPEN, HAS_MSS, HAS_SACK_PERMITTED, HAS_TIMESTAMPS, HAS_WINDOW_SCALE, TCPOptions

DEFAULT_MSS4 = 536  # RFC 9293 3.7.1
DEFAULT_MSS6 = 1220
TIMESTAMP_OCTETS = 12
DEFAULT_MTU = 1500
OUR_COOKIE = 8
"""Octets of a fast open cookie of ours."""


@leaf
def header_octets(tcb: Tcb) -> int:
    """IP and TCP headers without options."""
    return (ipv4.HEADER if tcb.family == 4 else ipv6.HEADER) + wire.HEADER


@hot
def find_path_mtu(worker: Worker, tcb: Tcb) -> int:
    """Octets of layer 3 that the path takes, as far as known."""
    index = route(worker, tcb)
    mtu = net_of(worker).neighbours[index].mtu if index >= 0 else DEFAULT_MTU
    return min(path_limit(worker, tcb.remote_hi, tcb.remote_lo, mtu), 65535)


@hot
def syn_options(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """Fill tcp.answer for a SYN of ours: what we offer, or, in SYN_RECEIVED, what the peer has offered as well."""
    answer = tcp.answer
    index = route(worker, tcb)
    mtu = net_of(worker).neighbours[index].mtu if index >= 0 else DEFAULT_MTU
    answer.present = HAS_MSS
    answer.mss = announced_mss(tcp, tcb, min(mtu, 65535))
    offered = tcb.agreed if tcb.state == SYN_RECEIVED else offer(tcp)
    if offered & TIMESTAMPS != 0:
        answer.present |= HAS_TIMESTAMPS
        answer.timestamp, answer.echo = timestamp_now(worker, tcb), tcb.ts_recent
    if offered & SACK != 0:
        answer.present |= HAS_SACK_PERMITTED
    if offered & SCALING != 0:
        answer.present |= HAS_WINDOW_SCALE
        answer.window_scale = tcb.rcv_scale
    if tcp.cookie_due != 0:
        _give_cookie(worker, tcb, answer)
    elif tcb.state == SYN_SENT and tcb.agreed & FAST_OPEN != 0 and tcb.backoff == 0:
        offer_cookie(worker, tcp, tcb, answer)


@hot
def _give_cookie(worker: Worker, tcb: Tcb, answer: TCPOptions) -> None:
    """Put today's fast open cookie for the peer into a SYN-ACK's options."""
    store64(answer.cookie.address, fast_open_cookie(worker, tcb, 0))
    answer.cookie_octets = OUR_COOKIE
    answer.present |= HAS_FAST_OPEN


@leaf
def announced_mss(tcp: Tcp, tcb: Tcb, mtu: int) -> int:
    """The MSS option: what the interface takes, or less where the application asked for less."""
    most = mtu - header_octets(tcb)
    user = tcp.tunings[tcb.tuning].user_mss
    return min(most, user) if user != 0 else most


@leaf
def offer(tcp: Tcp) -> int:
    """What we offer in a SYN."""
    offered = TIMESTAMPS if tcp.timestamps != 0 else 0
    offered |= SACK if tcp.sack != 0 else 0
    return offered | (SCALING if tcp.window_scaling != 0 else 0)


@hot
def agree(worker: Worker, tcp: Tcp, tcb: Tcb, options: TCPOptions) -> None:
    """The peer's SYN has arrived: what both want holds. Sets agreed, scales, ts_recent, peer_mss and mss."""
    present, offered = options.present, offer(tcp)
    tcb.agreed = 0
    if present & HAS_TIMESTAMPS != 0 and offered & TIMESTAMPS != 0:
        tcb.agreed |= TIMESTAMPS
        tcb.ts_recent = options.timestamp
    if present & HAS_SACK_PERMITTED != 0 and offered & SACK != 0:
        tcb.agreed |= SACK
    if present & HAS_WINDOW_SCALE != 0 and offered & SCALING != 0:
        tcb.agreed |= SCALING
        tcb.snd_scale = options.window_scale
    else:
        tcb.snd_scale, tcb.rcv_scale = 0, 0
    default = DEFAULT_MSS4 if tcb.family == 4 else DEFAULT_MSS6
    tcb.peer_mss = options.mss if present & HAS_MSS != 0 else default
    set_mss(worker, tcp, tcb)
    tcb.rcv_mss = min(tcb.mss, DEFAULT_MSS4)


@hot
def set_mss(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """Octets of payload in a segment of ours: what the peer takes and what the path takes, less options (RFC 6691)."""
    most = min(tcb.peer_mss, find_path_mtu(worker, tcb) - header_octets(tcb))
    user = tcp.tunings[tcb.tuning].user_mss
    if user != 0:
        most = min(most, user)
    if tcb.agreed & TIMESTAMPS != 0:
        most -= TIMESTAMP_OCTETS
    tcb.mss = max(most, wire.MSS_FLOOR - TIMESTAMP_OCTETS)
    if tcb.rare != 0:
        _limit_mss(tcp, tcb)
    halve_mss(tcb)


@hot
def _limit_mss(tcp: Tcp, tcb: Tcb) -> None:
    """What is searched for (mtu_probe.py) is not more than that, and what has passed not less than what is sent."""
    rare = tcp.rares[tcb.rare]
    if rare.mtu_low != 0:
        rare.mtu_high = min(rare.mtu_high, tcb.mss)
        tcb.mss = min(rare.mtu_low, tcb.mss)


@leaf
def halve_mss(tcb: Tcb) -> None:
    """A peer that offers less than two segments gets smaller ones, so that it need not wait for its delayed
    acknowledgement each time (Linux's tcp_bound_to_half_wnd)."""
    most = tcb.snd_window_max
    if most > DEFAULT_MSS4:
        most >>= 1
    if most != 0:
        tcb.mss = min(tcb.mss, max(most, wire.MSS_FLOOR - TIMESTAMP_OCTETS))


@leaf
def our_scale(tcp: Tcp) -> int:
    """The window scale that we offer: enough for the largest buffer."""
    return scale_for(tcp.receive_max) if tcp.window_scaling != 0 else 0
