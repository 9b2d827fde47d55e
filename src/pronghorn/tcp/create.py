"""Making a worker's TCP tables, in an arena (named tcp0.*, tcp1.*, ...) or in a Layout. The defaults are Linux's."""

from __future__ import annotations

import secrets
from typing import Any

from pronghorn.compiled import Array, array_at, fill, hot
from pronghorn.compiled.hashing import mix
from pronghorn.memory.arena import Arena
from pronghorn.memory.hashtable import create_hash_index, hash_lay
from pronghorn.memory.layout import Layout, lay
from pronghorn.memory.wheel import create_wheel, wheel_lay
from pronghorn.state.worker import Worker
from pronghorn.tcp.congestion import CUBIC
from pronghorn.tcp.info import TcpInfo
from pronghorn.tcp.records import Cookie, Rare
from pronghorn.tcp.tcb import NEVER, NO_TCB, SECOND, TICK, Listener, Tcb, Tcp, Tuning, Waiting

LISTENERS = 4096
TUNINGS = 65_536
TIME_WAITS = 262_144
"""Connections in TIME_WAIT at most: tcp_max_tw_buckets of a machine of some gigabytes."""
RARES = 65_536
COOKIES = 256
"""Servers whose fast open cookies are known."""
LINGER_OFF = 0xFFFF_FFFF
_TIMER = Tcb.offset("timer")


@hot
def places_for(conns: int) -> int:
    """Places in the ring of connections in TIME_WAIT: a power of two, as many as connections, TIME_WAITS at most."""
    places = 16
    while places < min(conns, TIME_WAITS):
        places <<= 1
    return places


@hot
def tables_open(tcp: Tcp, worker: Worker, octets: int, secret: int, secret2: int) -> None:
    """Empty tables: in `tcp` are addresses and limits of zeroed tables and of opened indexes. `octets` of buffers."""
    tcp.free, tcp.fresh, tcp.count = NO_TCB, 0, 0
    tcp.pending_count, tcp.waiting_count, tcp.pressed = 0, 0, 0
    tcp.held.count, tcp.held.flushing, tcp.held.last = 0, 0, 0
    tcp.sweep, tcp.sweep_left, tcp.sweep_at = 0, 0, NEVER
    tcp.waiting_head, tcp.waiting_tail = 0, 0
    tcp.secret, tcp.secret2, tcp.port_salt = secret, secret2, mix(secret, secret2, 1)
    for number in range(tcp.listener_limit):
        tcp.listeners[number].next = number + 1 if number + 1 < tcp.listener_limit else NO_TCB
    tcp.listener_free = 0
    tcp.tuning_free, tcp.tuning_fresh = NO_TCB, 1
    tcp.rare_free, tcp.rare_fresh = NO_TCB, 1
    tcp.cookie_mask = COOKIES - 1
    tcp.waiting_limit = tcp.waiting_mask + 1
    tcp.port_low, tcp.port_high = 32768, 60999
    tcp.challenge_limit, tcp.challenge_until = 1000, 0
    tcp.congestion, tcp.ecn, tcp.syncookies, tcp.fast_open = CUBIC, 2, 1, 1
    tcp.mtu_probing = 0
    tcp.timestamps, tcp.sack, tcp.window_scaling, tcp.time_wait_reuse = 1, 1, 1, 1
    tcp.time_wait_ns = 60 * SECOND
    tcp.memory_low, tcp.memory_pressure, tcp.memory_high = octets // 100 * 50, octets // 100 * 75, octets // 100 * 94
    tcp.receive_max, tcp.send_max = 6 << 20, 4 << 20
    tcp.initial_window = 10
    _open_tuning(tcp.tunings[0], tcp.congestion)


@hot
def _open_tuning(tuning: Tuning, congestion: int) -> None:
    """The defaults of a connection's options."""
    fill(tuning.address, 0, Tuning.SIZE)
    tuning.users = 1
    tuning.receive_limit, tuning.send_limit = 65_535, 87_040
    tuning.low_water = 0
    tuning.keep_idle, tuning.keep_interval, tuning.keep_count = 7200, 75, 9
    tuning.linger, tuning.fin_timeout = LINGER_OFF, 60
    tuning.syn_retries, tuning.retries = 6, 15
    tuning.receive_low, tuning.ttl, tuning.congestion = 1, 64, congestion


@hot
def tcp_lay(layout: Layout, worker: Worker, conns: int, listeners: int, octets: int, secret: int, secret2: int) -> int:
    """The address of new tables for so many connections and listeners; 0: no room. `octets` of buffers there are."""
    tcp = Tcp(lay(layout, Tcp.SIZE, Tcp.ALIGN))
    if layout.full != 0:
        return 0
    tcp.tcbs, tcp.limit = array_at(Tcb, lay(layout, conns * Tcb.SIZE, Tcb.ALIGN)), conns
    tcp.scratch_tcb = lay(layout, Tcb.SIZE, Tcb.ALIGN)
    tcp.scratch_info = lay(layout, TcpInfo.SIZE, 64)
    tcp.listeners, tcp.listener_limit = array_at(Listener, lay(layout, listeners * Listener.SIZE, 64)), listeners
    tcp.tunings, tcp.tuning_limit = array_at(Tuning, lay(layout, (conns + 1) * Tuning.SIZE, 64)), conns + 1
    tcp.rare_limit = min(conns + 1, RARES)
    tcp.rares = array_at(Rare, lay(layout, tcp.rare_limit * Rare.SIZE, 64))
    tcp.cookies = array_at(Cookie, lay(layout, COOKIES * Cookie.SIZE, 64))
    places = places_for(conns)
    tcp.waitings, tcp.waiting_mask = array_at(Waiting, lay(layout, (places + 1) * Waiting.SIZE, 64)), places - 1
    tcp.index = hash_lay(layout, conns + places, worker.secret)
    tcp.listener_index = hash_lay(layout, listeners, mix(worker.secret, 4, worker.secret))
    tcp.wheel = wheel_lay(layout, tcp.tcbs.address + _TIMER, Tcb.SIZE, worker.now >> TICK)
    if layout.full != 0:
        return 0
    tables_open(tcp, worker, octets, secret, secret2)
    return tcp.address


def create_tcp(arena: Arena, worker: Worker, conns: int = 1 << 20, octets: int = 1 << 30) -> Tcp:
    """Tables for one worker, empty. Memory comes as connections are opened, up to `conns`."""
    name, owner = f"tcp{worker.index}", worker.index

    def table(what: str, kind: Any, count: int) -> Array[Any]:
        return arena.table(f"{name}.{what}", kind, count, owner)

    tcp: Tcp = table("root", Tcp, 1)[0]
    fill(tcp.address, 0, Tcp.SIZE)
    tcp.tcbs, tcp.limit = table("tcbs", Tcb, conns), conns
    tcp.scratch_tcb = table("scratch", Tcb, 1).address
    tcp.scratch_info = table("info", TcpInfo, 1).address
    tcp.listeners, tcp.listener_limit = table("listeners", Listener, LISTENERS), LISTENERS
    fill(tcp.listeners.address, 0, LISTENERS * Listener.SIZE)
    tcp.tunings, tcp.tuning_limit = table("tunings", Tuning, TUNINGS), TUNINGS
    tcp.rares, tcp.rare_limit = table("rares", Rare, RARES), RARES
    tcp.cookies = table("cookies", Cookie, COOKIES)
    fill(tcp.cookies.address, 0, COOKIES * Cookie.SIZE)
    places = places_for(conns)
    tcp.waitings, tcp.waiting_mask = table("time_wait", Waiting, places + 1), places - 1
    tcp.index = create_hash_index(arena, f"{name}.conns", conns + places, owner, worker.secret).address
    tcp.listener_index = create_hash_index(arena, f"{name}.ports", LISTENERS, owner).address
    timers = tcp.tcbs.address + _TIMER
    tcp.wheel = create_wheel(arena, f"{name}.wheel", timers, Tcb.SIZE, worker.now >> TICK, owner).address
    tables_open(tcp, worker, octets, secrets.randbits(62), secrets.randbits(62))
    return tcp
