"""Programs that fork, at a gateway: children serve what their parent listens to, and take over what it has accepted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pronghorn.compiled import mode
from pronghorn.control import runtime
from tests.gateway.test_programs import Running
from tests.preload.link import finish, say
from tests.preload.test_calls import script

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")

CLIENT = """
import json, socket, sys
said = []
for _ in range(int(sys.argv[2])):
    try:
        with socket.create_connection(("192.0.2.1", int(sys.argv[1])), timeout=5) as s:
            s.settimeout(5)
            answers = []
            for word in (b"one", b"two"):
                s.sendall(word)
                answers.append(s.recv(100).decode().split())
            said.append(answers)
    except OSError as error:
        said.append(repr(error))
print(json.dumps(said), flush=True)
"""


class Programs:
    """Programs of one gateway, in groups of processes that end with the test."""

    def __init__(self, interposer: Path) -> None:
        self._environment = {
            **os.environ,
            "LD_PRELOAD": str(interposer.with_name("libpronghorn-preload.so")),
            "PRONGHORN_ATTACH": str(runtime.attach_path("programs")),
        }
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *command: str, **more: str) -> subprocess.Popen[str]:
        made = subprocess.Popen(
            command,
            env={**self._environment, **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(made)
        return made

    def ask(self, port: int, times: int) -> list[Any]:
        """What the server says to a client that asks it so often."""
        status, out, err = finish(self.start(sys.executable, "-c", CLIENT, str(port), str(times)), 60)
        assert status == 0, err
        said: list[Any] = json.loads(out)
        return said

    def close(self) -> None:
        for program in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.communicate()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRONGHORN_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        with contextlib.closing(Running()) as made:
            yield made


@pytest.fixture
def programs(running: Running, interposer: Path) -> Iterator[Programs]:
    with contextlib.closing(Programs(interposer)) as made:
        yield made


def test_children_serve_their_parents_listener(programs: Programs) -> None:
    server = programs.start(*script("prefork_server", "7310", "3"))
    children = {str(child) for child in say(server)["children"]}
    said = [tuple(answer[1] for answer in answers) for answers in programs.ask(7310, 40)]
    assert {first for first, _ in said} <= children
    assert all(first == second for first, second in said)
    assert len({first for first, _ in said}) > 1


def test_a_childs_death_leaves_the_others(programs: Programs) -> None:
    server = programs.start(*script("prefork_server", "7311", "3"))
    children = say(server)["children"]
    assert len(programs.ask(7311, 10)) == 10
    os.kill(children[0], signal.SIGKILL)
    said = programs.ask(7311, 20)
    assert {answer[1] for answers in said for answer in answers} <= {str(child) for child in children[1:]}


def test_a_child_for_each_connection(programs: Programs) -> None:
    server = programs.start(*script("prefork_server", "7312", "0", "fork"))
    parent = str(say(server)["ready"])
    said = programs.ask(7312, 10)
    assert all(isinstance(answers, list) for answers in said), said
    assert [[answer[0] for answer in answers] for answers in said] == [["one", "two"]] * 10
    assert parent not in {answer[1] for answers in said for answer in answers}
