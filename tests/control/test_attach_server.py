"""Programs at the socket of a real daemon over a fake data plane: greetings, claims, bad ones, ends by kill -9."""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pronghorn.control.client import Client
from pronghorn.state.attach import CLAIM_LISTEN, MAGIC, VERSION, Answer, Claim, Hello, Welcome
from tests.control.gateways import CONFIG, Daemon, running

PROGRAMS = CONFIG.replace("local_addresses", "# ").split("[[services]]")[0] + "[programs]\nenabled = true\nmost = 4\n"
DIE = 200
"""Processes that are killed."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("programs")
    with contextlib.ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PRONGHORN_RUNTIME_DIR", str(folder / "run"))
            daemon = stack.enter_context(running(folder, PROGRAMS))
        yield daemon


@pytest.fixture(autouse=True)
def place(gateway: Daemon, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The socket, when it is there and no program of another test is."""
    folder = gateway.config.parent / "run"
    monkeypatch.setenv("PRONGHORN_RUNTIME_DIR", str(folder))
    until = time.monotonic() + 20
    while not (folder / "edge.attach").exists() or shown():
        assert time.monotonic() < until
        time.sleep(0.01)
    return folder / "edge.attach"


def shown() -> Any:
    return Client("edge").get("programs")["programs"]


def message(record: Any, **fields: int) -> bytearray:
    octets = bytearray(record.SIZE)
    view = record(ctypes.addressof(ctypes.c_char.from_buffer(octets)))
    for name, value in fields.items():
        setattr(view, name, value)
    return octets


def read(kind: Any, octets: bytes) -> Any:
    buffer = ctypes.create_string_buffer(octets, kind.SIZE)
    view = kind(ctypes.addressof(buffer))
    view.kept = buffer
    return view


class Program:
    """This process as a program."""

    def __init__(self, place: Path) -> None:
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link.settimeout(10)
        self.link.connect(str(place))
        self.descriptors: list[int] = []

    def greet(self, **fields: int) -> Any:
        self.link.send(message(Hello, **{"magic": MAGIC, "version": VERSION, **fields}))
        octets, extra, _, _ = self.link.recvmsg(Welcome.SIZE, socket.CMSG_SPACE(4 * 66))
        self.descriptors += [one for _, _, data in extra for one in array.array("i", data)]
        return read(Welcome, octets) if octets else None

    def claim(self, port: int, **fields: int) -> int:
        usual = {"kind": CLAIM_LISTEN, "protocol": 6, "family": 10, "number": port}
        self.link.send(message(Claim, **{**usual, "port": port, **fields}))
        answer = read(Answer, self.link.recv(Answer.SIZE))
        assert answer.number == port
        return int(answer.error)

    def has_ended(self) -> bool:
        """Whether the gateway has closed the connection."""
        try:
            return self.link.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.link.close()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def test_a_program_attaches_claims_and_goes(place: Path) -> None:
    with Program(place) as program:
        welcome = program.greet()
        assert (welcome.error, welcome.end, welcome.queues, welcome.count) == (0, 1, 2, 2)
        assert len(program.descriptors) == 2 + welcome.queues
        assert program.claim(6379) == 0
        assert program.claim(6380) == 0
        with Program(place) as other:
            assert other.greet().port_low == welcome.port_high + 1
            assert other.claim(6379) == errno.EADDRINUSE
            assert [view["pid"] for view in shown()] == [os.getpid(), os.getpid()]
            assert other.claim(6381) == 0
        assert [view["claims"] for view in shown()] == [["tcp *:6379", "tcp *:6380"]]
    assert shown() == []


def test_there_is_room_for_so_many(place: Path) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            assert stack.enter_context(Program(place)).greet().error == 0
        assert stack.enter_context(Program(place)).greet().error == errno.EUSERS


@pytest.mark.parametrize(
    "octets",
    [b"", b"x", bytes(Hello.SIZE), bytes(4096), bytes(message(Hello, magic=MAGIC, version=VERSION))[:-1]],
    ids=["empty", "short", "zeros", "long", "cut"],
)
def test_what_is_no_hello_ends_the_connection(place: Path, octets: bytes) -> None:
    with Program(place) as program:
        program.link.send(octets)
        assert program.has_ended()


@pytest.mark.parametrize(
    "octets",
    [b"x", bytes(Claim.SIZE), bytes(Claim.SIZE + 1), bytes(message(Claim, kind=1, protocol=99, family=4, port=1))],
    ids=["short", "zeros", "long", "protocol"],
)
def test_what_is_no_claim_ends_the_attachment(place: Path, octets: bytes) -> None:
    with Program(place) as program:
        program.greet()
        program.link.send(octets)
        assert program.has_ended()
    assert shown() == []


def test_descriptors_that_a_program_sends_are_not_kept(gateway: Daemon, place: Path) -> None:
    with Program(place) as program:
        program.greet()
        before = descriptors(gateway)
        with open("/dev/null") as file:
            for port in range(2000, 2020):
                octets = message(Claim, kind=CLAIM_LISTEN, protocol=6, family=10, port=port, number=port)
                socket.send_fds(program.link, [octets], [file.fileno()] * 100)
                program.link.recv(Answer.SIZE)
        assert descriptors(gateway) <= before


def test_who_never_reads_is_ended_and_the_others_are_served(place: Path) -> None:
    with Program(place) as deaf, Program(place) as other:
        deaf.greet()
        other.greet()
        octets = message(Claim, kind=CLAIM_LISTEN, protocol=6, family=10, port=0)
        deaf.link.settimeout(0.01)
        with contextlib.suppress(TimeoutError, BrokenPipeError, ConnectionResetError):
            while True:
                deaf.link.send(octets)
        before = time.monotonic()
        assert other.claim(7000) == 0
        assert time.monotonic() - before < 10


def test_a_crowd_that_says_nothing_does_not_keep_others_out(place: Path) -> None:
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(Program(place)) for _ in range(100)]
        assert read(Welcome, crowd[-1].link.recv(Welcome.SIZE)).error == errno.EAGAIN
        assert crowd[0].has_ended(), "taken for silent"
        assert stack.enter_context(Program(place)).greet().error == 0


VICTIM = """
import os, sys, time
sys.path.insert(0, os.getcwd())
from tests.control.test_attach_server import Program, Path
for number in range(int(sys.argv[2])):
    if os.fork() == 0:
        program = Program(Path(sys.argv[1]))
        assert program.greet().error == 0
        assert program.claim(6379) == 0, "not free yet"
        assert program.claim(6380, protocol=17) == 0
        os.kill(os.getpid(), 9)
    assert os.wait()[1] == 9, f"number {number}"
"""


def test_nothing_is_left_of_processes_that_are_killed(gateway: Daemon, place: Path) -> None:
    """Each finds the ports of the one before free, at once."""
    with Program(place) as program:  # what a first one brings is brought
        program.greet()
    before = await_descriptors(gateway, None)
    command = [sys.executable, "-c", VICTIM, str(place), str(DIE)]
    subprocess.run(command, check=True, timeout=60)
    assert await_descriptors(gateway, before) == before
    assert shown() == []
    maps = Path(f"/proc/{gateway.process.pid}/maps").read_text()
    assert "memfd:pronghorn" not in maps


def test_a_child_that_inherits_the_socket_does_not_keep_its_parent(place: Path) -> None:
    script = "import os, sys\n" + VICTIM.split("for number")[0].split("import os, sys, time")[1] + INHERIT
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        assert len(shown()) == 1
        process.send_signal(signal.SIGKILL)
        until = time.monotonic() + 10
        while shown():
            assert time.monotonic() < until
            time.sleep(0.01)
        assert Path(f"/proc/{child}/exe").exists()
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()


INHERIT = """
import time
program = Program(Path(sys.argv[1]))
program.greet()
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(60)
"""


DROPS = """
import errno
with Program(Path(sys.argv[1])) as program:
    program.greet()
    assert program.claim(81) == 0
    os.seteuid(65534)
    assert program.claim(82) == errno.EACCES
    os.seteuid(0)
    assert program.claim(82) == 0
    os.setuid(65534)
    assert program.claim(83) == errno.EACCES
    assert program.claim(8300) == 0
"""
SPEAKS = """
with Program(Path(sys.argv[1])) as program:
    program.greet()
    assert program.claim(8301) == 0
    if os.fork() == 0:
        program.claim(8302)
    assert os.wait()[1] != 0
    assert program.has_ended()
"""


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(DROPS, id="drops", marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to drop it")),
        pytest.param(SPEAKS, id="speaks"),
    ],
)
def test_claims_are_those_of_the_process_as_it_is(place: Path, script: str) -> None:
    """Rights that it gave up are gone; a child that has the socket by fork is another process."""
    start = VICTIM.split("for number")[0]
    ended = subprocess.run(
        [sys.executable, "-c", start + script, str(place)], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert shown() == []


def test_a_change_is_for_those_who_come(gateway: Daemon, place: Path) -> None:
    with Program(place) as program:
        program.greet()
        change = PROGRAMS + 'ports = "20000-29999"\nusers = ["nobody"]\n'
        (step,) = Client("edge").send("PUT", ("config",), {}, change)["plan"]
        assert step["text"] == "change programs: ports 16384-32767 -> 20000-29999, users [] -> ['nobody']"
        assert place.stat().st_mode & 0o777 == 0o666
        with Program(place) as other:
            assert other.greet().port_low in range(20000, 30000, 256)
        assert len(shown()) == 1
    Client("edge").send("PUT", ("config",), {}, PROGRAMS)
    assert place.stat().st_mode & 0o777 == 0o600


def descriptors(gateway: Daemon) -> int:
    return len(os.listdir(f"/proc/{gateway.process.pid}/fd"))


def await_descriptors(gateway: Daemon, wanted: int | None) -> int:
    """How many the daemon has when it has come to rest, or as soon as it has so many."""
    until, last = time.monotonic() + 10, -1
    while time.monotonic() < until:
        now = descriptors(gateway)
        if now == wanted or (wanted is None and now == last and not shown()):
            return now
        last = now
        time.sleep(0.05)
    return last
