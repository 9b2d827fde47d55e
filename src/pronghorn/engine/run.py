"""The loop: turns while there is work, sleep when there is none.

`run` returns to its caller (the worker's Python thread, or a C program) when a command has come or when it is told to
stop, so signals, configuration and debuggers are served between two turns. Adaptive sleep: after `loop.spin` ns
without work the worker waits in epoll_pwait2(2) for its ports' descriptors and its own eventfd: until worker.due at the
latest, which drivers and timers have set in the turn (state/worker.py `wake_at`), and at most `loop.nap` ns. The
eventfd is edge-triggered: nobody has to read it. An infinite `spin` is busy polling. Where the kernel has no
epoll_pwait2 (before Linux 5.11) epoll_wait(2) counts milliseconds, and the worker wakes up to one late.

A descriptor in error (a device that went away) ends every sleep at once. After BARREN such sleeps in a row the worker
naps without looking at descriptors.
"""

from __future__ import annotations

from pronghorn.compiled import Array, array_at, cycles, entry, external, hot, i32, i64, u32, u64
from pronghorn.engine.clock import MEASURE, clock_adjust, clock_now, clock_start
from pronghorn.engine.loop import Loop
from pronghorn.engine.turn import turn
from pronghorn.memory.mpsc_ring import MpscRing, mpsc_doze
from pronghorn.state.worker import Worker

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000

EVENTS = 16
"""Descriptors that one wait reports; which ones does not matter, every queue is looked at."""

BARREN = 64
NAP = 5_000
"""Microseconds: how long a packet or a command waits at most while a descriptor is in error."""

usleep = external("usleep", (u32,), i32)
epoll_wait = external("epoll_wait", (i32, u64, i32, i32), i32)
syscall = external("syscall", (i64, i64, u64, i64, u64, u64, i64), i64)

EPOLL_PWAIT2 = 441
"""Its number on every architecture; the C library has a function for it only since glibc 2.35."""

TIMESPEC = 48
"""Place in loop.entries of the two words that say how long; the events lie before it."""


@entry
def worker_start(worker: Worker) -> None:
    """Calibrate the worker's clock: once, on its own thread, before `run`."""
    clock_start(worker, Loop(worker.loop), MEASURE)


@entry
def run(worker: Worker) -> int:
    """Turns until a command has come (its number is returned) or `loop.stop` is set (0)."""
    loop = Loop(worker.loop)
    while loop.stop == 0:
        before = cycles()
        worker.now = clock_now(worker, loop)
        worker.turns += 1
        if turn(worker) != 0:
            loop.last_work, loop.barren = worker.now, 0
            worker.busy_cycles += cycles() - before
        else:
            worker.idle_turns += 1
            if worker.now - loop.last_work >= loop.spin:
                _sleep(worker, loop)
        if loop.command != 0:
            command = loop.command
            loop.command = 0
            return command
    loop.stop = 0
    return 0


@entry
def run_turns(worker: Worker, turns: int) -> int:
    """Exactly `turns` turns without sleeping; returns the work done. For benchmarks and tests."""
    loop = Loop(worker.loop)
    work = 0
    for _ in range(turns):
        worker.now = clock_now(worker, loop)
        worker.turns += 1
        work += turn(worker)
    return work


@entry
def turn_at(worker: Worker, now: int) -> int:
    """One turn at a time of the caller's choosing, ns: virtual time for tests and simulators."""
    worker.now = now
    worker.turns += 1
    return turn(worker)


@hot
def _sleep(worker: Worker, loop: Loop) -> None:
    """Wait for a descriptor, for the inbox, until worker.due, or for loop.nap to pass."""
    nap = min(loop.nap, worker.due - clock_now(worker, loop))
    if nap <= 0 or not mpsc_doze(loop.inbox):
        return
    worker.sleeps += 1
    ready = _wait(loop, nap)
    loop.barren = min(loop.barren + 1, BARREN) if ready != 0 else 0
    if loop.barren == BARREN:
        usleep(min(NAP, nap // MICROSECOND))
    MpscRing(loop.inbox.ring).dozing = 0
    clock_adjust(worker, loop)


@hot
def _wait(loop: Loop, nap: int) -> int:
    """Wait for a descriptor, `nap` ns at most; returns how many are ready."""
    events = loop.entries.address
    timespec: Array[u64] = array_at(u64, events + 8 * TIMESPEC)
    timespec[0], timespec[1] = nap // SECOND, nap % SECOND
    ready = syscall(EPOLL_PWAIT2, loop.epoll_fd, events, EVENTS, timespec.address, 0, 0)
    if ready < 0:  # not there, forbidden, or a signal came
        ready = epoll_wait(loop.epoll_fd, events, EVENTS, (nap + MILLISECOND - 1) // MILLISECOND)
    return ready
