"""`pronghorn run --interface`: a gateway for one program, there before it starts and gone when it has ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.compiled import mode
from tests.peers.namespaces import Namespace, Stage, stage
from tests.support.patience import eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(mode() == "interpreted", reason="what is made and taken away is the same in every mode"),
]

PROGRAM = """
import json, os, sys
sys.path.insert(0, os.environ["ROOT"])
from pathlib import Path
from tests.control.test_attach_server import Program
program = Program(Path(os.environ["PRONGHORN_ATTACH"]))
welcome = program.greet()
own = [welcome.addresses[place].lo & 0xFFFFFFFF for place in range(welcome.count)]
children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
print(json.dumps([welcome.error, own, program.claim(80), children, os.getpid()]), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Stage, Namespace, Namespace]]:
    with stage() as made:
        one, two = made.namespace("one"), made.namespace("two")
        made.join(one, "eth0", two, "eth0")
        two.ip("address add 10.9.0.2/24 dev eth0")
        yield made, one, two


def command(node: Namespace, *options: str) -> list[str]:
    run = [sys.executable, "-m", "pronghorn", "run", "--no-preload", "--interface", "eth0", *options]
    return node.command(*run, "--", sys.executable, "-c", PROGRAM)


def environment(made: Stage, folder: Path) -> dict[str, str]:
    more = {"PRONGHORN_RUNTIME_DIR": str(folder), "ROOT": os.getcwd()}
    return {**made.marked(), **more}


def test_a_program_has_an_interface_and_gives_it_back(
    place: tuple[Stage, Namespace, Namespace], tmp_path: Path
) -> None:
    made, one, two = place
    process = subprocess.Popen(
        command(one, "--address", "10.9.0.1/24"),
        env=environment(made, tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        error, own, claimed, children, pid = json.loads(line)
        assert (error, own, claimed, children) == (0, [0x0A090001], 0, "")  # the program has no child it did not make
        assert (tmp_path / f"run-{pid}.attach").exists()
        assert two.run("ping", "-c", "1", "-W", "5", "10.9.0.1", check=False).returncode == 0
    finally:
        process.kill()
        process.communicate()
    eventually(lambda: not list(tmp_path.glob("run-*")))  # the keeper goes
    eventually(lambda: "xdp" not in one.run("ip", "-d", "link", "show", "eth0").stdout)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--interface", "eth7"], "there is no interface eth7"),
        ([], "eth0 has no address that the program could have: give it one with --address"),
        (["--link", "blue"], "--link and --interface: a program has one way"),
    ],
)
def test_what_is_missing_is_said(
    place: tuple[Stage, Namespace, Namespace], tmp_path: Path, options: list[str], says: str
) -> None:
    made, one, _ = place
    done = subprocess.run(
        command(one, *options),
        env=environment(made, tmp_path),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert says in done.stderr
