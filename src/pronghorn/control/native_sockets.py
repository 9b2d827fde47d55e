"""Endpoints of a gateway's workers: making their tables, and what the configuration says about them.

Only a configuration with `sockets.enabled` makes tables. A gateway without serves no sockets anyway, and pays nothing:
no address space (some 2 GiB of each worker), no start time, no look at a table for a datagram that is balanced.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

from pronghorn.compiled import bounds
from pronghorn.control.model import Config, Sockets, Tcp, Udp
from pronghorn.engine.settings import Settings, engine_settings_now, settings_apply
from pronghorn.engine.transports import Limits, create_transports
from pronghorn.memory.arena import Arena
from pronghorn.state.worker import Worker
from pronghorn.tcp.congestion import CONGESTION

ECN = {"off": 0, "on": 1, "passive": 2}
SYNCOOKIES = {"off": 0, "full": 1, "always": 2}
FAST_OPEN = {"off": 0, "client": 1, "server": 2, "both": 3}
NUMBERS = {"congestion": CONGESTION, "ecn": ECN, "syncookies": SYNCOOKIES, "fast_open": FAST_OPEN}

_ORDINARY = 64 << 30  # octets of addresses: what an arena has without sockets
_CONNECTION, _DATAGRAMS, _SOCKET = 1024, 1024, 512  # octets of addresses for each, generously
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
    with _settings(worker) as settings:
        settings.port_low, settings.port_high = low, high


def change_tcp(worker: Worker, wanted: Tcp, octets: int) -> None:
    """Everything that [tcp] says; `octets` is the worker's buffer memory."""
    with _settings(worker, octets) as settings:
        write_tcp(settings, wanted)


def change_udp(worker: Worker, wanted: Udp) -> None:
    """Everything that [udp] says."""
    with _settings(worker) as settings:
        write_udp(settings, wanted)


def write_tcp(settings: Settings, wanted: Tcp) -> None:
    """[tcp] as numbers: for a worker here, or for a program that gets them with its link."""
    for name, value in wanted:
        numbers = NUMBERS.get(name)
        setattr(settings, name, int(value) if numbers is None else numbers[value])


def write_udp(settings: Settings, wanted: Udp) -> None:
    """[udp] likewise."""
    settings.udp_receive_buffer, settings.udp_send_buffer = wanted.receive_buffer, wanted.send_buffer


@contextlib.contextmanager
def _settings(worker: Worker, octets: int = 0) -> Iterator[Settings]:
    """The worker's settings, to be changed; they hold when the block is left."""
    memory = ctypes.create_string_buffer(Settings.SIZE + Settings.ALIGN)
    settings = Settings(-(-ctypes.addressof(memory) // Settings.ALIGN) * Settings.ALIGN)
    bounds.register(settings.address, Settings.SIZE, Settings.SIZE, "settings")
    try:
        engine_settings_now(worker, settings)
        yield settings
        if settings_apply(worker, settings, octets) < 0:
            raise AssertionError(f"the model allows what the engine refuses, at octet {settings.wrong} of its settings")
    finally:
        bounds.unregister(settings.address)
