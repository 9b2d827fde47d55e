"""The memory and pipes of one program's link to a gateway, as they are before the two sides have them.

    memory   lanes of both directions, a memfd that nobody can shorten, lengthen or unseal any more
    wake     a pipe that the program sleeps on, and that we write to
    ours     a pipe for each queue of ours, that the program writes to

Both ends of every pipe stay open here, so that neither side sees an end of file, or SIGPIPE, when the other has gone.
The program may write into the memory whatever and whenever it likes, and may give pages back (fallocate), which then
read as zero: every word is checked where it is read (ports/veth_lane.py).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence

from pronghorn.control.welcome import Grant, Interface
from pronghorn.state.attach import CLAIMS, SHARED_ADDRESSES

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
GATEWAY, PROGRAM = 0, 1  # ends


class Lanes:
    """Descriptors of one link. OSError when there are none to be had."""

    def __init__(self, name: str, octets: int, queues: int) -> None:
        self._open: list[int] = []
        try:
            self.memory = self._own(os.memfd_create(f"pronghorn {name}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
            os.ftruncate(self.memory, octets)
            fcntl.fcntl(self.memory, fcntl.F_ADD_SEALS, SEALS)
            self.sleep, wake = self._pipe()
            pairs = [self._pipe() for _ in range(queues)]
        except BaseException:
            self.close()
            raise
        self.theirs = [wake] * queues  # a program has one pipe for all its queues
        self.ours = [read for read, _ in pairs]
        self.given = [write for _, write in pairs]

    def _own(self, descriptor: int) -> int:
        self._open.append(descriptor)
        return descriptor

    def _pipe(self) -> tuple[int, int]:
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        return self._own(read), self._own(write)

    def grant(self, addresses: Sequence[Interface], mtu: int, ports: tuple[int, int], secret: tuple[int, int]) -> Grant:
        """What the program is told."""
        flags = CLAIMS | SHARED_ADDRESSES
        return Grant(PROGRAM, self.memory, self.sleep, self.given, addresses, flags, mtu, ports, secret)

    def shared(self) -> None:
        """Both sides have it: the memory stays as long as one of them maps it."""
        self._open.remove(self.memory)
        os.close(self.memory)

    def close(self) -> None:
        """The link is no more."""
        for descriptor in self._open:
            os.close(descriptor)
        self._open = []
