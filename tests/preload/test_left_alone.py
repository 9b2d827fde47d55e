"""A program whose gateway has ended sleeps: nobody rings its link's pipe any more, and the pipe says so for ever."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

from pronghorn.compiled import mode
from tests.gateway.test_programs import Running
from tests.preload.link import say
from tests.preload.test_fork import Programs

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")

WAITS = """
import json, select, socket, time
listener = socket.create_server(("192.0.2.1", 7398))
print(json.dumps("ready"), flush=True)
input()
before = time.process_time()
select.select([listener], [], [], 1)
print(json.dumps(time.process_time() - before), flush=True)
"""


@pytest.mark.parametrize("model", ["completion", "wakeup"])
def test_it_sleeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interposer: Path, model: str) -> None:
    monkeypatch.setenv("PRONGHORN_RUNTIME_DIR", str(tmp_path))
    with contextlib.closing(Programs(interposer)) as programs:
        with contextlib.closing(Running()):
            program = programs.start(sys.executable, "-c", WAITS, PRONGHORN_STACK=model)
            assert say(program) == "ready"
        assert program.stdin is not None
        program.stdin.write("\n")
        program.stdin.flush()
        assert say(program) < 0.2, "seconds of CPU time in one of sleep"
