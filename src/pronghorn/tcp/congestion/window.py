"""What NewReno and CUBIC share: slow start, and whether the window may grow at all."""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.tcp.sample import WINDOW_LIMITED
from pronghorn.tcp.tcb import Tcb

WINDOW_MOST = 1 << 30
"""Octets: RFC 7323's largest window."""


@leaf
def is_limited(tcb: Tcb) -> bool:
    """Whether the window was used: one that was not says nothing about the path (RFC 7661).

    In slow start half of it is enough, for it may double (Linux's tcp_is_cwnd_limited).
    """
    if tcb.cwnd < tcb.ssthresh and tcb.cwnd < 2 * tcb.segments.flight_max:
        return True
    return tcb.marks & WINDOW_LIMITED != 0


@leaf
def slow_start(tcb: Tcb, octets: int) -> int:
    """RFC 5681 3.1: cwnd grows by what was delivered, up to ssthresh. Returns the octets that are left."""
    cwnd = min(tcb.cwnd + octets, tcb.ssthresh, WINDOW_MOST)
    left = octets - (cwnd - tcb.cwnd)
    tcb.cwnd = cwnd
    return left


@hot
def grow(tcb: Tcb, word: int, amount: int) -> None:
    """Add `amount` / cwnd octets to cwnd; the remainder is kept in control word `word`. `amount` is below 2**62."""
    cwnd = max(tcb.cwnd, 1)
    amount += tcb.control[word]
    tcb.control[word] = amount % cwnd
    tcb.cwnd = min(cwnd + amount // cwnd, WINDOW_MOST)


@leaf
def least(tcb: Tcb) -> int:
    """RFC 5681 3.1: ssthresh is never below two segments."""
    return 2 * max(tcb.mss, 1)
