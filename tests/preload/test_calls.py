"""Sockets' calls of an accelerated program, held against the kernel's: the same script, the same answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pronghorn.compiled import mode
from tests.preload.link import Link, finish, kernel_port, linked, say

FOLDER = Path(__file__).parent
PORT = 6000

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")

ON_KERNEL = {"4": "127.0.0.1", "6": "::1"}
ON_LINK = {"4": "10.77.0.1", "6": "fd77::1"}


def script(name: str, *arguments: str) -> list[str]:
    return [sys.executable, str(FOLDER / f"{name}.py"), *arguments]


def run_clients(family: str, link: Link | None, port: int) -> dict[str, Any]:
    """What client_cases.py says."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    if link is None:
        address = ON_KERNEL[family]
        peer = subprocess.Popen(script("peer", address, str(port)), **pipes)
    else:
        address = ON_LINK[family]
        peer = link.start(1, script("peer", address, str(port)))
    try:
        say(peer)
        command = script("client_cases", address, str(port))
        client = subprocess.Popen(command, **pipes) if link is None else link.start(2, command)
        try:
            status, out, err = finish(client, 60)
        finally:
            client.kill()
        assert status == 0, err
        answer: dict[str, Any] = json.loads(out)
        return answer
    finally:
        peer.kill()
        peer.communicate()


def run_servers(family: str, link: Link | None) -> dict[str, Any]:
    """What server_cases.py says, whose tasks for the client are passed on."""
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    address = (ON_KERNEL if link is None else ON_LINK)[family]
    commands = script("server_cases", address), script("knocker", address)
    if link is None:
        server, client = (subprocess.Popen(command, **pipes) for command in commands)
    else:
        server, client = (link.start(number, command, **pipes) for number, command in enumerate(commands, 1))
    try:
        say(client)
        while "said" not in (task := say(server)):
            assert client.stdin is not None
            client.stdin.write(json.dumps(task) + "\n")
            client.stdin.flush()
        answer: dict[str, Any] = task["said"]
        return answer
    finally:
        for program in (server, client):
            program.kill()
            program.communicate()


@pytest.fixture(scope="module", params=["completion", "wakeup"])
def link(request: pytest.FixtureRequest, interposer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    with linked(interposer, tmp_path_factory.mktemp("run"), request.param) as made:
        yield made


@pytest.mark.parametrize("family", ["4", "6"])
def test_a_client_cannot_tell_us_from_the_kernel(link: Link, family: str) -> None:
    assert run_clients(family, link, PORT) == run_clients(family, None, kernel_port())


@pytest.mark.parametrize("family", ["4", "6"])
def test_a_server_cannot_tell_us_from_the_kernel(link: Link, family: str) -> None:
    assert run_servers(family, link) == run_servers(family, None)
