"""Sending and receiving without a copy: memory of the stack's own buffers, lent to the program for a while.

    with connection.send_buffer(1_000_000) as loan:
        n = file.readinto(loan.memory)
        loan.commit(n)                        # what was written goes out; nothing was copied

    with connection.receive_view() as loan:
        parse(loan.memory)
        loan.release(len(loan.memory))        # these octets are read; others stay

A loan ends with commit or release, or with its block. Afterwards its memory cannot be used: Python refuses with
ValueError, and with BufferError when a slice of it is still held somewhere. A mistake is an error and never a change to
octets that were sent or are yet to come.
"""

from __future__ import annotations

import ctypes
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pronghorn.compiled import Array, u64
from pronghorn.compiled import array_at as array
from pronghorn.sockets import stack as stacks
from pronghorn.sockets.endpoint import checked
from pronghorn.sockets.memory import Memory

if TYPE_CHECKING:
    from pronghorn.sockets.socket import socket

_IN, _OUT = 1, 4
_ALONE = 2
"""References to an array that no view of it is left of: ours and getrefcount's."""


class _Loan:
    """Memory that is lent until `_end`."""

    def __init__(self, owner: socket) -> None:
        self._owner = owner
        self._target = Memory(8)
        self._place: Array[u64] = array(u64, self._target.address)
        self.memory = memoryview(b"")
        self._out = False

    def _lend(self, octets: int, writable: bool) -> None:
        self._octets, self._writable, self._out = octets, writable, True
        self._array = (ctypes.c_char * octets).from_address(self._place[0]) if octets else (ctypes.c_char * 0)()
        self.memory = self._view()

    def _view(self) -> memoryview:
        whole = memoryview(self._array).cast("B")
        return whole if self._writable else whole.toreadonly()

    def _finish(self, octets: int) -> None:
        """The program has the memory no more; unless its slices say otherwise."""
        if not self._out:
            raise ValueError("this loan has ended")
        if not 0 <= octets <= self._octets:
            raise ValueError(f"{octets} octets of a loan of {self._octets}")
        self.memory.release()
        if sys.getrefcount(self._array) > _ALONE:
            self.memory = self._view()
            raise BufferError("a slice of the loan's memory is still in use")
        self._out = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._out:
            self._end(0)

    def _end(self, octets: int) -> int:
        raise NotImplementedError


class SendLoan(_Loan):
    """Room in the send buffer. `memory` may be shorter than was asked for."""

    def __init__(self, owner: socket, octets: int) -> None:
        super().__init__(owner)
        worker, target = owner.stack.worker, self._target.address
        got = owner._wait(lambda: stacks.send_reserve(worker, owner.handle, octets, target), _OUT)
        self._lend(got, True)

    def commit(self, octets: int) -> int:
        """Send the first `octets` that were written; the rest of the room is given up. ValueError: more than lent."""
        return self._end(octets)

    def _end(self, octets: int) -> int:
        self._finish(octets)
        with self._owner.stack.lock:
            return checked(stacks.send_commit(self._owner.stack.worker, self._owner.handle, octets))


class ReceiveLoan(_Loan):
    """What has come. `memory` is empty when the other side has ended."""

    def __init__(self, owner: socket) -> None:
        super().__init__(owner)
        worker, target = owner.stack.worker, self._target.address
        got = owner._wait(lambda: stacks.receive_view(worker, owner.handle, target), _IN)
        self._lend(got, False)

    def release(self, octets: int) -> int:
        """Be done with the first `octets`; what is left comes again. ValueError: more than lent."""
        return self._end(octets)

    def _end(self, octets: int) -> int:
        self._finish(octets)
        if self._octets == 0:
            return 0
        with self._owner.stack.lock:
            return checked(stacks.receive_release(self._owner.stack.worker, self._owner.handle, octets))
