"""The file behind an arena: who may open it, who may write it, and where it is mapped."""

from __future__ import annotations

import fcntl
import os
import stat

from pronghorn.memory import mapping
from pronghorn.memory.directory import MAGIC, ArenaError
from pronghorn.memory.mapping import Huge, Mapping

FIXED_ADDRESS = 0x2000_0000_0000
"""Where arenas in files lie: far from program, heap, stack and libraries on x86-64 and aarch64."""

STEP = 1 << 40
"""Distance to the next place that is tried when that one is taken."""


def create_shared(
    label: str, path: str | os.PathLike[str] | None, limit: int, address: int | None, huge: Huge
) -> Mapping:
    """A new sparse file (a memfd when `path` is None), mapped at `address` or at the first free place of ours."""
    if path is None:
        descriptor = os.memfd_create(label, os.MFD_CLOEXEC)
    else:
        descriptor = open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        if path is not None:
            lock_file(descriptor, label)
        os.ftruncate(descriptor, limit)
        wanted = [address] if address is not None else [FIXED_ADDRESS + k * STEP for k in range(64)]
        for start in wanted:
            try:
                return mapping.map_shared(start, limit, descriptor, huge, writable=True)
            except OSError as error:
                reason = error
        raise ArenaError(f"{label}: cannot map {limit} octets at {wanted[0]:#x}: {reason.strerror}")
    except BaseException:
        os.close(descriptor)
        if path is not None:
            os.unlink(path)
        raise


def open_file(path: str | os.PathLike[str], flags: int) -> int:
    """A descriptor of the file; ArenaError unless it is ours alone."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ArenaError(f"{path}: {error.strerror}") from error
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o077:
        return descriptor
    os.close(descriptor)
    raise ArenaError(
        f"{path}: must be a file of user {os.geteuid()} with mode 0600, for whoever writes it rules the engine"
    )


def lock_file(descriptor: int, label: str) -> None:
    """Become the one process that writes it; ArenaError when another one does. The kernel unlocks when we end."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ArenaError(f"{label}: in use by another process") from error


def discard_arena(path: str | os.PathLike[str]) -> None:
    """Remove the arena file of a process that has ended; nothing happens when there is none.

    ArenaError when somebody uses it, when it is not ours alone, or when it is no arena: no other file is ever removed.
    """
    if not os.path.lexists(path):
        return
    descriptor = open_file(path, os.O_RDWR)
    try:
        lock_file(descriptor, os.fspath(path))
        if os.pread(descriptor, 8, 0) not in (MAGIC.to_bytes(8, "little"), bytes(8), b""):
            raise ArenaError(f"{path}: is no arena; it is not replaced")
        os.unlink(path)
    finally:
        os.close(descriptor)
