"""A direct link between two programs: two ends of a user-veth of one user, and no process that keeps it.

The launcher takes an end (ports/veth_share.py), leaves the Welcome with its descriptors in a socket pair, and becomes
the program. What says that an end is taken is a lock on an open file that lies in that socket behind the Welcome; the
kernel ends it with the last process that has the socket, however that ends. Who comes back finds the other end where it
was.

The memory is the file of the user-veth, not memory sealed against shortening: there is nobody whom a second program
could get sealed memory from. Both ends belong to one user and the directory is closed to others; a process that
shortens the file can kill its partner (SIGBUS), as it can by kill(2). Memory between users is a gateway's (lanes.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import socket
from collections.abc import Sequence

from pronghorn.control.numbers import of_user, user_secret
from pronghorn.control.trouble import Trouble
from pronghorn.control.welcome import LOCAL_PORTS, Grant, Interface, send_welcome
from pronghorn.ports.driver import PortError
from pronghorn.ports.veth_share import Busy, Share, alone, sweep
from pronghorn.state.attach import DIRECT_LINK

_ABOVE = 1024  # numbers that the launcher leaves open lie just below this, or below the limit of open files


class LinkError(Trouble):
    """The link cannot be had; the text says why and what to do."""


class DirectLink:
    """An end of the link `name`, until this process becomes the program or closes it."""

    def __init__(
        self, name: str, addresses: Sequence[Interface], mtu: int, ports: tuple[int, int] = LOCAL_PORTS
    ) -> None:
        """Raises LinkError."""
        try:
            with alone():
                sweep()
                self._share = Share(name, 1)
        except Busy:
            raise LinkError(
                f"link {name}: two programs have its ends already; end one of them, or choose another name"
            ) from None
        except PortError as error:
            raise LinkError(str(error)) from None
        except OSError as error:
            raise LinkError(f"link {name}: {error.filename or ''}: {error.strerror or error}") from error
        self._kept: list[int] = []
        try:
            self.descriptor = self._leave(addresses, mtu, ports)
        except BaseException:
            self.close()
            raise

    @property
    def end(self) -> int:
        """0 for who comes first."""
        return "ab".index(self._share.end)

    def _leave(self, addresses: Sequence[Interface], mtu: int, ports: tuple[int, int]) -> int:
        """The Welcome in a socket, and the lock, at a number that the program inherits."""
        share = self._share
        if share.queues != 1:
            raise LinkError(
                f"link {share.name}: the other end has {share.queues} queues, and a program has one; "
                f"give that engine one worker and open veth:{share.name} without `queues`"
            )
        pipe, other = share.pipe(share.end, 0), share.pipe(share.other, 0)
        keeper, program = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.closing(keeper), contextlib.closing(program):
            own = of_user(user_secret(), os.geteuid())
            grant = Grant(self.end, share.descriptor, pipe, [other], addresses, DIRECT_LINK, mtu, ports, own)
            send_welcome(keeper, grant)
            os.close(pipe)
            os.close(other)
            socket.send_fds(keeper, [b"lock"], [share.lock])  # nobody reads it: programs close what they do not know
            return self._keep(program.fileno())

    def _keep(self, descriptor: int) -> int:
        """An inheritable duplicate, out of the way of the numbers that programs use."""
        limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], _ABOVE)
        number = fcntl.fcntl(descriptor, fcntl.F_DUPFD, max(limit - 16, 3))
        self._kept.append(number)
        return number

    def close(self) -> None:
        """The program could not be started."""
        for number in self._kept:
            os.close(number)
        self._kept = []
        self._share.close()
