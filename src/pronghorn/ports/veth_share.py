"""The files of a user-veth between processes, and the lanes in them.

    RUNTIME/veth/NAME/      mode 0700, one user's
        a, b                locks: whoever holds one is that end. The kernel lets go of it when the process ends
        memory              the lanes: queues x queues from a to b, then as many from b to a
        a.0, b.0, ...       named pipes to sleep on

Whoever finds neither lock held makes the files anew; whoever finds one takes the other. The files stay when a process
dies, so that it, or another, can come back to an end that is still there; who leaves last takes them away.

RUNTIME is $PRONGHORN_RUNTIME_DIR, /run/pronghorn for root, $XDG_RUNTIME_DIR/pronghorn or /tmp/pronghorn-UID. Left out:
a process of the same user that shortens the file kills its partner (SIGBUS), as it can by kill(2). Memory between users
is sealed against it, and comes from a gateway (control/lanes.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from pronghorn.compiled import bounds
from pronghorn.memory.mapping import PAGE, Mapping, map_shared
from pronghorn.ports.driver import PortError
from pronghorn.ports.link_lay import lane_at, lanes_octets

_NAME = re.compile(r"[A-Za-z0-9_.@+-]{1,64}")


class Busy(PortError):
    """Both ends are taken."""


def runtime_directory() -> Path:
    """Where user-veths of this user are."""
    if chosen := os.environ.get("PRONGHORN_RUNTIME_DIR"):
        return Path(chosen) / "veth"
    if os.geteuid() == 0:
        return Path("/run/pronghorn/veth")
    if base := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(base) / "pronghorn" / "veth"
    return Path(f"/tmp/pronghorn-{os.geteuid()}/veth")


class Share:
    """One end's hold on the files. OSError when they cannot be made, PortError when they are not to be had."""

    def __init__(self, name: str, queues: int) -> None:
        if not _NAME.fullmatch(name) or name.startswith("."):
            raise PortError(f"veth:{name}: the name may have 64 letters, digits and _.@+-")
        self.path = runtime_directory() / name
        self.name = name
        _private(self.path)
        self._locks: dict[str, int] = {}
        self.memory: Mapping | None = None
        self._memory_fd = -1
        try:
            self.end = self._choose()
            self.queues = self._map(queues)
        except BaseException:
            self.close()
            raise

    @property
    def other(self) -> str:
        return "b" if self.end == "a" else "a"

    @property
    def descriptor(self) -> int:
        """Of the memory."""
        return self._memory_fd

    @property
    def lock(self) -> int:
        """Descriptor of the lock: whoever inherits it holds this end as well."""
        return self._locks[self.end]

    def _choose(self) -> str:
        for patience in (0.01, 0.05, 0.2, 0):  # somebody may hold a lock only to see whether it is free
            for end in "ab":
                if self._lock(end):
                    return end
            time.sleep(patience)
        raise Busy(f"veth:{self.name}: both ends are in use")

    def _lock(self, end: str) -> bool:
        descriptor = os.open(self.path / end, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        if os.fstat(descriptor).st_nlink == 0:  # whoever left last took the files away just now
            os.close(descriptor)
            _private(self.path)
            return self._lock(end)
        self._locks[end] = descriptor
        return True

    def _unlock(self, end: str) -> None:
        os.close(self._locks.pop(end))

    def peer_lives(self) -> bool:
        """Whether somebody holds the other end."""
        if not self._lock(self.other):
            return True
        self._unlock(self.other)
        return False

    def _map(self, queues: int) -> int:
        """Map the lanes; make them when nobody is at the other end. Returns the number of queues."""
        alone = self._lock(self.other)
        try:
            place = self.path / "memory"
            if alone:
                place.unlink(missing_ok=True)
            flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT | os.O_EXCL if alone else 0)
            self._memory_fd = os.open(place, flags, 0o600)
            if alone:
                os.posix_fallocate(self._memory_fd, 0, _octets(queues))
            octets = os.fstat(self._memory_fd).st_size
            theirs = next((count for count in range(1, 65) if _octets(count) == octets), 0)
            if theirs < queues:
                raise PortError(
                    f"veth:{self.name}: the other end has {theirs} queues, this one needs {queues}; "
                    f"open the other one as veth:{self.name}?queues={queues}"
                )
            self.memory = map_shared(None, octets, self._memory_fd, "never", writable=True)
            bounds.register(self.memory.address, octets, 0, f"veth {self.name}")
            return theirs
        finally:
            if alone:
                self._unlock(self.other)

    def lane(self, end: str, sender: int, receiver: int) -> int:
        """Address of the lane from queue `sender` of `end` to queue `receiver` of the other."""
        assert self.memory is not None
        return lane_at(self.memory.address, self.queues, "ab".index(end), sender, receiver)

    def pipe(self, end: str, queue: int) -> int:
        """A descriptor of the named pipe that wakes this queue."""
        place = self.path / f"{end}.{queue}"
        if not place.exists():
            os.mkfifo(place, 0o600)
        return os.open(place, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)

    def close(self) -> None:
        """Let go; take the files away when nobody is at the other end."""
        if self.memory is not None:
            bounds.unregister(self.memory.address)
            self.memory.unmap()
            self.memory = None
        if self._memory_fd >= 0:
            os.close(self._memory_fd)
            self._memory_fd = -1
        mine = set(self._locks)
        if mine and all(end in self._locks or self._lock(end) for end in "ab"):
            shutil.rmtree(self.path, ignore_errors=True)
        for end in list(self._locks):
            self._unlock(end)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """No other launcher opens a user-veth meanwhile."""
    place = runtime_directory()
    _private(place)
    descriptor = os.open(place / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sweep() -> None:
    """Take away the files of user-veths that nobody is at: their last process could not. Only while `alone`."""
    for path in runtime_directory().glob("*"):
        held: list[int] = []
        with contextlib.suppress(OSError):
            for end in "ab":
                held.append(os.open(path / end, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW))
                fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        for descriptor in held:
            os.close(descriptor)


def _octets(queues: int) -> int:
    return -(-lanes_octets(queues) // PAGE) * PAGE


def _private(path: Path) -> None:
    """A directory of ours alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    facts = os.lstat(path)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise PortError(f"{path}: must be a directory of user {os.geteuid()} with mode 0700")
