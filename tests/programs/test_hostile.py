"""A gateway with programs that flood, fork bombs of connections, never read, break off, are stopped; and one good one.

Real processes in namespaces: the good one's client, on the kernel, is served all the time, and when the bad ones have
been killed nothing of theirs is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pronghorn.compiled import mode
from pronghorn.control.client import Client
from tests.preload.conftest import interposer
from tests.programs.real.places import Stood, stand
from tests.support.patience import becomes, eventually

__all__ = ["interposer"]

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(300),  # the library may have to be built first
    pytest.mark.skipif(mode() == "interpreted", reason="the programs' library is the same in every mode"),
]

HOSTILE = str(Path(__file__).with_name("hostile.py"))
SECONDS = 4.0
"""That the client asks for."""


@pytest.fixture
def stood(interposer: Path) -> Iterator[Stood]:
    with stand("packet", interposer) as made:
        yield made


@pytest.fixture
def start(stood: Stood, interposer: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start what hostile.py has, in a group of its own: on the stack, or (`kernel`) in the client's namespace."""
    started = []
    more = {"PRONGHORN_LIBRARY": str(interposer), "PRONGHORN_RUNTIME_DIR": str(stood.runtime)}

    def begin(kind: str, *arguments: object, kernel: bool = False) -> subprocess.Popen[str]:
        run = [sys.executable, "-m", "pronghorn", "run", "--gateway", stood.name, "--"]
        words = [*([] if kernel else run), sys.executable, HOSTILE, kind, *map(str, arguments)]
        space = stood.stage.client.namespace if kernel else stood.stage.gateway
        process = subprocess.Popen(
            space.command(*words),
            env=stood.stage.stage.marked({**os.environ, **more}),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    try:
        yield begin
    finally:
        for process in started:
            kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def ask(start: Any, address: str, port: int, seconds: float) -> tuple[int, int, float]:
    """How often the client was served, how often not, and the slowest answer."""
    out = start("ask", address, port, seconds, kernel=True).communicate(timeout=60)[0].split()
    return int(out[0]), int(out[1]), float(out[2])


def test_the_others_and_the_gateway_do_not_notice(
    stood: Stood, start: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRONGHORN_RUNTIME_DIR", str(stood.runtime))
    here, far = stood.stage.client.gateway4, stood.stage.servers[0].address4
    good, stopped = start("server", here, 7100), start("server", here, 7101)
    bad = [start("deaf", here, 7102), start("breaker", here, 7103)]
    for process in (good, stopped, *bad):
        assert line(process) == "listening\n"
    assert ask(start, here, 7101, 0.2)[1] == 0
    bad += [start("flood", far, 9000), start("bomb", far, 9), start("bomb", here, 7102)]
    assert eventually(lambda: len(programs(stood)) >= 10)
    os.killpg(stopped.pid, signal.SIGSTOP)
    pushing = [start("push", here, port, SECONDS, kernel=True) for port in (7101, 7102, 7103)]
    served, failed, slowest = ask(start, here, 7100, SECONDS)
    assert (failed, slowest < 2.5) == (0, True), (served, slowest)
    assert served > 20
    os.killpg(stopped.pid, signal.SIGCONT)
    for process in (*bad, *pushing):
        kill(process)
    assert becomes(lambda: len(programs(stood)), 2) == 2
    assert ask(start, here, 7101, 0.3)[1] == 0, "who was stopped goes on"
    assert ask(start, here, 7100, 0.3)[1] == 0


def programs(stood: Stood) -> list[Any]:
    found: list[Any] = Client(stood.name).get("programs")["programs"]
    return found
