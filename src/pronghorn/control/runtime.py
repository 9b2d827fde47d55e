"""Where a gateway's control socket is, and that only one gateway has it.

Root's gateways use /run/pronghorn, others $XDG_RUNTIME_DIR/pronghorn (or /tmp/pronghorn-UID, owned by that user and
closed to others). PRONGHORN_RUNTIME_DIR overrules both. A lock beside the socket says that its gateway is alive; it
goes away with the process, however that ends, so a socket left behind is never in the way.
"""

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from pronghorn.control.trouble import Trouble


class RuntimeDirectoryError(Trouble):
    """The control socket cannot be made or found; the text says where and why."""


def directory() -> Path:
    """The directory of this user's gateways."""
    if chosen := os.environ.get("PRONGHORN_RUNTIME_DIR"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/run/pronghorn")
    if base := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(base) / "pronghorn"
    return Path(f"/tmp/pronghorn-{os.geteuid()}")


def socket_path(name: str) -> Path:
    return directory() / f"{name}.sock"


def attach_path(name: str) -> Path:
    """Where a gateway takes programs."""
    return directory() / f"{name}.attach"


PRIVATE = "run-"
"""How the names of gateways begin that a program has for itself (private.py)."""


def names() -> list[str]:
    """Gateways that run or left a socket behind."""
    return sorted(path.stem for path in directory().glob("*.sock"))


@contextlib.contextmanager
def listener(name: str) -> Iterator[socket.socket]:
    """The control socket of a gateway, mode 0600, removed in the end. Raises RuntimeDirectoryError."""
    path = socket_path(name)
    try:
        path.parent.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        _refuse_strangers(path.parent)
        with _lock(path.with_suffix(".lock"), name), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            path.unlink(missing_ok=True)
            mask = os.umask(0o177)
            try:
                control.bind(str(path))
            finally:
                os.umask(mask)
            control.listen(16)
            try:
                yield control
            finally:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise RuntimeDirectoryError(f"{path}: {error.strerror or error}") from error


def _refuse_strangers(path: Path) -> None:
    """A directory that others can write to could be given another socket."""
    status = path.stat()
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
        raise RuntimeDirectoryError(f"{path} must belong to this user and be writable by nobody else")


@contextlib.contextmanager
def _lock(path: Path, name: str) -> Iterator[None]:
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeDirectoryError(
                f'a gateway named "{name}" runs already (lock {path}); stop it, or choose another gateway.name'
            ) from None
        yield
