"""Octets of a file on their way into a send buffer: read straight into memory that the stack lends, and never copied.

Files of the kernel's are read by pread, from `offset` on whatever their position; others by their readinto. Afterwards
the file's position is where the sending stopped, as the standard module leaves it. What is not in the page cache is
waited for, as os.sendfile does.
"""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pronghorn.sockets.socket import socket

PIECE = 1 << 18
"""Octets that are read at once."""


class Source:
    """A file, what of it is to be sent, and what was sent."""

    def __init__(self, file: Any, offset: int = 0, count: int | None = None) -> None:
        if "b" not in getattr(file, "mode", "b"):
            raise ValueError("file should be opened in binary mode")
        if count is not None and (not isinstance(count, int) or count <= 0):
            kind = TypeError if not isinstance(count, int) else ValueError
            raise kind(f"count must be a positive integer (got {count!r})")
        self._file, self._offset, self._count = file, offset, count
        self._number = _regular(file)
        self.sent = 0
        if offset and self._number < 0:
            file.seek(offset)

    def step(self, sock: socket) -> bool:
        """Send the next piece; False: there is no more. BlockingIOError: there is no room."""
        wanted = PIECE if self._count is None else min(PIECE, self._count - self.sent)
        if wanted == 0:
            return False
        with sock.send_buffer(wanted) as loan:
            if self._number >= 0:
                got = os.preadv(self._number, [loan.memory], self._offset + self.sent)
            else:
                got = self._file.readinto(loan.memory) or 0
            if got:
                loan.commit(got)
        self.sent += got
        return got > 0

    def end(self) -> None:
        """The file's position follows what was sent."""
        if self.sent and self._number >= 0:
            self._file.seek(self._offset + self.sent)


def _regular(file: Any) -> int:
    """The descriptor of a regular file of the kernel's; -1."""
    try:
        number: int = file.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return -1
    return number if stat.S_ISREG(os.fstat(number).st_mode) else -1
