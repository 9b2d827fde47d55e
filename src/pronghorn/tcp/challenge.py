"""Acknowledgements that answer what may be forged (RFC 5961 3 to 5, 7), not more of them than worth while.

Two limits: a connection sends one in CHALLENGE_INTERVAL (as Linux's tcp_invalid_ratelimit of 500 ms), and all
connections of a worker together a number that is drawn anew each second around challenge_limit (CVE-2016-5696: a limit
that is known and shared tells an outsider who guesses right).
"""

from __future__ import annotations

from pronghorn.compiled import cold
from pronghorn.state.endpoints import count
from pronghorn.state.mib import ACK_SKIPPED_CHALLENGE, CHALLENGE_ACK
from pronghorn.state.worker import Worker, random_number
from pronghorn.tcp.emit import emit_ack
from pronghorn.tcp.tcb import SECOND, Tcb, Tcp

CHALLENGE_INTERVAL = 2
"""In units of 2**18 us: about half a second."""
_UNIT = 18


@cold
def challenge(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """Acknowledge what has arrived, if neither limit forbids it."""
    now = (worker.now // 1000 >> _UNIT) & 0xFFFF
    if tcb.challenged != 0 and (now - tcb.challenged & 0xFFFF) < CHALLENGE_INTERVAL:
        count(worker, ACK_SKIPPED_CHALLENGE, 1)
        return
    if worker.now >= tcp.challenge_until:
        half = tcp.challenge_limit >> 1
        tcp.challenge_until = worker.now + SECOND
        tcp.challenge_left = half + random_number(worker) % max(tcp.challenge_limit, 1)
    if tcp.challenge_left == 0:
        count(worker, ACK_SKIPPED_CHALLENGE, 1)
        return
    tcp.challenge_left -= 1
    tcb.challenged = max(now, 1)
    count(worker, CHALLENGE_ACK, 1)
    emit_ack(worker, tcp, tcb)
