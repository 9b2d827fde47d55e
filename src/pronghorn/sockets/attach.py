"""The link of this process, and its engine at the end of it (docs/adr/0013-accelerated-programs.md).

`pronghorn run --no-preload -- python PROGRAM` leaves word in the environment: PRONGHORN_ATTACH, the socket of a
gateway, or PRONGHORN_ATTACH_FD, a socket in which the Welcome to a direct link already waits. Everything that comes
over it is checked, here or by `engine_attach`.
"""

from __future__ import annotations

import array
import ctypes
import errno
import os
import socket
import sys
import time
from pathlib import Path

from pronghorn.compiled import array_at, i32
from pronghorn.engine.attached import engine_attach, engine_detach, engine_doze, engine_linked, engine_poll
from pronghorn.engine.embedded import EngineConfiguration
from pronghorn.memory.mapping import Mapping, map_shared
from pronghorn.sockets.memory import Memory, view_of
from pronghorn.state.attach import CLAIMS, MAGIC, PIPES, VERSION, Answer, Claim, Hello, Welcome
from pronghorn.state.worker import Worker

GREETING = 0.2  # s that the other end of a direct link may take to answer before the first packet goes
_PRELOAD = "libpronghorn-preload.so"


class AttachError(OSError):
    """This process has no link, and cannot get one; the text says what to do."""


class Attachment:
    """The link and the engine; one per process."""

    def __init__(self) -> None:
        if _preloaded():
            raise AttachError(
                errno.EBUSY,
                f"{_PRELOAD} has taken this process's sockets already: use the standard socket module, or start "
                "with `pronghorn run --no-preload`",
            )
        self._control: socket.socket | None = None
        self._number = 0
        descriptors: list[int] = []
        try:
            self.welcome = self._receive(descriptors)
            self.worker = self._make(descriptors)
        except BaseException:
            self._close_all(descriptors)
            raise
        self._descriptors = descriptors
        self.pipe = descriptors[1]
        self._greet()

    def _receive(self, descriptors: list[int]) -> Welcome:
        """The Welcome; its descriptors are appended as they come."""
        welcome = view_of(Welcome)
        path, number = os.environ.get("PRONGHORN_ATTACH"), os.environ.get("PRONGHORN_ATTACH_FD")
        if not path and not number:
            raise AttachError(
                errno.ENOTCONN, "this process has no link: start it with `pronghorn run --no-preload -- python ...`"
            )
        if path:
            self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._control.connect(path)
            self._control.send(self._hello())
            source, flags = self._control, 0
        else:
            source, flags = socket.socket(fileno=os.dup(int(number or ""))), socket.MSG_PEEK
        octets, extra, _, _ = source.recvmsg(Welcome.SIZE, socket.CMSG_SPACE(4 * (PIPES + 2)), flags)  # recv_fds
        descriptors += [one for _, _, data in extra for one in array.array("i", data)]  # would not take the flags
        if not path:
            source.close()
        if len(octets) != Welcome.SIZE:
            raise AttachError(errno.EPROTO, "the keeper of the link speaks another language than this version")
        ctypes.memmove(welcome.address, octets, Welcome.SIZE)
        if welcome.magic != MAGIC or welcome.version != VERSION:
            raise AttachError(errno.EPROTO, f"the keeper of the link has version {welcome.version}, not {VERSION}")
        if welcome.error:
            raise AttachError(welcome.error, f"the gateway refuses: {os.strerror(welcome.error)}")
        if len(descriptors) != 2 + welcome.queues:
            raise AttachError(
                errno.EPROTO, f"{len(descriptors)} descriptors came with the Welcome, not {2 + welcome.queues}"
            )
        return welcome

    def _hello(self) -> bytes:
        hello = view_of(Hello)
        hello.magic, hello.version = MAGIC, VERSION
        name = Path(sys.argv[0] or "python").name.encode()[:31]
        ctypes.memmove(hello.name.address, name, len(name))
        return ctypes.string_at(hello.address, Hello.SIZE)

    def _make(self, descriptors: list[int]) -> Worker:
        memory, pipe, *theirs = descriptors
        octets = os.fstat(memory).st_size
        self._mapping: Mapping = map_shared(None, octets, memory, "never", writable=True)
        os.set_blocking(pipe, False)
        self._pipes = Memory(4 * max(len(theirs), 1))
        numbers = array_at(i32, self._pipes.address)
        for place, descriptor in enumerate(theirs):
            os.set_blocking(descriptor, False)
            numbers[place] = descriptor
        configuration = view_of(EngineConfiguration)
        worker = engine_attach(configuration, self.welcome, self._mapping.address, octets, pipe, numbers)
        if worker.address == 0:
            self._mapping.unmap()
            raise AttachError(errno.EINVAL, f"no engine: error {configuration.error}, field {configuration.wrong}")
        return worker

    def _greet(self) -> None:
        """Wait until the other end answers, but not for ever: it may come later."""
        until = time.monotonic() + GREETING
        while engine_linked(self.worker) == 0 and time.monotonic() < until:
            engine_poll(self.worker)
            if engine_doze(self.worker):
                time.sleep(0.0005)

    def claim(self, wanted: Claim) -> int:
        """Ask the gateway: an errno, or 0. On a direct link there is nobody to ask."""
        if self.welcome.flags & CLAIMS == 0 or self._control is None:
            return 0
        self._number += 1
        wanted.number = self._number
        self._control.send(ctypes.string_at(wanted.address, Claim.SIZE))
        octets = self._control.recv(Answer.SIZE)
        if len(octets) != Answer.SIZE:
            return errno.ENETDOWN
        answer = view_of(Answer)
        ctypes.memmove(answer.address, octets, Answer.SIZE)
        return answer.error if answer.number == self._number else errno.EPROTO

    def close(self) -> None:
        """Leave: the other end sees it at once."""
        engine_detach(self.worker)
        self._mapping.unmap()
        self._close_all(self._descriptors)
        self._descriptors = []

    def _close_all(self, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
        if self._control is not None:
            self._control.close()


def _preloaded() -> bool:
    return _PRELOAD in Path("/proc/self/maps").read_text()
