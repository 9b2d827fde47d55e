"""What time does to connections: acknowledgements that were put off, retransmission, window probes, keep-alive, and
ends that nobody answers. A bounded amount per turn.

A connection's timer is lazy (deadlines.py): here is looked which of its deadlines have passed.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, leaf, sequence
from pronghorn.memory.wheel import Wheel, wheel_advance, wheel_next
from pronghorn.state.endpoints import ANY_NUMBER, KEEP_ALIVE, count, endpoints_of
from pronghorn.state.mib import ABORT_ON_TIMEOUT, ATTEMPT_FAILS, DELAYED_ACKS, KEEP_ALIVES, WIN_PROBE
from pronghorn.state.worker import NEVER as NO_ALARM
from pronghorn.state.worker import Worker
from pronghorn.tcp.closing import abort
from pronghorn.tcp.deadlines import arm
from pronghorn.tcp.emit import emit_segment
from pronghorn.tcp.life import drop_half_open, finish_tcb, is_half_open
from pronghorn.tcp.mtu_probe import black_hole
from pronghorn.tcp.output import WINDOW_PROBE, limit_of, output, send_probe, send_range
from pronghorn.tcp.pending import look_at
from pronghorn.tcp.receive import ack_now
from pronghorn.tcp.recovery import timer_due
from pronghorn.tcp.relief import relieve
from pronghorn.tcp.sample import PROBE, RETRANSMIT, SEND
from pronghorn.tcp.tcb import (
    ACK_LATER,
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    FAST_OPEN,
    FIN_WAIT_2,
    FREE,
    MILLISECOND,
    NEVER,
    PASSIVE,
    PING_PONG,
    SECOND,
    SYN_RECEIVED,
    SYN_SENT,
    TICK,
    Tcb,
    Tcp,
    elapsed,
    moment,
)
from pronghorn.tcp.time_wait import time_wait_next, time_wait_timers
from pronghorn.wire.tcp import ACK

MASK = 0xFFFF_FFFF
BATCH = 64
ETIMEDOUT = errno.ETIMEDOUT
ORPHAN_RETRIES = 8
"""Time-outs until a connection is given up that no application holds: Linux's tcp_orphan_retries."""
SYNACK_RETRIES = 5
"""Linux's tcp_synack_retries."""
LONGEST_PROBE = 120 * SECOND
"""Between two window probes: Linux's TCP_RTO_MAX."""
HELD = MILLISECOND
"""After which a full link is looked at again, if nothing comes from its other side before."""


@hot
def tcp_timers(worker: Worker, tcp: Tcp) -> int:
    """Run what is due at worker.now. Returns 1 when there is more to do at once."""
    tick = worker.now >> TICK
    wheel = Wheel(tcp.wheel)
    more = 0
    if wheel.tick < tick:
        for place in range(wheel_advance(wheel, tick, tcp.expired, BATCH)):
            _expire(worker, tcp, tcp.tcbs[tcp.expired[place]])
        more = 1 if wheel.tick < tick else 0
    if tcp.waiting_count != 0 and time_wait_timers(worker, tcp, BATCH) == BATCH:
        more = 1
    if tcp.sweep_at != NEVER:
        relieve(worker, tcp)
    return more


@hot
def tcp_next(worker: Worker, tcp: Tcp) -> int:
    """When (ns) there is something to do, for a worker that wants to sleep; NO_ALARM when nothing is."""
    if tcp.pending_count > tcp.held.count:
        return worker.now
    when = worker.now + HELD if tcp.held.count != 0 else NO_ALARM
    wheel = Wheel(tcp.wheel)
    if wheel.count != 0:
        when = min(when, wheel_next(wheel) << TICK)
    if tcp.sweep_at != NEVER:
        when = min(when, max(tcp.sweep_at, worker.now))
    return min(when, time_wait_next(worker, tcp))


@hot
def _expire(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The connection's timer: whatever has passed is done, and the timer set for what has not."""
    if tcb.ack_at != NEVER and tcb.ack_at <= worker.now:
        tcb.ack_at = NEVER
        _put_off(worker, tcp, tcb)
    if tcb.retransmit_at != NEVER and tcb.retransmit_at <= worker.now:
        _retransmit(worker, tcp, tcb)
    if tcb.alarm_at != NEVER and tcb.alarm_at <= worker.now:
        tcb.alarm_at = NEVER
        _alarm(worker, tcp, tcb)
    if tcb.state == FREE or tcb.state == CLOSED:
        return
    if tcb.pacing_rate != 0 and tcb.paced_at != NEVER:
        if tcb.paced_at <= worker.now:
            look_at(tcp, tcb)
        else:
            arm(tcp, tcb, tcb.paced_at)
    if tcb.ack_at != NEVER:
        arm(tcp, tcb, tcb.ack_at)
    if tcb.retransmit_at != NEVER:
        arm(tcp, tcb, tcb.retransmit_at)
    if tcb.alarm_at != NEVER:
        arm(tcp, tcb, tcb.alarm_at)


@leaf
def _put_off(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """Nothing came to ride on: the acknowledgement goes alone, and the peer is not answered as fast as was thought."""
    if tcb.flags & ACK_LATER != 0:
        tcb.flags &= ~PING_PONG
        count(worker, DELAYED_ACKS, 1)
        ack_now(tcp, tcb)


# --- retransmission -----------------------------------------------------------------------------------------------


@hot
def _retransmit(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The retransmission timer, whatever it stands for."""
    if tcb.retransmit_kind == WINDOW_PROBE:
        _probe_window(worker, tcp, tcb)
        return
    if _is_given_up(tcp, tcb, worker):
        _give_up(worker, tcp, tcb)
        return
    if tcb.retransmit_kind == RETRANSMIT and tcb.state != SYN_SENT and tcb.state != SYN_RECEIVED:
        black_hole(worker, tcp, tcb, _unanswered(tcb, tcb.backoff + 1) - _unanswered(tcb, 1))
    action = timer_due(worker, tcp, tcb)
    if action == SEND:
        output(worker, tcp, tcb)
    elif action == PROBE:
        send_probe(worker, tcp, tcb)
    if tcp.tunings[tcb.tuning].user_timeout != 0 and tcb.backoff > 0:
        _clamp(worker, tcp, tcb)


@leaf
def _is_given_up(tcp: Tcp, tcb: Tcb, worker: Worker) -> bool:
    """Whether the peer has been silent for too long (RFC 9293 3.8.3, RFC 5482; Linux's counts)."""
    tuning = tcp.tunings[tcb.tuning]
    if tcb.state == SYN_SENT:
        return tcb.backoff >= tuning.syn_retries
    if tcb.state == SYN_RECEIVED:
        return tcb.backoff >= SYNACK_RETRIES + (1 if tcb.agreed & FAST_OPEN != 0 else 0)  # as Linux
    if tuning.user_timeout != 0:
        return tcb.backoff > 0 and _unanswered(tcb, tcb.backoff + 1) >= tuning.user_timeout * MILLISECOND
    if tcb.socket == ANY_NUMBER and tcb.flags & PASSIVE == 0:
        return tcb.backoff >= min(ORPHAN_RETRIES, tuning.retries)
    return tcb.backoff >= tuning.retries


@leaf
def _unanswered(tcb: Tcb, outs: int) -> int:
    """ns from the first transmission to the time-out number `outs` in a row."""
    first = tcb.rto << min(max(tcb.segments.slow - tcb.backoff, 0), 12)
    return first * ((1 << min(outs, 20)) - 1) * 1000


@leaf
def _clamp(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The next time-out is not later than TCP_USER_TIMEOUT (Linux's tcp_clamp_rto_to_user_timeout)."""
    left = tcp.tunings[tcb.tuning].user_timeout * MILLISECOND - _unanswered(tcb, tcb.backoff)
    tcb.retransmit_at = min(tcb.retransmit_at, worker.now + max(left, MILLISECOND))


@hot
def _give_up(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """Nobody answers any more."""
    count(worker, ABORT_ON_TIMEOUT, 1)
    if is_half_open(tcb):
        count(worker, ATTEMPT_FAILS, 1)
        drop_half_open(worker, tcp, tcb)
        return
    if tcb.state == SYN_SENT:
        count(worker, ATTEMPT_FAILS, 1)
    soft = tcb.segments.soft
    finish_tcb(worker, tcp, tcb, soft if soft != 0 else ETIMEDOUT)


@hot
def _probe_window(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The window has been shut: ask again, ever more seldom, for as long as the peer answers (RFC 9293 3.8.6.1).

    The probe is an empty segment that lies before the window, as Linux's is: it cannot be accepted, only answered.
    """
    fits = min(limit_of(tcb) - tcb.snd_nxt & MASK, tcb.snd_window, tcb.mss)
    if fits > 0:
        send_range(worker, tcp, tcb, fits)
        return
    tuning = tcp.tunings[tcb.tuning]
    limit = tuning.retries if tcb.socket != ANY_NUMBER else ORPHAN_RETRIES
    if tcb.probes >= limit or (
        tuning.user_timeout != 0 and tcb.probes > 0 and elapsed(moment(worker), tcb.heard) >= tuning.user_timeout
    ):
        _give_up(worker, tcp, tcb)
        return
    tcb.probes += 1
    count(worker, WIN_PROBE, 1)
    emit_segment(worker, tcp, tcb, sequence.add(tcb.snd_una, -1), 0, ACK)
    tcb.backoff = min(tcb.backoff + 1, 15)
    tcb.retransmit_at = worker.now + min(tcb.rto * 1000 << tcb.backoff, LONGEST_PROBE)


# --- alarms -------------------------------------------------------------------------------------------------------


@hot
def _alarm(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """FIN_WAIT_2 that lasts, or a connection on which nothing was heard for long."""
    if tcb.state == FIN_WAIT_2 and tcb.socket == ANY_NUMBER:
        finish_tcb(worker, tcp, tcb, 0)
        return
    if tcb.socket != ANY_NUMBER and endpoints_of(worker).sockets[tcb.socket].options & KEEP_ALIVE != 0:
        _keep_alive(worker, tcp, tcb)


@hot
def _keep_alive(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """RFC 1122 4.2.3.6: ask a silent peer whether it is still there, and end the connection when it is not."""
    if tcb.state != ESTABLISHED and tcb.state != CLOSE_WAIT and tcb.state != FIN_WAIT_2:
        return
    tuning = tcp.tunings[tcb.tuning]
    silent = elapsed(moment(worker), tcb.heard) * MILLISECOND
    idle = tuning.keep_idle * SECOND
    if silent < idle or tcb.snd_nxt != tcb.snd_una:
        tcb.probes = 0 if tcb.snd_nxt == tcb.snd_una else tcb.probes
        tcb.alarm_at = worker.now + max(idle - silent, MILLISECOND if tcb.snd_nxt == tcb.snd_una else SECOND)
        return
    if tuning.user_timeout != 0:
        over = silent >= tuning.user_timeout * MILLISECOND and tcb.probes > 0
    else:
        over = tcb.probes >= tuning.keep_count
    if over:
        count(worker, ABORT_ON_TIMEOUT, 1)
        abort(worker, tcp, tcb, ETIMEDOUT)
        return
    tcb.probes += 1
    count(worker, KEEP_ALIVES, 1)
    emit_segment(worker, tcp, tcb, sequence.add(tcb.snd_una, -1), 0, ACK)
    tcb.alarm_at = worker.now + tuning.keep_interval * SECOND


@hot
def start_keep_alive(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The option was set, or the connection with it is established."""
    tcb.alarm_at = worker.now + tcp.tunings[tcb.tuning].keep_idle * SECOND
    arm(tcp, tcb, tcb.alarm_at)
