"""A real daemon in a process of its own, over the fake engine.

`python -m tests.control.gateways CONFIG.toml` is what the fixture starts; the fake engine writes its calls to the file
named by PRONGHORN_TEST_CALLS, and fails the call whose name is in the file PRONGHORN_TEST_FAIL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pronghorn.control import runtime
from pronghorn.control.model import Config
from tests.control.fake import FakeEngine

CONFIG = """\
[gateway]
name = "edge"

[[ports]]
name = "outside"
device = "null:"
addresses = ["198.51.100.1/24", "2001:db8::1/64"]

[[routes]]
prefix = "0.0.0.0/0"
via = "198.51.100.254"

[balancer]
local_addresses = ["198.51.100.1", "2001:db8::1"]

[[services]]
name = "web"
address = "198.51.100.1:80"

[[services.servers]]
name = "a"
address = "10.0.2.10:8080"

[[services.servers]]
address = "10.0.2.11:8080"
weight = 2

[[sets]]
name = "bad"
kind = "net"
max_entries = 3
entries = ["10.0.0.0/8"]
"""


class Daemon:
    def __init__(self, process: subprocess.Popen[str], config: Path) -> None:
        self.process, self.config = process, config

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> str:
        """Ask it to end; returns what it said."""
        self.signal(signal.SIGTERM)
        return self.process.communicate(timeout=30)[0]

    def says(self, text: str) -> str:
        """Read what it says up to a line that contains the text."""
        assert self.process.stdout is not None
        lines = ""
        while line := self.process.stdout.readline():
            lines += line
            if text in line:
                return lines
        raise AssertionError(f"it ended without saying {text!r}:\n{lines}")


@contextlib.contextmanager
def running(folder: Path, text: str = CONFIG) -> Iterator[Daemon]:
    """A daemon that answers, ended at last."""
    config = folder / "edge.toml"
    config.write_text(text)
    with start(config) as process:
        daemon = Daemon(process, config)
        daemon.says("control socket")
        yield daemon


@contextlib.contextmanager
def start(config: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.control.gateways", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=20)
        process.kill()
        process.communicate()


def wait_for_socket(name: str) -> None:
    deadline = time.monotonic() + 20
    while not runtime.socket_path(name).exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def engine(starting: Config) -> FakeEngine:
    """A fake that fails when the file says so."""
    fake = FakeEngine(starting)
    fail = Path(os.environ.get("PRONGHORN_TEST_FAIL", "/nonexistent"))

    def look() -> None:
        if fail.exists() and fail.read_text() == fake.calls[-1]:
            fake.fail_at = len(fake.calls)

    fake.looks.append(look)
    return fake


if __name__ == "__main__":
    from pronghorn.control.daemon import run

    try:
        run(Path(sys.argv[1]), engine)
    except Exception as error:
        sys.exit(str(error))
