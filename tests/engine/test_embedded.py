"""An engine in a C program: no Python, no thread, no device, virtual time, and the same octets in every run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pronghorn.compiled import mode

SOURCE = Path(__file__).with_name("embedded.c")

pytestmark = [
    pytest.mark.skipif(mode() == "interpreted", reason="the library is the same in every mode"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc"),
]


@pytest.fixture(scope="module")
def program(native_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """embedded.c, linked with the library alone."""
    folder = tmp_path_factory.mktemp("embedded")
    strict = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{native_library.parent}"]
    made = folder / "embedded"
    subprocess.run(
        ["gcc", *strict, "-o", str(made), str(SOURCE), str(native_library), f"-Wl,-rpath,{native_library.parent}"],
        check=True,
    )
    return made


def run(program: Path, *arguments: str) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False, env={})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_engines_ping_each_other_and_every_run_is_the_same(program: Path) -> None:
    """What each of them sends and when is checked by the program."""
    first = run(program)
    assert first == run(program)
    assert len(first.splitlines()) > 20


def test_an_engine_costs_little(program: Path) -> None:
    """Two milliseconds and half a megabyte are the promise; it is half a millisecond and 270 kB."""
    cost = re.fullmatch(r"(\d+) ns, (\d+) octets\n", run(program, "cost"))
    assert cost is not None
    assert int(cost[1]) < 2_000_000
    assert int(cost[2]) < 500_000


def test_it_opens_nothing_and_starts_no_thread(program: Path) -> None:
    """The system calls that a harness needs from the kernel: memory, and no others."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    traced = ["strace", "-f", "-e", "trace=clone,clone3,fork,vfork,socket,epoll_create1,eventfd2,clock_gettime"]
    done = subprocess.run([*traced, program], capture_output=True, text=True, timeout=60, check=True, env={})
    assert not re.findall(r"^\w+\(.*", done.stderr, re.MULTILINE)
