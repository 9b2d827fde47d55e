"""This process's engine: made when first needed, turned by whoever waits.

All threads share it. The calls below keep the interpreter lock, so that each is whole; what takes several holds `lock`,
never while a thread sleeps. A thread that waits turns the stack; when there is nothing to do for SPIN it asks the link
for a wake-up and sleeps on the link's pipe, until the engine's next timer at the latest.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
import time
from collections.abc import Callable

from pronghorn.compiled import quick
from pronghorn.engine import batches, calls, interests, lending
from pronghorn.engine.attached import engine_doze, engine_poll, engine_wake
from pronghorn.sockets.attach import Attachment

SPIN = 50e-6
"""Seconds without work before a thread that waits sleeps."""


class Stack:
    """The engine; `worker` is its address."""

    def __init__(self) -> None:
        self.attachment = Attachment()
        self.worker = self.attachment.worker.address
        self.pipe = self.attachment.pipe
        self.lock = threading.RLock()
        self.process = os.getpid()

    def turn(self) -> int:
        """One turn; how much work there was."""
        with self.lock:
            return poll(self.worker)

    def wait(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Turn the stack until `ready` says so (asked with the lock held) or the time is over; what it said last."""
        deadline = None if timeout is None else time.monotonic() + timeout
        last = time.monotonic()
        poller = select.poll()
        poller.register(self.pipe, select.POLLIN)
        while True:
            with self.lock:
                worked = poll(self.worker)
                if ready():
                    return True
                now = time.monotonic()
                if deadline is not None and now >= deadline:
                    return False
                last = now if worked else last
                nap = doze(self.worker) if now - last >= SPIN else 0
            if nap > 0:
                rest = nap / 1e6 if deadline is None else min(nap / 1e6, (deadline - now) * 1e3)
                poller.poll(rest)
                with self.lock:
                    wake(self.worker)

    def close(self) -> None:
        """Leave the link. Sockets must not be used any more."""
        with self.lock:
            self.attachment.close()


poll, doze, wake = quick(engine_poll), quick(engine_doze), quick(engine_wake)
open_socket = quick(calls.socket)
send = quick(calls.send)
receive = quick(calls.receive)
receive_from = quick(calls.receive_from)
send_to = quick(calls.send_to)
bind = quick(calls.bind)
listen = quick(calls.listen)
accept = quick(calls.accept)
connect = quick(calls.connect)
shutdown = quick(calls.shutdown)
close_socket = quick(calls.close_socket)
socket_name = quick(calls.socket_name)
peer_name = quick(calls.peer_name)
set_option = quick(calls.set_option)
get_option = quick(calls.get_option)
socket_events = quick(interests.socket_events)
epoll_open = quick(interests.epoll_open)
epoll_control = quick(interests.epoll_control)
deliver = quick(batches.deliver)
send_reserve = quick(lending.send_reserve)
send_commit = quick(lending.send_commit)
receive_view = quick(lending.receive_view)
receive_release = quick(lending.receive_release)

_stack: Stack | None = None
_making = threading.Lock()


def stack() -> Stack:
    """The process's one stack. Raises AttachError where it has no link. A forked child gets one of its own."""
    global _stack
    if _stack is not None and _stack.process == os.getpid():
        return _stack
    with _making:
        if _stack is None or _stack.process != os.getpid():
            _stack = Stack()
            atexit.register(_end, _stack)
        return _stack


def _end(one: Stack) -> None:
    if one.process == os.getpid():
        for _ in range(64):  # what was said last goes out
            if not one.turn():
                break
        one.close()
