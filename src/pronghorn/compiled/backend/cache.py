"""What was compiled, kept on disk: `ir/` and `objects/` under PRONGHORN_CACHE or ~/.cache/pronghorn.

A file is the SHA-256 of its content and the content, so that a damaged one is seen, deleted and made anew. It appears
whole or not at all, whichever process writes it. A directory that cannot be written is said once and done without.
Files that were not used for 30 days go, and the oldest when all together exceed 512 MiB; that is looked at once a day,
by a process that has just compiled something.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path

DAY = 24 * 3600
KEEP = 30 * DAY
LIMIT = 512 << 20
_DIGEST = 32


@functools.cache
def folder() -> Path | None:
    """Where the cache is; None when the environment names no place."""
    given = os.environ.get("PRONGHORN_CACHE")
    try:
        return Path(given) if given else Path.home() / ".cache" / "pronghorn"
    except RuntimeError:  # no HOME, and no such user
        _complain("there is no home directory; PRONGHORN_CACHE may name another place")
        return None


def fetch(kind: str, key: str) -> bytes | None:
    """The content kept under the key, if it is there and whole."""
    path = _path(kind, key)
    if path is None:
        return None
    try:
        whole = path.read_bytes()
        if time.time() - path.stat().st_mtime > DAY:
            os.utime(path)
    except OSError:
        return None
    content = whole[_DIGEST:]
    if hashlib.sha256(content).digest() == whole[:_DIGEST]:
        return content
    with contextlib.suppress(OSError):
        path.unlink()
    return None


def keep(kind: str, key: str, content: bytes) -> None:
    """Keep the content under the key, if the disk lets it be kept."""
    path = _path(kind, key)
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            try:
                file.write(hashlib.sha256(content).digest() + content)
                file.close()
                os.replace(file.name, path)
            except OSError:
                os.unlink(file.name)
                raise
        _prune_daily(path.parents[2])
    except OSError as error:
        _complain(str(error))


def prune(root: Path, now: float, limit: int = LIMIT) -> None:
    """Delete what was not used for KEEP seconds, then the oldest until three quarters of `limit` are left."""
    files = []
    for path in root.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                facts = path.stat()
                files.append((facts.st_mtime, facts.st_size, path))
    total = sum(size for _, size, _ in files)
    target = limit * 3 // 4 if total > limit else total
    for used, size, path in sorted(files):
        if now - used > KEEP or total > target:
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size


def _prune_daily(root: Path) -> None:
    stamp = root / "pruned"
    if not stamp.exists() or time.time() - stamp.stat().st_mtime > DAY:
        stamp.touch()
        prune(root, time.time())


def _path(kind: str, key: str) -> Path | None:
    root = folder()
    return None if root is None else root / kind / key[:2] / key


_said: list[str] = []


def _complain(reason: str) -> None:
    if not _said:
        sys.stderr.write(f"pronghorn: compiled code is not kept, so every start compiles anew: {reason}\n")
    _said.append(reason)
