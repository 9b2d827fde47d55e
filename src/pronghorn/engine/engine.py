"""An engine: one data plane with its workers, ports and tables, in one arena. The control plane's handle on it.

    with Engine(workers=2, packets=16384) as engine:
        engine.add_port(driver)
        engine.start()                     # a pinned thread per worker
        engine.call(0, function)           # function(worker) on worker 0's thread, between two turns
        engine.stop()

Without `start` nothing runs by itself: `engine.turn(now)` makes one turn of every worker at a time of the caller's
choosing.
"""

from __future__ import annotations

import os
import secrets
import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, TypeVar

from pronghorn.compiled import fence, fill, i32, u64
from pronghorn.engine.layout import PATIENCE, lay_out_packets, worker_open, worker_share
from pronghorn.engine.loop import COMMAND_ENTRY, Loop
from pronghorn.engine.run import run, run_turns, turn_at, worker_start
from pronghorn.memory.arena import Arena
from pronghorn.memory.mpsc_ring import MpscRing, mpsc_must_wake, mpsc_octets, mpsc_open, mpsc_push, mpsc_reset
from pronghorn.memory.pool import Chunk, LargeChunk, Pool, create_pool, pool_free_count
from pronghorn.ports.driver import Driver, EngineMemory
from pronghorn.state.dispatch import Outbox
from pronghorn.state.packet import Packet
from pronghorn.state.packets import finish
from pronghorn.state.port import INPUT, Port, Queue
from pronghorn.state.verdicts import PORT_DOWN
from pronghorn.state.worker import Worker

R = TypeVar("R")

PORTS = 256
"""Ports that an engine can have, links of attached programs among them."""

INBOX = 4096
"""Entries that a worker's inbox can hold."""


class Engine:
    """See the module. Methods are for the control plane's thread; workers' tables are touched through `call` alone."""

    def __init__(
        self, workers: int = 1, packets: int = 8192, large_packets: int = 0, arena: Arena | None = None
    ) -> None:
        self.arena = arena or Arena.create("engine")
        self.packet_count = packets
        self.large_count = large_packets
        self.pool = create_pool(self.arena, "small", Chunk, packets, workers + 1)
        self.large_pool: Pool | None = None
        if large_packets:
            self.large_pool = create_pool(self.arena, "large", LargeChunk, large_packets, workers + 1)
        self.packets = self.arena.table("packets", Packet, packets + large_packets)
        self.arena.warm("packets", packets)
        self.ports = self.arena.table("ports", Port, PORTS)
        self.drivers: dict[int, Driver] = {}
        self.workers = self.arena.table("workers", Worker, workers)
        self.worker_count = workers
        self._loops = self.arena.table("loops", Loop, workers)
        self._wake_fds = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(workers)]
        self._epolls = [select.epoll() for _ in range(workers)]
        self._threads: list[threading.Thread] = []
        self._commands: dict[int, tuple[Callable[[Worker], Any], Future[Any]]] = {}
        self._next_command = 1
        self._closed = False
        self._lock = threading.Lock()
        self._lay_out_packets()
        self._lay_out_workers()

    def _lay_out_packets(self) -> None:
        lay_out_packets(self.packets, 0, self.pool)
        if self.large_pool is not None:
            lay_out_packets(self.packets, self.packet_count, self.large_pool)

    def _lay_out_workers(self) -> None:
        count = self.worker_count
        rings = [self.arena.table(f"inbox.{index}", u64, mpsc_octets(INBOX) // 8) for index in range(count)]
        for ring in rings:
            mpsc_reset(MpscRing(ring.address), INBOX)
        wake_fds = self.arena.table("wake_fds", i32, count)
        for index, descriptor in enumerate(self._wake_fds):
            wake_fds[index] = descriptor
        secret = secrets.randbits(63)
        for index in range(count):
            worker, loop = self.workers[index], self._loops[index]
            boxes = self.arena.table(f"outboxes.{index}", Outbox, count)
            worker_open(worker, loop, boxes.address, index, count, rings[index].address, INBOX)
            worker_share(worker, self.packets, self.pool, self.large_pool.address if self.large_pool else 0, index)
            worker.ports = self.ports
            worker.queues = self.arena.table(f"queues.{index}", Queue, PORTS)
            worker.random, worker.secret = secrets.randbits(62) | 1, secret
            for other in range(count):
                mpsc_open(boxes[other].end, MpscRing(rings[other].address), INBOX, PATIENCE)
            self._epolls[index].register(self._wake_fds[index], select.EPOLLIN | select.EPOLLET)
            loop.epoll_fd, loop.wake_fds = self._epolls[index].fileno(), wake_fds

    # --- ports --------------------------------------------------------------------------------------------------------

    def add_port(self, driver: Driver, role: int = INPUT, peer: int = 0) -> int:
        """Open the device and give every worker its queue; returns the port's index. PortError when it is refused."""
        index = next((place for place in range(PORTS) if place not in self.drivers), PORTS)
        if index == PORTS:
            raise ValueError(f"an engine has at most {PORTS} ports")
        port = self.ports[index]
        port.kind, port.role, port.index, port.peer, port.interface = driver.kind, role, index, peer, index
        queues = [self.workers[number].queues[index] for number in range(self.worker_count)]
        for number, queue in enumerate(queues):
            fill(queue.address, 0, Queue.SIZE)
            queue.port, queue.queue, queue.fd = index, number, -1
        try:
            driver.open(self._memory(), port, queues)
        except BaseException:
            for queue in queues:
                queue.driver, queue.fd = 0, -1
            raise
        fence()  # a place that is used again is seen by workers as soon as it is up
        port.up = 1
        self.drivers[index] = driver
        for number in range(self.worker_count):
            self.call(number, lambda worker: self._begin(worker, index))
        return index

    def remove_port(self, index: int) -> None:
        """Take the port from every worker, then close the device. What waits to be sent ends as PORT_DOWN."""
        if index not in self.drivers:
            raise ValueError(f"there is no port {index}")
        self.ports[index].up = 0
        for number in range(self.worker_count):
            self.call(number, lambda worker: self._end(worker, index))
        self.drivers.pop(index).close()

    def _begin(self, worker: Worker, index: int) -> None:
        """On the worker's thread: receive from the port, and wake up for it."""
        worker.port_count = max(worker.port_count, index + 1)
        descriptor = worker.queues[index].fd
        if descriptor >= 0:
            self._epolls[worker.index].register(descriptor, select.EPOLLIN)

    def _end(self, worker: Worker, index: int) -> None:
        """On the worker's thread: the reverse of `_begin`."""
        queue = worker.queues[index]
        if queue.fd >= 0:
            self._epolls[worker.index].unregister(queue.fd)
        for place in range(queue.waiting):
            finish(worker, Packet(queue.burst[place]), PORT_DOWN)
        queue.driver, queue.fd, queue.waiting = 0, -1, 0

    def _memory(self) -> EngineMemory:
        """What drivers see; the last cache of each pool belongs to the control plane."""
        large = self.large_pool
        return EngineMemory(
            arena=self.arena,
            packets=self.packets,
            small=self.pool,
            large=large,
            control=self.pool.caches[self.worker_count],
            control_large=large.caches[self.worker_count] if large else None,
            workers=self.worker_count,
        )

    # --- running ------------------------------------------------------------------------------------------------------

    def start(self, cores: list[int] | None = None) -> None:
        """A thread per worker, pinned to `cores[index]` (default: the process's cores in turn)."""
        allowed = os.sched_getaffinity(0)
        available = cores or sorted(allowed)
        if self._threads or not allowed.issuperset(available):
            raise ValueError("the engine runs already" if self._threads else f"cores {available}: of {sorted(allowed)}")
        for index in range(self.worker_count):
            core = available[index % len(available)]
            self._loops[index].stop = 0
            thread = threading.Thread(target=self._run_worker, args=(index, core), name=f"worker {index}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run_worker(self, index: int, core: int) -> None:
        os.sched_setaffinity(threading.get_native_id(), {core})
        worker = self.workers[index]
        worker_start(worker)
        while (number := run(worker)) != 0:
            function, future = self._commands.pop(number, (None, Future()))
            if function is None or not future.set_running_or_notify_cancel():
                continue  # its caller has given up
            try:
                future.set_result(function(worker))
            except BaseException as error:  # the caller of `call` gets it
                future.set_exception(error)

    def call(self, index: int, function: Callable[[Worker], R], timeout: float = 5.0) -> R:
        """Run `function(worker)` on that worker between two turns, at once when no thread runs; return its result.

        TimeoutError after `timeout` seconds; a command that was not begun by then never is.
        """
        if self._closed:
            raise ValueError("the engine is closed")
        if not self._threads:
            return function(self.workers[index])
        future: Future[R] = Future()
        with self._lock:
            number = self._next_command
            self._next_command = number % 0x7FFFFFFF + 1
            self._commands[number] = (function, future)
            self._send(index, COMMAND_ENTRY | number, time.monotonic() + timeout)
        try:
            return future.result(timeout)
        except TimeoutError:
            if future.done():
                raise  # the function's own
            begun = "did not begin" if future.cancel() else "has not finished"
            raise TimeoutError(f"worker {index} {begun} the command within {timeout} s") from None

    def _send(self, index: int, entry: int, deadline: float) -> None:
        loop = self._loops[index]
        loop.control_entry[0] = entry
        while mpsc_push(loop.control, loop.control_entry, 1) == 0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the inbox of worker {index} stays full")
            os.sched_yield()
        if mpsc_must_wake(loop.control):
            os.eventfd_write(self._wake_fds[index], 1)

    def stop(self) -> None:
        """End the workers' threads after their current turn. Commands that were not begun are cancelled."""
        for index in range(len(self._threads)):
            self._loops[index].stop = 1
            os.eventfd_write(self._wake_fds[index], 1)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        for _, future in self._commands.values():
            future.cancel()
        self._commands.clear()

    def turn(self, now: int) -> int:
        """One turn of every worker at `now` ns; returns the work done. Only without threads."""
        return sum(turn_at(self.workers[index], now) for index in range(self.worker_count))

    def run_turns(self, turns: int, index: int = 0) -> int:
        """`turns` turns of one worker on this thread, by the real clock; returns the work done."""
        if self.workers[index].turns == 0:
            worker_start(self.workers[index])
        return run_turns(self.workers[index], turns)

    # --- accounts -----------------------------------------------------------------------------------------------------

    def free_packets(self) -> int:
        """Packets that nobody holds; exact while no worker runs."""
        return pool_free_count(self.pool) + (pool_free_count(self.large_pool) if self.large_pool else 0)

    def close(self) -> None:
        """Stop, close the ports and give the memory back; once."""
        if self._closed:
            return
        self._closed = True
        with ExitStack() as last:  # whatever one of them raises, the others are closed
            last.callback(self.arena.close)
            for epoll in self._epolls:
                last.callback(epoll.close)
            for descriptor in self._wake_fds:
                last.callback(os.close, descriptor)
            for driver in self.drivers.values():
                last.callback(driver.close)
            self.stop()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
