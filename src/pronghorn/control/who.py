"""Who a process is, as the kernel says: at the other end of a Unix socket, and among its ancestors."""

from __future__ import annotations

import array
import grp
import os
import pwd
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SO_PEERGROUPS, SO_PEERPIDFD = 59, 77  # asm-generic/socket.h; Python has no names for them
SCM_CREDENTIALS = 2  # linux/socket.h, as well
CREDENTIALS = struct.Struct("=iII")  # struct ucred: process, user, group
ROOM = socket.CMSG_SPACE(CREDENTIALS.size)  # for these and nothing else: descriptors are not taken
ANCESTORS = 32  # that are looked at


@dataclass(frozen=True)
class Peer:
    """A process when it connected."""

    pid: int
    user: int
    groups: frozenset[int]


def peer_of(connection: socket.socket) -> Peer:
    """Who connected. OSError when the kernel does not say."""
    octets = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    pid, user, group = CREDENTIALS.unpack(octets)
    try:
        more = array.array("I", connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * 1024))
    except OSError:  # more groups than that, or a kernel before 4.13: the group by itself has to do
        more = array.array("I")
    return Peer(pid, user, frozenset((group, *more)))


def process_of(connection: socket.socket, peer: Peer) -> int:
    """A pidfd of who connected. OSError (ESRCH) when it has ended."""
    try:
        number: int = connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError:  # a kernel before 6.5
        return os.pidfd_open(peer.pid)
    os.set_inheritable(number, False)
    return number


@dataclass(frozen=True)
class Sender:
    """Who has sent one message, as the kernel says (SO_PASSCRED)."""

    pid: int
    user: int  # its real one


NOBODY = Sender(-1, -1)


def receive_from(connection: socket.socket, octets: int) -> tuple[bytes, Sender]:
    """A message of at most so many octets, and whose it is. OSError as of recv."""
    message, extra, _, _ = connection.recvmsg(octets, ROOM)
    for level, kind, data in extra:
        if (level, kind, len(data)) == (socket.SOL_SOCKET, SCM_CREDENTIALS, CREDENTIALS.size):
            return message, Sender(*CREDENTIALS.unpack(data)[:2])
    return message, NOBODY


def user_now(pid: int, said: int) -> int:
    """The effective user of a process. `said`: where /proc does not tell, as of a process of another namespace."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[2]) for line in lines if line.startswith("Uid:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return said


def is_listed(peer: Peer, users: Iterable[str], groups: Iterable[str]) -> bool:
    """Whether it is root's or ours, or one of those listed by name or number."""
    if peer.user in (0, os.geteuid()):
        return True
    return any(_number(_user, name) == peer.user for name in users) or any(
        _number(_group, name) in peer.groups for name in groups
    )


def user_name(user: int) -> str:
    """The name of a user, or its number."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def ancestors(pid: int) -> Iterator[int]:
    """Parent, its parent, and so on."""
    for _ in range(ANCESTORS):
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return
        if pid <= 1:
            return
        yield pid


def _number(read: Callable[[str], int], name: str) -> int | None:
    if name.isdigit():
        return int(name)
    try:
        return read(name)
    except KeyError:
        return None


def _user(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _group(name: str) -> int:
    return grp.getgrnam(name).gr_gid
