"""The examples of docs/howto/run-a-program.md and sockets-in-python.md, each server and client as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pronghorn.compiled import mode
from tests.house.source import ROOT
from tests.preload.conftest import interposer

__all__ = ["interposer"]

PAGES = "run-a-program.md", "sockets-in-python.md"
TEXT = "\n".join((ROOT / "docs/howto" / page).read_text() for page in PAGES)
PAIRS = re.findall(r"^```sh\n(pronghorn run .*--link .*)\n(pronghorn run .*--link .*)\n```", TEXT, re.MULTILINE)
PRINTED = {
    "redis-benchmark": r"GET: .*requests per second",
    "http://10.1.0.1:8080/": "hello from the user-space stack",
    "fd00::1": "Directory listing for /",
    "echo.py": r"^hello$",
    "greet.py": r"^hello 10\.1\.0\.2$",
    "dns.py": r"^192\.0\.2\.7$",
}
PATIENCE = 40.0  # s


def test_every_example_is_run() -> None:
    assert len(PAIRS) == TEXT.count("--address 10.1.0.2") + TEXT.count("--address fd00::2") == len(PRINTED)


@pytest.mark.timeout(300)  # the library may have to be built first
@pytest.mark.skipif(mode() == "interpreted", reason="the library is the same in every mode")
@pytest.mark.parametrize(
    ("server", "client"), PAIRS, ids=[shlex.split(client.partition(" -- ")[2])[0] for _, client in PAIRS]
)
def test_examples(server: str, client: str, interposer: Path, tmp_path: Path) -> None:
    for line in (server, client):
        if shutil.which(program := shlex.split(line.partition(" -- ")[2])[0]) is None:
            pytest.skip(f"needs {program}")
    environment = {**os.environ, "PRONGHORN_LIBRARY": str(interposer), "PRONGHORN_RUNTIME_DIR": str(tmp_path)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["PRONGHORN_MODE"] = "native"
    expected = next(text for word, text in PRINTED.items() if word in client)

    def start(line: str) -> subprocess.Popen[str]:
        command = line.replace("pronghorn", f"exec {shlex.quote(sys.executable)} -m pronghorn", 1)
        return subprocess.Popen(
            ["bash", "-c", command],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    serving, until, said = start(server), time.monotonic() + PATIENCE, ""
    try:
        time.sleep(0.5)
        while not re.search(expected, said, re.MULTILINE):
            assert time.monotonic() < until, said
            assert serving.poll() is None, serving.communicate()[0]
            asking = start(client)
            try:
                said = asking.communicate(timeout=PATIENCE)[0]
            finally:
                asking.kill()
                asking.communicate()
    finally:
        serving.terminate()
        try:
            serving.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            serving.kill()
            serving.communicate()
