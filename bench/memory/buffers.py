"""Buffers of connections, and the walk over connections for people: nanoseconds each on one core.

python -m bench.memory.buffers
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.memory.structures import nanoseconds
from pronghorn.compiled import Array, hot, u8
from pronghorn.engine.transports import Limits, create_transports
from pronghorn.memory.arena import Arena
from pronghorn.memory.buddy import Buddy, buddy_give, buddy_take, create_buddy
from pronghorn.memory.stream import Stream, stream_free, stream_get, stream_put, stream_reserve
from pronghorn.memory.wheel import Timer, Wheel, create_wheel, timer_add, timer_cancel
from pronghorn.state.selection import Selection
from pronghorn.state.worker import Worker
from pronghorn.tcp.show import show_connections
from pronghorn.tcp.tcb import ESTABLISHED, Tcb, Tcp, tcp_of

ROUNDS = 1_000_000
CONNECTIONS = 1_000_000


@hot
def through_buddy(buddy: Buddy, order: int, rounds: int) -> None:
    """Take a block and give it back."""
    for _ in range(rounds):
        buddy_give(buddy, buddy_take(buddy, order), order)


@hot
def through_stream(buddy: Buddy, stream: Stream, octets: int, room: Array[u8], rounds: int) -> None:
    """What a request does to an idle connection: a ring, octets into it and out of it, and no ring."""
    position = 0
    for _ in range(rounds):
        stream_reserve(buddy, stream, position, 0, octets)
        stream_put(buddy, stream, position, room.address, octets)
        stream_get(buddy, stream, position, room.address, octets)
        stream_free(buddy, stream)
        position = position + octets & 0xFFFF_FFFF


@hot
def eager_timer(wheel: Wheel, rounds: int) -> None:
    """What a timer that follows its deadline costs per segment: taken off the wheel and put on again."""
    for number in range(rounds):
        timer_cancel(wheel, number & 1023)
        timer_add(wheel, number & 1023, wheel.tick + 3000 + (number & 255))


@hot
def fill_connections(tcp: Tcp, amount: int) -> None:
    """Records that look like connections."""
    for number in range(amount):
        tcb = tcp.tcbs[number]
        tcb.state, tcb.remote_port, tcb.local_port = ESTABLISHED, 1 + number % 60_000, 80
    tcp.fresh = amount


def walk(worker: Worker, selection: Selection, rows: Array[Tcb]) -> None:
    """All connections, none of which is wanted: the longest that `pronghorn show tcp` can take."""
    selection.next, selection.done, selection.port = 0, 0, 65_000
    while not selection.done:
        show_connections(worker, selection, rows, 256)


def buffers(arena: Arena) -> Iterator[tuple[str, float]]:
    buddy, stream = create_buddy(arena, "buddy", 1 << 28), arena.table("stream", Stream, 1)[0]
    room = arena.table("room", u8, 1 << 17)
    for order in (8, 12, 16):
        spent = nanoseconds(partial(through_buddy, buddy, order, ROUNDS), ROUNDS)
        yield f"buddy: take and give {1 << order} octets", spent
    for octets in (64, 1448, 65_000):
        spent = nanoseconds(partial(through_stream, buddy, stream, octets, room, ROUNDS // 10), ROUNDS // 10)
        yield f"stream: ring for {octets} octets, in, out, gone", spent
    timers = arena.table("timers", Timer, 1024)
    wheel = create_wheel(arena, "wheel", timers.address, Timer.SIZE, 1000)
    yield "wheel: cancel and add, 1024 timers", nanoseconds(partial(eager_timer, wheel, ROUNDS), ROUNDS)


def connections(arena: Arena) -> Iterator[tuple[str, float]]:
    worker: Any = arena.table("worker", Worker, 1)[0]
    worker.secret, worker.workers, worker.random = random.getrandbits(62), 1, 1
    create_transports(arena, worker, Limits(conns=CONNECTIONS))
    fill_connections(tcp_of(worker), CONNECTIONS)
    selection, rows = arena.table("selection", Selection, 1)[0], arena.table("rows", Tcb, 256)
    spent = nanoseconds(partial(walk, worker, selection, rows), CONNECTIONS)
    yield f"show: pass over a connection, of {CONNECTIONS}", spent


if __name__ == "__main__":
    with Arena.create() as arena:
        for part in (buffers, connections):
            for name, cost in part(arena):
                print(f"{name:<50} {cost:8.1f} ns", flush=True)
