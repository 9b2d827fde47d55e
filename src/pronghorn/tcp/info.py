"""TCP_INFO: the connection's state in the layout of Linux's struct tcp_info (include/uapi/linux/tcp.h)."""

from __future__ import annotations

from pronghorn.compiled import View, copy, fill, hot, leaf, u8, u32, u64
from pronghorn.state.endpoints import LISTENER, Socket
from pronghorn.state.worker import Worker
from pronghorn.tcp.options import announced_mss, find_path_mtu
from pronghorn.tcp.output import limit_of
from pronghorn.tcp.rtt import rto_now
from pronghorn.tcp.statistics import RATE_OF_APP, data_counted, duplicates_reported, reorderings
from pronghorn.tcp.tcb import (
    CLOSED,
    ECN,
    FAST_OPEN,
    FIN_SENT,
    LISTEN,
    RECOVERY,
    SACK,
    SCALING,
    SYN_RECEIVED,
    SYN_SENT,
    TIMESTAMPS,
    Tcb,
    Tcp,
    elapsed,
    moment,
    stamp,
)
from pronghorn.tcp.window import could_offer, offered

# TcpInfo.options
TCPI_OPT_TIMESTAMPS, TCPI_OPT_SACK, TCPI_OPT_WSCALE, TCPI_OPT_ECN, TCPI_OPT_SYN_DATA = 1, 2, 4, 8, 32
UNLIMITED = -1
UNLIMITED_SSTHRESH = 0x7FFF_FFFF
REORDERING = 3
"""Segments: what RACK without a sign of reordering assumes (RFC 8985 6.2)."""
ATO_US = 40_000


class TcpInfo(View, align=8, size=248):
    """Linux's struct tcp_info up to tcpi_total_rto_time; us and octets where not said otherwise."""

    state: u8
    ca_state: u8
    retransmits: u8  # time-outs in a row
    probes: u8
    backoff: u8
    options: u8
    scales: u8  # snd_wscale in the low four bits, rcv_wscale in the high ones
    limited: u8  # 1: the application limited delivery_rate
    rto: u32
    ato: u32
    snd_mss: u32
    rcv_mss: u32
    unacked: u32  # segments
    sacked: u32
    lost: u32
    retrans: u32
    fackets: u32
    last_data_sent: u32  # ms ago
    last_ack_sent: u32
    last_data_recv: u32
    last_ack_recv: u32
    pmtu: u32
    rcv_ssthresh: u32
    rtt: u32
    rttvar: u32
    snd_ssthresh: u32  # segments
    snd_cwnd: u32  # segments
    advmss: u32
    reordering: u32
    rcv_rtt: u32
    rcv_space: u32
    total_retrans: u32
    pacing_rate: u64
    max_pacing_rate: u64
    bytes_acked: u64
    bytes_received: u64
    segs_out: u32
    segs_in: u32
    notsent_bytes: u32
    min_rtt: u32
    data_segs_in: u32
    data_segs_out: u32
    delivery_rate: u64
    busy_time: u64
    rwnd_limited: u64
    sndbuf_limited: u64
    delivered: u32  # segments
    delivered_ce: u32
    bytes_sent: u64
    bytes_retrans: u64
    dsack_dups: u32
    reord_seen: u32
    rcv_ooopack: u32
    snd_wnd: u32
    rcv_wnd: u32
    rehash: u32
    total_rto: u32  # 16 bits of it, and as many of total_rto_recoveries
    total_rto_time: u32


@leaf
def _segments(tcb: Tcb, octets: int) -> int:
    """So many octets in segments, the last of which may be short."""
    mss = max(tcb.mss, 1)
    return (octets + mss - 1) // mss


@hot
def write_info(worker: Worker, tcp: Tcp, tcb: Tcb, info: TcpInfo) -> None:
    """Fill `info`. What is not measured here is 0."""
    fill(info.address, 0, TcpInfo.SIZE)
    agreed = tcb.agreed
    info.state = tcb.state
    info.ca_state = tcb.recovery
    info.retransmits, info.probes = tcb.backoff, tcb.probes
    info.backoff = max(tcb.backoff, tcb.segments.slow)
    options = TCPI_OPT_TIMESTAMPS if agreed & TIMESTAMPS != 0 else 0
    options |= TCPI_OPT_SACK if agreed & SACK != 0 else 0
    options |= TCPI_OPT_WSCALE if agreed & SCALING != 0 else 0
    options |= TCPI_OPT_ECN if agreed & ECN != 0 else 0
    info.options = options | (TCPI_OPT_SYN_DATA if agreed & FAST_OPEN != 0 and tcb.state != SYN_SENT else 0)
    info.scales = tcb.snd_scale | tcb.rcv_scale << 4
    info.rto, info.ato = rto_now(tcb) // 1000, (ATO_US if tcb.octets_in != 0 else 0)
    info.snd_mss, info.rcv_mss = tcb.mss, tcb.rcv_mss
    info.unacked = _segments(tcb, tcb.snd_nxt - tcb.snd_una & 0xFFFF_FFFF)
    info.sacked, info.retrans = _segments(tcb, tcb.sacked), _segments(tcb, tcb.resent)
    again = tcb.resent if tcb.recovery >= RECOVERY else 0  # as Linux counts, what is lost is so until it arrives
    info.lost = _segments(tcb, tcb.lost + again)
    heard = elapsed(moment(worker), tcb.heard)
    info.last_data_recv, info.last_ack_recv = heard, heard
    info.last_data_sent = elapsed(stamp(worker), tcb.spoken) // 1000
    info.pmtu = find_path_mtu(worker, tcb)
    info.advmss = announced_mss(tcp, tcb, info.pmtu)
    info.rcv_ssthresh = could_offer(tcp, tcb)
    info.rtt, info.rttvar, info.min_rtt = tcb.srtt >> 3, tcb.mdev >> 2, tcb.rtt_min
    info.snd_ssthresh = _segments(tcb, tcb.ssthresh) if tcb.ssthresh < UNLIMITED_SSTHRESH else UNLIMITED_SSTHRESH
    info.reordering = REORDERING
    info.snd_cwnd = tcb.cwnd // max(tcb.mss, 1)
    info.reord_seen, info.dsack_dups, info.rcv_ooopack = reorderings(tcb), duplicates_reported(tcb), tcb.beyond_in
    info.rcv_space = tcb.receive_limit
    info.total_retrans = tcb.retransmits
    info.pacing_rate = tcb.pacing_rate if tcb.pacing_rate != 0 else UNLIMITED
    info.max_pacing_rate = UNLIMITED
    info.bytes_acked, info.bytes_received = tcb.octets_out, tcb.octets_in
    info.segs_out, info.segs_in = tcb.segments_out, tcb.segments_in
    info.bytes_retrans = tcb.octets_resent
    sent = (tcb.snd_nxt - tcb.snd_una & 0xFFFF_FFFF) - (1 if tcb.flags & FIN_SENT != 0 else 0)
    info.bytes_sent = tcb.octets_out + sent + tcb.octets_resent
    info.notsent_bytes = limit_of(tcb) - tcb.snd_nxt & 0xFFFF_FFFF
    opened = tcb.state != SYN_SENT and tcb.state != SYN_RECEIVED
    info.delivered = _segments(tcb, tcb.octets_out + tcb.sacked) + (1 if opened else 0)  # the SYN is one
    interval = tcb.rate_interval & ~RATE_OF_APP
    info.limited = 1 if tcb.rate_interval & RATE_OF_APP != 0 else 0
    if interval != 0:  # in whole segments, as Linux counts
        info.delivery_rate = _segments(tcb, tcb.rate_octets) * tcb.mss * 1_000_000 // interval
    info.data_segs_in, info.data_segs_out = data_counted(tcb.receive), data_counted(tcb.send)
    info.snd_wnd, info.rcv_wnd = tcb.snd_window, offered(tcb)


@hot
def copy_bare_info(tcp: Tcp, socket: Socket, target: int, octets: int) -> int:
    """The same of a socket that has no connection: a listener says how many wait, and how many may."""
    info = TcpInfo(tcp.scratch_info)
    fill(info.address, 0, TcpInfo.SIZE)
    info.state = CLOSED
    if socket.kind == LISTENER:
        listener = tcp.listeners[socket.bound - 1]
        info.state, info.unacked, info.sacked = LISTEN, listener.waiting, listener.backlog
    else:
        info.snd_mss, info.snd_cwnd, info.snd_ssthresh = 536, tcp.initial_window, UNLIMITED_SSTHRESH
        info.rto, info.reordering = 1_000_000, REORDERING
        info.pacing_rate, info.max_pacing_rate = UNLIMITED, UNLIMITED
    taken = min(octets, TcpInfo.SIZE)
    copy(target, info.address, taken)
    return taken


@hot
def copy_info(worker: Worker, tcp: Tcp, tcb: Tcb, target: int, octets: int) -> int:
    """Up to `octets` of the TCP_INFO to `target`; returns how many."""
    info = TcpInfo(tcp.scratch_info)
    write_info(worker, tcp, tcb, info)
    taken = min(octets, TcpInfo.SIZE)
    copy(target, info.address, taken)
    return taken
