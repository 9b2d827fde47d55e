"""`pronghorn.socket` and the event loop: Python programs on a direct link, both ends ours."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pronghorn.compiled import mode
from tests.preload.link import finish, linked, say

PROGRAMS = Path(__file__).with_name("programs.py")
NATIVE = {"PRONGHORN_MODE": "native", "PYTHONPATH": str(Path(__file__).parents[2])}
pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="the programs run the native library in every mode")


def answers(library: Path, folder: Path, server: str, client: str) -> dict[str, Any]:
    """What each case of the client says."""
    with linked(library, folder) as link:
        link._environment.update(NATIVE)
        ready = say(link.start(1, [sys.executable, str(PROGRAMS), server], "--no-preload"))
        assert ready["ready"]
        program = link.start(2, [sys.executable, str(PROGRAMS), client], "--no-preload")
        status, out, err = finish(program, 60)
        found = dict(json.loads(line) for line in out.splitlines())
        assert status == 0, (found, err)
        return found


@pytest.fixture(scope="module")
def blocking(native_library: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return answers(native_library, tmp_path_factory.mktemp("blocking"), "peer", "client")


@pytest.fixture(scope="module")
def awaiting(native_library: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return answers(native_library, tmp_path_factory.mktemp("awaiting"), "loop_server", "loop_client")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("names", [["10.77.0.1", 7000], "10.77.0.2", ["fd77::1", 7000], "fd77::2"]),
        ("bulk", True),
        ("half_closed", "100000"),
        ("files", ["a line\n", "another\n"]),
        ("peeked", ["twice", "twice"]),
        ("timeouts", ["TimeoutError", True, "BlockingIOError EAGAIN", False]),
        ("refused", "ConnectionRefusedError ECONNREFUSED"),
        ("was_reset", "ConnectionResetError ECONNRESET"),
        ("options", [1, 1, 104]),
        ("datagrams", ["question", ["10.77.0.1", 7000]]),
        ("pings", [[True, 0, "\x00\x07hello"], [True, 129, "\x00\x07hello"], "OSError EPROTONOSUPPORT"]),
        ("lent", [True, "ValueError", "BufferError", "ValueError", "ValueError"]),
        (
            "a_file",
            [[1048576, 300000, 301000, 10, 1048576, 0], ["ValueError", "ValueError"], "1348586"],
        ),
        ("closed", [-1, "OSError EBADF"]),
    ],
)
def test_a_blocking_program(blocking: dict[str, Any], case: str, expected: Any) -> None:
    assert blocking[case] == expected


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("streams", [True, ""]),
        (
            "a_file_by_the_loop",
            [True, [1048320, 1048576, 1048576, 5000, 5007], ["RuntimeError", "RuntimeError"], True],
        ),
        ("many", True),
        ("no_server", "ConnectionRefusedError"),
        ("slow_reader", True),
        ("datagram_endpoint", "question"),
        ("plain_sockets", "hello"),
        ("others", ["thread", True, "child", "kernel"]),
    ],
)
def test_an_asyncio_program(awaiting: dict[str, Any], case: str, expected: Any) -> None:
    assert awaiting[case] == expected
