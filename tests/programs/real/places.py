"""Where a server and its client run, and which of them is accelerated: the arrangements of the real programs.

    direct   both ends of a direct link
    both     two programs of one gateway: what forks cannot be at an end of a direct link, which has one process
    server   our server on a gateway, the client on the kernel behind a veth
    client   our client on a gateway, the server on the kernel behind a veth

Each of them with IPv4 and with IPv6; both ends have addresses of both families all the time.

What is accelerated has no other way: the addresses belong to no kernel, the namespace of the gateway has no route, and
the program is started with `--strict`, so what falls back to the kernel is an error. `Place.judge` looks at the
register, where every socket stands with its path, and at what the interposer said.
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pronghorn.control.client import Client, NotRunning
from pronghorn.control.register import SocketView, sockets
from tests.peers.topology import Node, Topology, topology
from tests.support.patience import eventually

PATHS = ":".join([os.environ.get("PATH", ""), "/usr/sbin:/sbin", *glob.glob("/usr/lib/postgresql/*/bin")])
ARRANGEMENTS = ("direct", "both", "server", "client")
PATIENCE = 20.0  # s that a client has
_links = itertools.count()


def which(name: str) -> str:
    """The program's file; the test is skipped where there is none."""
    found = shutil.which(name, path=PATHS)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@dataclass
class Place:
    """One arrangement, for one test."""

    name: ClassVar[str] = ""
    mode: str
    folder: Path
    library: Path
    strict: bool = True
    family: int = 4
    address: str = ""
    """The server's."""
    own: str = ""
    """The client's."""
    running: list[tuple[subprocess.Popen[bytes], signal.Signals]] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)

    ours: ClassVar[tuple[bool, bool]] = (True, True)
    """Whether the server is accelerated, and the client."""

    # --- what a program's test says

    @property
    def host(self) -> str:
        """The server's address as it stands before `:port`."""
        return bracketed(self.address)

    def of_family(self, four: str, six: str) -> str:
        """The word for the family of this test."""
        return six if self.family == 6 else four

    def serve(self, *command: str | Path, stop: signal.Signals = signal.SIGTERM, quiet: bool = True) -> Path:
        """Start a server; its output is in the file. It ends with the test."""
        return self._start(self.line(True, command), command, stop)

    def begin(self, *command: str | Path) -> Path:
        """Start something that runs for long at the client's end."""
        return self._start(self.line(False, command), command, signal.SIGTERM)

    def ask(self, *command: str | Path, text: str = "", statuses: tuple[int, ...] = (0,)) -> str:
        """Run a client; its output."""
        done = self._client(command, text)
        assert done.returncode in statuses, f"status {done.returncode}\n{done.stdout}{done.stderr}{self.said()}"
        assert not (said := self.fallbacks(done.stderr)), said
        return done.stdout

    def answers(self, *command: str | Path, text: str = "", seconds: float = 15) -> str:
        """The same, again and again until the server is there and the client content."""
        end = time.monotonic() + seconds
        while (done := self._client(command, text)).returncode:
            alive = all(process.poll() is None for process, _ in self.running)
            assert alive, f"a server has ended{self.said()}"
            assert time.monotonic() < end, f"{done.stdout}{done.stderr}{self.said()}"
            time.sleep(0.05)
        assert not (said := self.fallbacks(done.stderr)), said
        return done.stdout

    def until_said(self, log: Path, words: str, seconds: float = 15) -> None:
        """Until the log has the words."""
        assert eventually(lambda: words in log.read_text(errors="replace"), seconds), self.said()

    def said(self) -> str:
        """What the servers said."""
        return "".join(f"\n--- {log.name}\n{log.read_text(errors='replace')[-4000:]}" for log in self.logs)

    # --- whether the path was ours

    def rows(self) -> list[SocketView]:
        """Every socket of the accelerated programs that run now."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PRONGHORN_RUNTIME_DIR", str(self.runtime))
            return list(sockets())

    def judge(self, lasting: bool) -> None:
        """After the clients, while the server runs: no socket but ours."""
        for log in self.logs if self.strict else ():
            assert not (said := self.fallbacks(log.read_text(errors="replace"))), said
        rows = self.rows()
        astray = [row for row in rows if row.path == "kernel" and row.reason != "loopback"]
        assert not astray, astray
        if self.ours[0] and lasting:
            there = eventually(lambda: any(row.path in ("ours", "both") for row in self.rows()) or self.claims(), 5)
            assert there, f"no socket of the server: {rows}{self.said()}"

    def claims(self) -> list[str]:
        """What the programs have claimed at their gateway: known also of those that may not write the register."""
        return []

    @staticmethod
    def fallbacks(text: str) -> list[str]:
        """What the interposer has complained of."""
        return re.findall(r"^pronghorn: .*", text, re.MULTILINE)

    def close(self) -> None:
        """End what runs: politely, then all that it has started."""
        for process, stop in reversed(self.running):
            if process.poll() is None:
                process.send_signal(stop)
        for process, _ in self.running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    # --- how it runs

    @property
    def runtime(self) -> Path:
        """The runtime directory of the programs."""
        return self.folder / "run"

    def environment(self) -> dict[str, str]:
        settings = {"PRONGHORN_LIBRARY": str(self.library), "PRONGHORN_RUNTIME_DIR": str(self.runtime)}
        return {**os.environ, **settings, "RES_OPTIONS": "timeout:1 attempts:1"}  # nobody answers here

    def line(self, server: bool, command: tuple[str | Path, ...]) -> list[str]:
        """The command line that runs it where it belongs."""
        raise NotImplementedError

    def accelerated(self, options: list[str], command: tuple[str | Path, ...]) -> list[str]:
        strict = ["--strict"] if self.strict else []
        words = [which(str(command[0])), *map(str, command[1:])]
        return [sys.executable, "-m", "pronghorn", "run", "--mode", self.mode, *strict, *options, "--", *words]

    def _start(self, line: list[str], command: tuple[str | Path, ...], stop: signal.Signals) -> Path:
        log = self.folder / f"{len(self.logs)}-{Path(str(command[0])).name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                line,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.folder,
            )
        self.running.append((process, stop))
        self.logs.append(log)
        return log

    def _client(self, command: tuple[str | Path, ...], text: str) -> subprocess.CompletedProcess[str]:
        process = subprocess.Popen(
            self.line(False, command),
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=self.folder,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(text, PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            err += f"\n{command[0]} did not end"
        return subprocess.CompletedProcess(list(map(str, command)), process.returncode, out, err)


@dataclass
class Direct(Place):
    """A direct link."""

    name: ClassVar[str] = "direct"
    link: str = ""

    def __post_init__(self) -> None:
        self.link = f"real{next(_links)}"
        self.address, self.own = (self.of_family(f"10.77.0.{number}", f"fd77::{number}") for number in (1, 2))

    def line(self, server: bool, command: tuple[str | Path, ...]) -> list[str]:
        number = 1 if server else 2
        options = ["--link", self.link, "-a", f"10.77.0.{number}/24", "-a", f"fd77::{number}/64"]
        return self.accelerated(options, command)


@dataclass
class Stood:
    """A gateway that runs, for all tests with its driver."""

    stage: Topology
    name: str
    runtime: Path


@dataclass
class OnGateway(Place):
    """Programs of a gateway."""

    stood: Stood | None = None

    @property
    def stage(self) -> Topology:
        assert self.stood is not None
        return self.stood.stage

    def kernel(self, node: Node) -> str:
        """The address of what runs on the node's kernel."""
        return self.of_family(node.address4, node.address6)

    def gateway(self, node: Node) -> str:
        """The address of the gateway's programs that the node sees."""
        return self.of_family(node.gateway4, node.gateway6)

    @property
    def runtime(self) -> Path:
        assert self.stood is not None
        return self.stood.runtime

    def claims(self) -> list[str]:
        assert self.stood is not None
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PRONGHORN_RUNTIME_DIR", str(self.runtime))
            programs = Client(self.stood.name).send("GET", ("programs",))["programs"]
        return [claim for program in programs for claim in program["claims"]]

    def environment(self) -> dict[str, str]:
        return self.stage.stage.marked(super().environment())

    def line(self, server: bool, command: tuple[str | Path, ...]) -> list[str]:
        node = self.stage.servers[0] if server else self.stage.client
        return self.behind(None if self.ours[0 if server else 1] else node, command)

    def serve_behind(self, ours: bool, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a server that another server asks: a program of the gateway, or one of the kernel behind it."""
        self._start(self.behind(None if ours else self.stage.servers[0], command), command, signal.SIGTERM)
        return self.running[-1][0]

    def address_behind(self, ours: bool) -> str:
        """Its address."""
        return self.gateway(self.stage.servers[0]) if ours else self.kernel(self.stage.servers[0])

    def behind(self, node: Node | None, command: tuple[str | Path, ...]) -> list[str]:
        """The command line that runs it on the node's kernel, or else as a program of the gateway."""
        assert self.stood is not None
        if node is None:
            return self.stage.gateway.command(*self.accelerated(["--gateway", self.stood.name], command))
        return node.namespace.command(which(str(command[0])), *command[1:])


@dataclass
class Both(OnGateway):
    """Two programs at one address."""

    name = "both"

    def __post_init__(self) -> None:
        self.address = self.own = self.gateway(self.stage.client)


@dataclass
class Server(OnGateway):
    """The kernel's client."""

    name = "server"
    ours = (True, False)

    def __post_init__(self) -> None:
        self.address, self.own = self.gateway(self.stage.client), self.kernel(self.stage.client)


@dataclass
class Peer(OnGateway):
    """The kernel's server."""

    name = "client"
    ours = (False, True)

    def __post_init__(self) -> None:
        self.address, self.own = self.kernel(self.stage.servers[0]), self.gateway(self.stage.servers[0])


PLACES: dict[str, Callable[..., Any]] = {kind.name: kind for kind in (Direct, Both, Server, Peer)}


@contextlib.contextmanager
def stand(driver: str, library: Path) -> Iterator[Stood]:
    """A gateway between a client's namespace and a server's; its own has no addresses but the engine's."""
    with topology(servers=1, addresses=False) as stage:
        name = f"real-{driver}"
        runtime = stage.stage.scratch / "run"
        runtime.mkdir(mode=0o755)
        lines = ["[gateway]", f'name = "{name}"', "packets = 8192", "huge_pages = false"]
        for node in stage.nodes:
            lines += ["[[ports]]", f'name = "{node.name}"', f'device = "{driver}:{node.port}"']
            lines += [f'addresses = ["{node.gateway4}/24", "{node.gateway6}/64"]']
        lines += ["[programs]", "enabled = true", 'users = ["postgres"]']
        config = stage.stage.scratch / "real.toml"
        config.write_text("\n".join(lines) + "\n")
        environment = {**os.environ, "PRONGHORN_LIBRARY": str(library), "PRONGHORN_RUNTIME_DIR": str(runtime)}
        command = (sys.executable, "-m", "pronghorn.cli", "up", config)
        process = stage.gateway.start(*command, log="gateway.log", environment=environment)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PRONGHORN_RUNTIME_DIR", str(runtime))

            def answers() -> bool:
                with contextlib.suppress(NotRunning):
                    Client(name).get()
                    return True
                return False

            up = eventually(lambda: process.poll() is not None or answers(), 90) and process.poll() is None
        assert up, (stage.stage.scratch / "gateway.log").read_text(errors="replace")
        yield Stood(stage, name, runtime)


def scratch() -> Path:
    """A folder that servers which give up root can read."""
    folder = Path(tempfile.mkdtemp(prefix="pronghorn-real-"))
    folder.chmod(0o755)
    (folder / "run").mkdir()
    return folder
