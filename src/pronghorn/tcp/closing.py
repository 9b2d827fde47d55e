"""How a connection ends: FIN in both directions (RFC 9293 3.6), or a reset.

ESTABLISHED --close--> FIN_WAIT_1 --ack--> FIN_WAIT_2 --fin--> TIME_WAIT
                           \\--fin--> CLOSING --ack--> TIME_WAIT
ESTABLISHED --fin--> CLOSE_WAIT --close--> LAST_ACK --ack--> closed
"""

from __future__ import annotations

import errno

from pronghorn.compiled import cold, hot
from pronghorn.state.endpoints import ANY_NUMBER, HUNG_UP, WRITABLE, count, endpoints_of, socket_event
from pronghorn.state.mib import ATTEMPT_FAILS, ESTAB_RESETS
from pronghorn.state.worker import Worker
from pronghorn.tcp.deadlines import arm
from pronghorn.tcp.emit import emit_ack, emit_reset
from pronghorn.tcp.life import drop_half_open, finish_tcb, set_state
from pronghorn.tcp.output import limit_of, output
from pronghorn.tcp.receive import fin_input
from pronghorn.tcp.tcb import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FAST_OPEN,
    FIN_BEYOND,
    FIN_QUEUED,
    FIN_RECEIVED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    PASSIVE,
    SECOND,
    SYN_RECEIVED,
    Tcb,
    Tcp,
)
from pronghorn.tcp.time_wait import time_wait
from pronghorn.tcp.tuning import NO_FIN_WAIT

ECONNRESET, ECONNREFUSED, EPIPE = errno.ECONNRESET, errno.ECONNREFUSED, errno.EPIPE


@hot
def fin_acknowledged(worker: Worker, tcp: Tcp, tcb: Tcb) -> bool:
    """Our FIN was sent: has it been acknowledged now? True when the connection is over with that."""
    if tcb.snd_una != limit_of(tcb):
        return False
    if tcb.state == FIN_WAIT_1:
        set_state(worker, tcb, FIN_WAIT_2)
        if tcb.socket == ANY_NUMBER:
            start_fin_wait(worker, tcp, tcb)
    elif tcb.state == CLOSING:
        time_wait(worker, tcp, tcb)
        return True
    elif tcb.state == LAST_ACK:
        finish_tcb(worker, tcp, tcb, 0)
        return True
    return False


@hot
def start_fin_wait(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """Nobody would notice if the peer's FIN never came: give up after a while (Linux's tcp_fin_timeout)."""
    wait = tcp.tunings[tcb.tuning].fin_timeout
    tcb.alarm_at = worker.now + (wait * SECOND if wait != NO_FIN_WAIT else 0)
    arm(tcp, tcb, tcb.alarm_at)


@cold
def fin_received(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The peer's FIN is next in sequence (RFC 9293 3.10.7.4, eighth)."""
    fin_input(worker, tcp, tcb)
    tcb.flags = tcb.flags & ~FIN_BEYOND | FIN_RECEIVED
    state = tcb.state
    if state == SYN_RECEIVED or state == ESTABLISHED:
        set_state(worker, tcb, CLOSE_WAIT)
    elif state == FIN_WAIT_1:
        set_state(worker, tcb, CLOSING)
    elif state == FIN_WAIT_2:
        emit_ack(worker, tcp, tcb)
        time_wait(worker, tcp, tcb)
        return
    if tcb.flags & FIN_QUEUED != 0 and tcb.socket != ANY_NUMBER:
        socket_event(endpoints_of(worker), tcb.socket, HUNG_UP)


@cold
def reset_received(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """A valid reset (RFC 9293 3.10.7.4, second)."""
    state = tcb.state
    if state == SYN_RECEIVED and tcb.agreed & FAST_OPEN == 0:
        count(worker, ATTEMPT_FAILS, 1)
        if tcb.flags & PASSIVE != 0:
            drop_half_open(worker, tcp, tcb)
        else:
            finish_tcb(worker, tcp, tcb, ECONNREFUSED)
        return
    if state == ESTABLISHED or state == CLOSE_WAIT:
        count(worker, ESTAB_RESETS, 1)
    finish_tcb(worker, tcp, tcb, EPIPE if state == CLOSE_WAIT else ECONNRESET)


@hot
def start_closing(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The application sends no more: FIN after the last octet (RFC 9293 3.10.4)."""
    if tcb.flags & FIN_QUEUED != 0:
        return
    tcb.flags |= FIN_QUEUED
    if tcb.state == CLOSE_WAIT:
        set_state(worker, tcb, LAST_ACK)
    elif tcb.state != SYN_RECEIVED:  # whose FIN waits for the SYN to be acknowledged
        set_state(worker, tcb, FIN_WAIT_1)
    if tcb.socket != ANY_NUMBER:
        socket_event(endpoints_of(worker), tcb.socket, WRITABLE | (HUNG_UP if tcb.flags & FIN_RECEIVED != 0 else 0))
    output(worker, tcp, tcb)


@hot
def abort(worker: Worker, tcp: Tcp, tcb: Tcb, error: int) -> None:
    """End the connection by a reset (RFC 9293 3.10.5); the application hears `error`."""
    if tcb.state == CLOSED:
        return
    emit_reset(worker, tcp, tcb)
    finish_tcb(worker, tcp, tcb, error)
