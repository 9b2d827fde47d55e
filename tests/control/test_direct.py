"""Direct links: what the program inherits, who gets which end, and that it is free when its last process has gone."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from ipaddress import ip_interface
from pathlib import Path

import pytest

from pronghorn.control.direct import DirectLink, LinkError
from pronghorn.control.welcome import Grant, refusal, welcome
from pronghorn.ports.link_lay import lanes_octets
from pronghorn.ports.veth_share import sweep
from pronghorn.state.attach import DIRECT_LINK, MAGIC, VERSION, Welcome
from tests.engine.links import halves

ADDRESSES = [ip_interface("10.1.0.1/24"), ip_interface("fd00::1/64")]

PROGRAM = """
import array, json, os, socket, sys
source = socket.socket(fileno=os.dup(int(os.environ["PRONGHORN_ATTACH_FD"])))
seen = []
for _ in range(2):  # it can be looked at again and again
    octets, extra, _, _ = source.recvmsg(4096, socket.CMSG_SPACE(4 * 66), socket.MSG_PEEK)
    found = array.array("i", extra[0][2])
    seen.append([len(octets), [os.readlink(f"/proc/self/fd/{one}") for one in found]])
end = int.from_bytes(octets[20:24], "little")
print(json.dumps({"pid": os.getpid(), "end": end, "seen": seen}), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRONGHORN_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def start(link: str, number: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pronghorn", "run", "--no-preload", "--link", link]
    command += ["--address", f"10.1.0.{number}/24", "--", sys.executable, "-c", PROGRAM]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def told(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        _, complaint = process.communicate()
        raise AssertionError(complaint)
    said: dict[str, object] = json.loads(line)
    return said


def test_a_welcome_says_what_was_granted() -> None:
    grant = Grant(1, 5, 6, [7, 8], ADDRESSES, DIRECT_LINK, 9000, (2000, 2999))
    octets = ctypes.create_string_buffer(welcome(grant), Welcome.SIZE)
    view = Welcome(ctypes.addressof(octets))
    assert (view.magic, view.version, view.error, view.flags) == (MAGIC, VERSION, 0, DIRECT_LINK)
    assert (view.end, view.queues, view.mtu, view.port_low, view.port_high, view.count) == (1, 2, 9000, 2000, 2999, 2)
    assert view.session == grant.session != 0
    for place, text in enumerate(("10.1.0.1", "fd00::1")):
        own = view.addresses[place]
        assert (own.hi & (1 << 64) - 1, own.lo, own.family) == halves(text)
        assert own.length == ADDRESSES[place].network.prefixlen
    assert grant.descriptors() == [5, 6, 7, 8]
    octets = ctypes.create_string_buffer(refusal(13), Welcome.SIZE)
    assert Welcome(ctypes.addressof(octets)).error == 13


def test_two_programs_get_the_two_ends_and_a_third_is_refused(runtime_directory: Path) -> None:
    first = start("blue", 1)
    one = told(first)
    second = start("blue", 2)
    two = told(second)
    third = start("blue", 3)
    try:
        assert (one["end"], two["end"]) == (0, 1)
        assert one["pid"] == first.pid  # the launcher has become the program
        place = runtime_directory / "veth" / "blue"
        descriptors = [str(place / "memory"), str(place / "a.0"), str(place / "b.0")]
        assert one["seen"] == [[Welcome.SIZE, descriptors]] * 2
        assert two["seen"] == [[Welcome.SIZE, [descriptors[0], descriptors[2], descriptors[1]]]] * 2
        assert (place / "memory").stat().st_size >= lanes_octets(1)
        _, complaint = third.communicate(timeout=20)
        assert third.returncode == 1
        assert "two programs have its ends already" in complaint
    finally:
        for process in (first, second, third):
            stop(process)


def test_the_welcome_stays_for_another_program() -> None:
    """A Python program has attached; the next one that it executes finds its Welcome as well."""
    attach = "from pronghorn.sockets.attach import Attachment; Attachment().close()\n"
    command = [sys.executable, "-m", "pronghorn", "run", "--no-preload", "--link", "grey", "-a", "10.1.0.1/24", "--"]
    said = subprocess.run(
        [*command, sys.executable, "-c", attach + PROGRAM], stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    assert said.returncode == 0, said.stderr.decode()
    assert [octets for octets, _ in json.loads(said.stdout)["seen"]] == [Welcome.SIZE] * 2


def test_a_program_that_closes_what_it_does_not_know_keeps_its_end() -> None:
    """As daemons do; the interposer keeps the socket of the Welcome, and the lock lies there."""
    command = [sys.executable, "-m", "pronghorn", "run", "--no-preload", "--link", "white", "-a", "10.1.0.1/24", "--"]
    code = "import os, sys; own = int(os.environ['PRONGHORN_ATTACH_FD']); os.closerange(3, own)\n"
    code += "os.closerange(own + 1, 4096); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([*command, sys.executable, "-c", code], stdin=-1, stdout=-1) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"\n"
        link = DirectLink("white", ADDRESSES, 1500)
        end = link.end
        link.close()
        program.kill()
    assert end == 1


def test_an_end_is_free_when_the_last_process_has_gone() -> None:
    command = [sys.executable, "-m", "pronghorn", "run", "--no-preload", "--link", "green", "-a", "10.1.0.1/24"]
    shell = ["--", "sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"]
    child = int(subprocess.run([*command, *shell], stdout=subprocess.PIPE, check=True, timeout=20).stdout)
    ends = []
    for _ in range(2):
        link = DirectLink("green", ADDRESSES, 1500)
        ends.append(link.end)
        link.close()
        if not ends[1:]:
            os.kill(child, signal.SIGKILL)
            while Path(f"/proc/{child}/exe").exists():
                time.sleep(0.01)
    assert ends == [1, 0]  # the launcher was gone, its child had end 0 still


def test_what_the_dead_left_is_swept_away(runtime_directory: Path) -> None:
    process = start("red", 1)
    told(process)
    place = runtime_directory / "veth" / "red"
    sweep()
    assert place.exists()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sweep()
    assert not place.exists()


def test_a_launcher_that_fails_leaves_nothing(runtime_directory: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    link = DirectLink("white", ADDRESSES, 1500)
    assert all(not fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC for number in link._kept)
    link.close()
    with pytest.raises(LinkError, match=r"may have 64 letters"):
        DirectLink("../up", ADDRESSES, 1500)
    assert set(os.listdir("/proc/self/fd")) == before
    assert list((runtime_directory / "veth").glob("[!.]*")) == []


def test_a_program_that_does_nothing_is_started_at_once() -> None:
    before = time.monotonic()
    command = [sys.executable, "-m", "pronghorn", "run", "--no-preload", "--link", "quick", "-a", "10.1.0.1/24"]
    assert subprocess.run([*command, "true"], timeout=20, check=False).returncode == 0
    assert time.monotonic() - before < 5
