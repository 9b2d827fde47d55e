"""Secrets of initial sequence numbers and timestamps (RFC 6528, RFC 7323 7.1) that outlive a program.

A server's TIME-WAIT lets a new connection of the same addresses and ports pass when its sequence number or timestamp
lies above the old one's (RFC 6191). Within a process they do, as one secret and one clock make them. A program that is
started anew has to go on where the last one left off, so the secret comes with its link: one per user and machine, in a
file that only this user can read, from which each user of a gateway gets another one. The clock is CLOCK_MONOTONIC.

    RUNTIME/numbers.secret      32 octets, mode 0600, made once
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from pathlib import Path

from pronghorn.control import runtime

OCTETS = 32


def user_secret() -> bytes:
    """This user's; only for this process when there is no place to keep it."""
    path = runtime.directory() / "numbers.secret"
    try:
        path.parent.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        return _read(path) or _make(path)
    except OSError:
        return secrets.token_bytes(OCTETS)


def of_user(secret: bytes, user: int) -> tuple[int, int]:
    """Both halves for the programs of one user: they tell nothing of another one's."""
    digest = hashlib.blake2b(user.to_bytes(8, "little"), key=secret, digest_size=16, person=b"pronghorn-isn")
    octets = digest.digest()
    return int.from_bytes(octets[:8], "little"), int.from_bytes(octets[8:], "little")


def _read(path: Path) -> bytes:
    """What is there; nothing, unless it is ours and nobody else could read it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        status = os.fstat(descriptor)
        private = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_mode & 0o077 == 0
        octets = os.read(descriptor, OCTETS + 1) if private else b""
    finally:
        os.close(descriptor)
    return octets if len(octets) == OCTETS else b""


def _make(path: Path) -> bytes:
    """A new one, whole from the moment that it is seen; of several at the same time one wins."""
    made = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(OCTETS))
        with contextlib.suppress(FileExistsError):
            os.link(made, path)
            return _read(path)
        if octets := _read(path):
            return octets
        os.replace(made, path)  # what was there is of no use, or others have seen it
        return _read(path)
    finally:
        made.unlink(missing_ok=True)
