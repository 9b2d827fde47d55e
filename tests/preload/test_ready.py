"""epoll, poll and select of an accelerated program, held against the kernel's: the same script, the same answers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pronghorn.compiled import mode as running_mode
from tests.preload.link import Link, finish, kernel_port, linked, say
from tests.preload.test_calls import ON_KERNEL, ON_LINK, script

PORT = 6100

pytestmark = pytest.mark.skipif(running_mode() == "interpreted", reason="programs run the same library in every mode")


def run_cases(family: str, link: Link | None, port: int, *cases: str) -> dict[str, Any]:
    """What ready_cases.py says."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    address = (ON_KERNEL if link is None else ON_LINK)[family]
    peer, client = script("peer", address, str(port)), script("ready_cases", address, str(port), *cases)
    server = subprocess.Popen(peer, **pipes) if link is None else link.start(1, peer)
    try:
        say(server)
        program = subprocess.Popen(client, **pipes) if link is None else link.start(2, client)
        status, out, err = finish(program, 60)
        assert status == 0, err
        answer: dict[str, Any] = json.loads(out)
        return answer
    finally:
        server.kill()
        server.communicate()


@pytest.mark.parametrize(("mode", "family"), [("completion", "4"), ("wakeup", "6")])
def test_readiness_is_the_kernels(interposer: Path, tmp_path: Path, mode: str, family: str) -> None:
    with linked(interposer, tmp_path, mode) as link:
        assert run_cases(family, link, PORT) == run_cases(family, None, kernel_port())
