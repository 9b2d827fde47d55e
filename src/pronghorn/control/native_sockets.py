"""Endpoints of a gateway's workers: making their tables, and what the configuration says about them.

Only a configuration with `sockets.enabled` makes tables. A gateway without serves no sockets anyway, and pays nothing:
no address space (some 2 GiB of each worker), no start time, no look at a table for a datagram that is balanced.
"""

from __future__ import annotations

from pronghorn.control.model import Config, Sockets, Tcp, Udp
from pronghorn.engine.transports import Limits, create_transports
from pronghorn.memory.arena import Arena
from pronghorn.state.worker import Worker
from pronghorn.tcp.congestion import CONGESTION
from pronghorn.tcp.tcb import SECOND, tcp_of
from pronghorn.udp.endpoint import udp_of

ECN = {"off": 0, "on": 1, "passive": 2}
SYNCOOKIES = {"off": 0, "full": 1, "always": 2}
FAST_OPEN = {"off": 0, "client": 1, "server": 2, "both": 3}

_ORDINARY = 64 << 30  # octets of addresses: what an arena has without sockets
_CONNECTION, _DATAGRAMS, _SOCKET = 1024, 1024, 64  # octets of addresses for each, generously
_FIXED = 64 << 20


def arena_limit(workers: int, sockets: Sockets) -> int:
    """Octets of address space for an engine with so many workers."""
    if not sockets.enabled:
        return _ORDINARY
    own = sockets.connections * _CONNECTION + sockets.datagram_sockets * _DATAGRAMS + sockets.sockets * _SOCKET
    return _ORDINARY + workers * (own + sockets.buffer_memory * 9 // 8 + _FIXED)


def create_sockets(arena: Arena, worker: Worker, config: Config) -> None:
    """The worker's tables, as the configuration wants them. For every worker, 0 first."""
    sockets = config.sockets
    create_transports(
        arena, worker, Limits(sockets.sockets, sockets.datagram_sockets, sockets.connections, sockets.buffer_memory)
    )
    change_socket_ports(worker, *sockets.local_ports)
    change_tcp(worker, config.tcp, sockets.buffer_memory)
    change_udp(worker, config.udp)


def change_socket_ports(worker: Worker, low: int, high: int) -> None:
    """Ports that sockets are given from now on, by TCP and by UDP."""
    tcp, udp = tcp_of(worker), udp_of(worker)
    tcp.port_low, tcp.port_high = low, high
    udp.port_low, udp.port_high = low, high


def change_tcp(worker: Worker, wanted: Tcp, octets: int) -> None:
    """Everything that [tcp] says; `octets` is the worker's buffer memory."""
    tcp = tcp_of(worker)
    tcp.congestion, tcp.initial_window = CONGESTION[wanted.congestion], wanted.initial_window
    tcp.ecn, tcp.syncookies, tcp.fast_open = (
        ECN[wanted.ecn],
        SYNCOOKIES[wanted.syncookies],
        FAST_OPEN[wanted.fast_open],
    )
    tcp.timestamps, tcp.sack, tcp.window_scaling = int(wanted.timestamps), int(wanted.sack), int(wanted.window_scaling)
    tcp.time_wait_reuse, tcp.time_wait_ns = int(wanted.time_wait_reuse), wanted.time_wait * SECOND
    tcp.mtu_probing = int(wanted.mtu_probing)
    tcp.waiting_limit = min(wanted.time_wait_limit, tcp.waiting_mask + 1)
    tcp.challenge_limit = wanted.challenge_limit
    tcp.receive_max, tcp.send_max = wanted.receive_max, wanted.send_max
    tcp.memory_low = octets // 100 * wanted.memory_low
    tcp.memory_pressure = octets // 100 * wanted.memory_pressure
    tcp.memory_high = octets // 100 * wanted.memory_high
    usual = tcp.tunings[0]
    usual.congestion = tcp.congestion
    usual.receive_limit, usual.send_limit = wanted.receive_buffer, wanted.send_buffer
    usual.keep_idle, usual.keep_interval, usual.keep_count = wanted.keep_idle, wanted.keep_interval, wanted.keep_count
    usual.syn_retries, usual.retries, usual.fin_timeout = wanted.syn_retries, wanted.retries, wanted.fin_timeout


def change_udp(worker: Worker, wanted: Udp) -> None:
    """Everything that [udp] says."""
    udp = udp_of(worker)
    udp.receive_limit, udp.send_limit = wanted.receive_buffer, wanted.send_buffer
