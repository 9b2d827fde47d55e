"""What the engine of this build shows of its own TCP and UDP endpoints, as views.

The compiled side copies what is wanted, piece by piece, while the workers go on (tcp/show.py, udp/show.py); here the
copies are read. A million connections are a few calls of some milliseconds, and no more rows than were asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pronghorn.compiled import Array, fill, sequence
from pronghorn.control.endpoint import Endpoint
from pronghorn.control.filter import STATES, Filter
from pronghorn.control.views import TcpView, UdpView
from pronghorn.memory.arena import Arena
from pronghorn.net.configure_routes import address_of, halves
from pronghorn.state.selection import Selection
from pronghorn.state.worker import Worker
from pronghorn.tcp.congestion import CONGESTION
from pronghorn.tcp.reduction import UNLIMITED
from pronghorn.tcp.rtt import rto_now
from pronghorn.tcp.sample import LOSS_PROBE, REORDERING, RETRANSMIT, WINDOW_PROBE
from pronghorn.tcp.show import show_connections, show_listeners, show_waiting
from pronghorn.tcp.tcb import (
    CLOSED,
    ECN,
    FAST_OPEN,
    LISTEN,
    NEVER,
    SACK,
    SCALING,
    SECOND,
    TIME_WAIT,
    TIMESTAMPS,
    Listener,
    Tcb,
    Waiting,
    in_flight,
    moment,
)
from pronghorn.tcp.window import offered, unread
from pronghorn.udp.endpoint import CONNECTED
from pronghorn.udp.endpoint import Endpoint as Datagrams
from pronghorn.udp.show import show_datagram_sockets
from pronghorn.wire.numbers import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_UDP

PAGE = 256  # rows that one call copies

RECOVERY = ("open", "disorder", "cwr", "recovery", "loss")
TIMERS = {RETRANSMIT: "on", LOSS_PROBE: "probe", REORDERING: "reorder", WINDOW_PROBE: "persist"}
OPTIONS = {TIMESTAMPS: "ts", SACK: "sack", SCALING: "wscale", ECN: "ecn", FAST_OPEN: "fastopen"}
PROTOCOLS = {PROTOCOL_UDP: "udp", PROTOCOL_ICMP: "icmp", PROTOCOL_ICMPV6: "icmpv6"}

_CONTROLS = {number: name for name, number in CONGESTION.items()}


class SocketViews:
    """Reads the endpoints of an engine's workers. Its own memory, for copies, comes from the engine's arena."""

    def __init__(self, arena: Arena) -> None:
        self._selection: Selection = arena.table("show.selection", Selection, 1)[0]
        self._tcbs: Array[Tcb] = arena.table("show.tcbs", Tcb, PAGE)
        self._waitings: Array[Waiting] = arena.table("show.waitings", Waiting, PAGE)
        self._listeners: Array[Listener] = arena.table("show.listeners", Listener, PAGE)
        self._datagrams: Array[Datagrams] = arena.table("show.datagrams", Datagrams, PAGE)

    def tcp(self, workers: Sequence[Worker], wanted: Filter) -> list[TcpView]:
        """Connections, or sockets that listen; worker by worker."""
        if wanted.listening:
            return self._views(workers, wanted, show_listeners, self._listeners, _listener)
        found = self._views(workers, wanted, show_connections, self._tcbs, connection)
        rest = replace(wanted, limit=wanted.limit - len(found))
        return found + self._views(workers, rest, show_waiting, self._waitings, _waiting)

    def udp(self, workers: Sequence[Worker], wanted: Filter) -> list[UdpView]:
        """Bound datagram sockets; worker by worker."""
        return self._views(workers, wanted, show_datagram_sockets, self._datagrams, _datagrams)

    def _views(
        self, workers: Iterable[Worker], wanted: Filter, read: Any, rows: Array[Any], view: Callable[[Worker, Any], Any]
    ) -> list[Any]:
        found: list[Any] = []
        for worker in workers:
            for count in self._pages(worker, wanted, read, rows):
                found += [view(worker, rows[place]) for place in range(min(count, wanted.limit - len(found)))]
                if len(found) >= wanted.limit:
                    return found
        return found

    def _pages(self, worker: Worker, wanted: Filter, read: Any, rows: Array[Any]) -> Iterator[int]:
        """Copy page after page; how many rows each has."""
        self._select(wanted)
        while not self._selection.done and wanted.limit > 0:
            yield read(worker, self._selection, rows, min(PAGE, wanted.limit))

    def _select(self, wanted: Filter) -> None:
        selection, network = self._selection, wanted.address
        fill(selection.address, 0, Selection.SIZE)
        selection.port = wanted.port
        if not wanted.listening:
            selection.states = sum(1 << STATES.index(state) for state in set(wanted.states))
        if network is not None:
            bits = network.prefixlen + (96 if network.version == 4 else 0)
            mask = (1 << 128) - (1 << 128 - bits)
            selection.hi, selection.lo = halves(network.network_address)
            selection.mask_hi, selection.mask_lo = mask >> 64, mask & (1 << 64) - 1


def _end(hi: int, lo: int, port: int) -> str:
    return str(Endpoint(address_of(hi, lo), port))


def _own_end(family: int, hi: int, lo: int, port: int) -> str:
    """An end that may be any address, written as ss(8) does: 0.0.0.0, [::], and * for both families."""
    if hi == 0 and lo in (0, 0xFFFF_0000_0000):
        return f"{ {4: '0.0.0.0', 6: '[::]', 10: '*'}[family] }:{port}"
    return _end(hi, lo, port)


def connection(worker: Worker, tcb: Tcb) -> TcpView:
    """A connection's record, which nobody writes to any more."""
    timer, due = _timer(tcb)
    live = tcb.state != CLOSED
    return TcpView(
        family=tcb.family,
        local=_end(tcb.local_hi, tcb.local_lo, tcb.local_port),
        remote=_end(tcb.remote_hi, tcb.remote_lo, tcb.remote_port),
        state=STATES[tcb.state],
        worker=worker.index,
        receive_queue=unread(tcb),
        send_queue=tcb.snd_end - tcb.snd_una & 0xFFFF_FFFF if live else 0,
        congestion=_CONTROLS[tcb.congestion],
        recovery=RECOVERY[tcb.recovery],
        cwnd=tcb.cwnd,
        ssthresh=tcb.ssthresh if tcb.ssthresh < UNLIMITED else None,
        in_flight=max(in_flight(tcb), 0) if live else 0,
        sacked=tcb.sacked,
        lost=tcb.lost,
        mss=tcb.mss,
        srtt=(tcb.srtt >> 3) / 1000,
        rttvar=(tcb.mdev >> 2) / 1000,
        min_rtt=tcb.rtt_min / 1000,
        rto=rto_now(tcb) / 1_000_000,
        backoff=tcb.backoff,
        retransmits=tcb.retransmits,
        send_window=tcb.snd_window,
        receive_window=offered(tcb),
        receive_limit=tcb.receive_limit,
        pacing_rate=tcb.pacing_rate or None,
        timer=timer,
        timer_left=max(due - worker.now, 0) / SECOND if timer else 0.0,
        options=_options(tcb.agreed),
        octets_in=tcb.octets_in,
        octets_out=tcb.octets_out,
        segments_in=tcb.segments_in,
        segments_out=tcb.segments_out,
    )


def _timer(tcb: Tcb) -> tuple[str | None, int]:
    """What is due next, and when (ns of worker.now)."""
    due = [
        (tcb.retransmit_at, TIMERS.get(tcb.retransmit_kind, "on")),
        (tcb.ack_at, "ack"),
        (tcb.alarm_at, "alarm"),
    ]
    when, name = min(((when, name) for when, name in due if when != NEVER), default=(0, None))
    return name, when


def _waiting(worker: Worker, waiting: Waiting) -> TcpView:
    """What is left of a connection in TIME_WAIT."""
    return TcpView(
        family=waiting.family,
        local=_end(waiting.local_hi, waiting.local_lo, waiting.local_port),
        remote=_end(waiting.remote_hi, waiting.remote_lo, waiting.remote_port),
        state=STATES[TIME_WAIT],
        worker=worker.index,
        receive_queue=0,
        send_queue=0,
        receive_window=waiting.window << waiting.rcv_scale,
        timer="time-wait",
        timer_left=max(sequence.difference(waiting.until, moment(worker)), 0) / 1000,
        options=_options(waiting.agreed),
    )


def _options(agreed: int) -> tuple[str, ...]:
    return tuple(name for bit, name in OPTIONS.items() if agreed & bit)


def _listener(worker: Worker, listener: Listener) -> TcpView:
    return TcpView(
        family=listener.family,
        local=_own_end(listener.family, listener.hi, listener.lo, listener.port),
        remote=None,
        state=STATES[LISTEN],
        worker=worker.index,
        receive_queue=listener.waiting,
        send_queue=listener.backlog,
        half_open=listener.half_open,
    )


def _datagrams(worker: Worker, own: Datagrams) -> UdpView:
    return UdpView(
        protocol=PROTOCOLS[own.protocol],
        family=own.family,
        local=_own_end(own.family, own.local_hi, own.local_lo, own.local_port),
        remote=_end(own.remote_hi, own.remote_lo, own.remote_port) if own.flags & CONNECTED else None,
        worker=worker.index,
        receive_queue=own.held,
        waiting=own.waiting,
        receive_limit=own.receive_limit,
        send_limit=own.send_limit,
        drops=own.dropped,
    )
