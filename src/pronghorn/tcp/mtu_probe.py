"""Finding out what the path takes without a router's word (RFC 4821), as Linux does with tcp_mtu_probing = 1.

Off unless it is asked for, as with Linux: losses alone, where they are heavy, look like a black hole.

A path that swallows large segments and says nothing (a black hole) shows as time-outs in a row. When they have lasted
for as long as three of the shortest take, segments become as short as BASE, with every further time-out half as long.
From then on the connection searches upwards: while all is well and there is enough to send, a segment is sent that
lies in the middle between the largest size that has passed and the smallest that has not (RFC 4821 7.3), and a few
ordinary ones behind it, so that its loss is noticed by SACK. Acknowledged, it is the new size. Lost, it is sent again
in pieces, and no window is reduced for it (RFC 4821 7.5). The search ends, for ten minutes, when the two are less than
PROBE_STEP octets apart.

Sizes are octets of payload. They lie in the connection's Rare record, which it has from the first black hole on;
without memory for that it does not search. Left out: probing without SACK, and tcp_mtu_probing = 2, from the start.
"""

from __future__ import annotations

from pronghorn.compiled import cold, hot, leaf, sequence
from pronghorn.state.endpoints import count
from pronghorn.state.mib import MTUP_FAIL, MTUP_SUCCESS
from pronghorn.state.worker import Worker
from pronghorn.tcp.options import TIMESTAMP_OCTETS, set_mss
from pronghorn.tcp.rare import rare_of, rare_take
from pronghorn.tcp.records import Rare
from pronghorn.tcp.tcb import DISORDER, MILLISECOND, OPEN, SACK, Tcb, Tcp, elapsed, in_flight, moment
from pronghorn.wire.tcp import MSS_FLOOR

BASE = 1024
"""Octets of payload that every path takes: Linux's tcp_base_mss."""
LEAST = MSS_FLOOR - TIMESTAMP_OCTETS
"""As small as segments ever become (options.py); Linux goes to 48."""
PATIENCE = 3_000 * MILLISECOND
"""ns of time-outs, from the first retransmission on: what tcp_retries1 = 3 comes to."""
PROBE_STEP = 8
AGAIN = 600_000
"""ms: Linux's tcp_probe_interval."""
LARGEST = 0xFFFF
WINDOW = 11
"""Segments in the congestion window, at least."""
BEHIND = 4
"""Ordinary segments that must follow a probe."""


@hot
def black_hole(worker: Worker, tcp: Tcp, tcb: Tcb, waited: int) -> None:
    """A time-out; it is `waited` ns since the first retransmission. Makes segments shorter if they vanish."""
    rare = rare_of(tcp, tcb)
    if rare.address != 0:
        rare.probe_octets = 0  # nothing can be said of a probe that was out
    if tcp.mtu_probing == 0 or waited < PATIENCE:
        return
    rare = rare_take(tcp, tcb)
    if rare.address == 0:
        return
    if rare.mtu_low == 0:
        rare.mtu_low, rare.mtu_high, rare.probed_at = BASE, LARGEST, moment(worker)
    else:
        rare.mtu_low = max(min(rare.mtu_low >> 1, BASE), LEAST)
    set_mss(worker, tcp, tcb)


@cold
def probe_octets(worker: Worker, tcp: Tcp, tcb: Tcb, waiting: int, usable: int) -> int:
    """Octets of the probe that is to be sent now; 0: none; -1: one will be, once more of what is in flight has arrived.

    `waiting`: octets that were not sent yet, `usable`: octets that the peer's window takes.
    """
    rare = tcp.rares[tcb.rare]
    low, high = rare.mtu_low, rare.mtu_high
    if low == 0 or rare.probe_octets != 0 or tcb.recovery != OPEN or tcb.agreed & SACK == 0 or tcb.beyond.count != 0:
        return 0
    if tcb.cwnd < WINDOW * tcb.mss or tcb.sacked | tcb.lost | tcb.resent != 0:
        return 0
    if high - low < PROBE_STEP:
        _begin_again(worker, tcp, tcb, rare)
        return 0
    size = (high + low) >> 1
    needed = size + BEHIND * tcb.mss
    if size <= tcb.mss or waiting < needed or usable < needed:
        return 0
    return size if tcb.cwnd - in_flight(tcb) >= size else -1


@hot
def _begin_again(worker: Worker, tcp: Tcp, tcb: Tcb, rare: Rare) -> None:
    """The search is over; after a while the path may be another."""
    now = moment(worker)
    if elapsed(now, rare.probed_at) >= AGAIN:
        rare.mtu_low, rare.mtu_high, rare.probed_at = tcb.mss, LARGEST, now
        set_mss(worker, tcp, tcb)


@leaf
def probe_sent(tcp: Tcp, tcb: Tcb, seq: int, octets: int) -> None:
    """The probe is on its way; it begins at `seq`."""
    rare = tcp.rares[tcb.rare]
    rare.probe_seq, rare.probe_octets = seq, octets


@cold
def probe_acknowledged(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """snd_una has moved: has a probe passed?"""
    rare = tcp.rares[tcb.rare]
    octets = rare.probe_octets
    if octets != 0 and not sequence.after(sequence.add(rare.probe_seq, octets), tcb.snd_una):
        count(worker, MTUP_SUCCESS, 1)
        rare.mtu_low, rare.probe_octets = octets, 0
        set_mss(worker, tcp, tcb)


@hot
def probe_lost(worker: Worker, tcp: Tcp, tcb: Tcb) -> bool:
    """Something is lost: is it the probe, and nothing before it? Then the path is not congested, but too narrow."""
    rare = rare_of(tcp, tcb)
    if rare.address == 0 or rare.probe_octets == 0 or tcb.snd_una != rare.probe_seq or tcb.recovery > DISORDER:
        return False
    count(worker, MTUP_FAIL, 1)
    rare.mtu_high, rare.probe_octets = rare.probe_octets - 1, 0
    return True
