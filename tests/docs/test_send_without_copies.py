"""The file server of docs/howto/send-without-copies.md: on a direct link as the page says, and by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import native
from pronghorn.compiled import mode
from tests.house.source import ROOT
from tests.preload.conftest import interposer

__all__ = ["interposer"]

PAGE = (ROOT / "docs/howto/send-without-copies.md").read_text()
PATIENCE = 20.0  # s

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")


def commands() -> list[str]:
    found = re.search(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the program of the page, built as the page says."""
    program = re.search(r"^```c\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert program is not None
    (tmp_path / "serve.c").write_text(program[1])
    build = commands()[0].replace("src/pronghorn", str(native.PACKAGE)) + " -Wall"
    subprocess.run(["bash", "-ec", build], cwd=tmp_path, check=True)
    return tmp_path


def served(folder: Path, server: str, client: str, **more: str) -> str:
    """What the client prints once there is somebody who serves."""
    environment, until = {**os.environ, **more}, time.monotonic() + PATIENCE
    with subprocess.Popen(["bash", "-c", f"exec {server}"], cwd=folder, env=environment) as serving:
        try:
            while True:
                time.sleep(0.3)
                done = subprocess.run(
                    ["bash", "-c", client], cwd=folder, env=environment, capture_output=True, text=True
                )
                if done.returncode == 0:
                    return done.stdout
                assert time.monotonic() < until, done.stderr
        finally:
            serving.kill()


@pytest.mark.timeout(300)  # the library may have to be built first
def test_on_a_link(folder: Path, interposer: Path) -> None:
    _, server, client = (line.replace("pronghorn run", f"{sys.executable} -m pronghorn run") for line in commands())
    here = {"PRONGHORN_LIBRARY": str(interposer), "PRONGHORN_RUNTIME_DIR": str(folder)}
    assert served(folder, server, client, **here) == (folder / "serve.c").read_text()


def test_by_itself(folder: Path) -> None:
    _, server, client = commands()
    own = client.partition(" -- ")[2].replace("10.1.0.1:8080", "127.0.0.1:6023")
    assert served(folder, server.partition(" -- ")[2].replace("8080", "6023"), own) == (folder / "serve.c").read_text()
