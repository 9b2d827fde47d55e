"""Programs at a real data plane: what they had is free after kill -9, time and again, and nothing is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.compiled import mode
from pronghorn.control import runtime
from pronghorn.control.attach_server import attaching
from pronghorn.control.gateway import Gateway
from pronghorn.control.keeper import Keeper
from pronghorn.control.load import parse
from pronghorn.control.native import NativeEngine, open_engine
from pronghorn.control.views import ProgramView
from tests.control.test_attach_server import VICTIM, Program

DIE = 40 if mode() == "interpreted" else 300
"""Processes that are killed."""

CONFIG = {
    "gateway": {"name": "programs", "workers": 2, "packets": 1024, "huge_pages": False},
    "ports": [{"name": "up", "device": "veth:programs", "addresses": ["192.0.2.1/24", "2001:db8::1/64"]}],
    "programs": {"enabled": True, "most": 8, "packets_per_second": 100_000},
}


class Running:
    """A gateway whose attach server runs in a thread of its own."""

    def __init__(self) -> None:
        self.gateway = Gateway(open_engine, parse(CONFIG))
        assert isinstance(self.gateway.engine, NativeEngine)
        self.engine = self.gateway.engine.engine
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self.keeper: Keeper | None = None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._ready.wait(20)

    async def _serve(self) -> None:
        with attaching(self.gateway) as self.keeper:
            self._ready.set()
            await self._end.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()
        self.gateway.close()

    def views(self) -> list[ProgramView]:
        """What the keeper shows: asked where it works, because the other program goes meanwhile."""

        async def ask() -> list[ProgramView]:
            assert self.keeper is not None
            return self.keeper.views()

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result(20)

    def rest(self) -> tuple[int, list[str], int]:
        """Descriptors, tables of the arena and mappings of links, once no program is there."""
        until = time.monotonic() + 20
        assert self.keeper is not None
        while self.keeper.programs:
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(0.05)
        maps = Path("/proc/self/maps").read_text().count("memfd:pronghorn ")
        tables = sorted(table.name for table in self.engine.arena.tables())
        return len(os.listdir("/proc/self/fd")), tables, maps


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("run")
        patch.setenv("PRONGHORN_RUNTIME_DIR", str(folder))
        made = Running()
        with contextlib.closing(made):
            yield made


def test_a_program_attaches_to_the_real_thing(running: Running) -> None:
    with Program(runtime.attach_path("programs")) as program:
        welcome = program.greet()
        assert (welcome.error, welcome.count, welcome.queues) == (0, 2, 2)
        assert program.claim(6379) == 0
        assert program.claim(6379, protocol=17) == 0
        with Program(runtime.attach_path("programs")) as other:
            assert other.greet().error == 0
            assert other.claim(6379) == 98  # EADDRINUSE
        (view, *_) = running.views()
        assert view.claims == ("tcp *:6379", "udp *:6379")


def test_nothing_is_left_of_processes_that_are_killed(running: Running) -> None:
    """Neither descriptors, nor memory, nor ports, nor claims, nor tables; each finds what the one before had free."""
    with Program(runtime.attach_path("programs")) as program:  # what a first one brings is brought
        program.greet()
    before = running.rest()
    command = [sys.executable, "-c", VICTIM, str(runtime.attach_path("programs")), str(DIE)]
    subprocess.run(command, check=True, timeout=100)
    assert running.rest() == before
    assert before[2] == 0
