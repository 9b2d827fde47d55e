"""pronghorn-preload.h: a C program that is lent the stack's memory over a direct link, and runs without us as well."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import native
from pronghorn.compiled import mode
from tests.preload.link import finish, kernel_port, linked, say
from tests.preload.test_calls import script

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    made, source = tmp_path / "lend", Path(__file__).with_name("lend.c")
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-fPIE", "-pie", f"-I{native.PACKAGE}"]
    subprocess.run([native.compiler(), *flags, "-o", str(made), str(source)], check=True)
    return made


def test_a_program_runs_without_us(program: Path) -> None:
    port = str(kernel_port())
    with subprocess.Popen(script("peer", "127.0.0.1", port), stdout=subprocess.PIPE, text=True) as peer:
        say(peer)
        done = subprocess.run([program, "127.0.0.1", port], capture_output=True, text=True, timeout=20, check=True)
        peer.kill()
    assert done.stdout == "with copies, 0 wrong\n"


@pytest.mark.parametrize("how", ["completion", "wakeup"])
def test_memory_is_lent_to_a_program(interposer: Path, program: Path, tmp_path: Path, how: str) -> None:
    with linked(interposer, tmp_path, how) as link:
        say(link.start(1, script("peer", "10.77.0.1", "6022")))
        assert finish(link.start(2, [str(program), "10.77.0.1", "6022"])) == (0, "without copies, 0 wrong\n", "")
