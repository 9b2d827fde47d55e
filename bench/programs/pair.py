"""A server and a client, each on a core of its own, joined by a direct link of ours or by a Linux veth.

Both sides of a benchmark run the same programs with the same arguments on the same cores. Nothing of the kernel's is
slowed down: its veth passes unfinished checksums and 64 KB segments, as Linux sets it up.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import cores
from bench.harness import Unavailable
from tests.peers.namespaces import Namespace, Refused, stage

SERVER, CLIENT = "198.19.0.1", "198.19.0.2"
PATIENCE = 20.0


@dataclass(frozen=True)
class Pair:
    """How to start each of the two programs; the server answers at SERVER."""

    server: Sequence[str]
    client: Sequence[str]
    environment: dict[str, str]
    folder: Path
    keeper: int = 0  # process of the gateway, if there is one

    @contextlib.contextmanager
    def serve(self, *command: str, ready: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """Run the server until the block ends; it is there when the client command `ready` succeeds."""
        with (self.folder / "server.log").open("wb") as log:
            process = subprocess.Popen(
                [*self.server, *command], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            until = time.monotonic() + PATIENCE
            while self.ask(*ready, limit=5).returncode != 0:
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{command[0]} does not serve:\n{(self.folder / 'server.log').read_text()}")
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def ask(self, *command: str, limit: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the client; its output."""
        try:
            return subprocess.run(
                [*self.client, *command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=limit,
            )
        except subprocess.TimeoutExpired as late:
            return subprocess.CompletedProcess(late.cmd, 124, "", f"no end within {limit} s")

    def output(self, *command: str, limit: float = 120) -> str:
        """The same; RuntimeError when it fails."""
        done = self.ask(*command, limit=limit)
        if done.returncode != 0:
            raise RuntimeError(
                f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}{done.stdout[-500:]}"
            )
        return done.stdout


def pinned(core: int) -> list[str]:
    return ["taskset", "-c", str(core)]


@contextlib.contextmanager
def accelerated(server: Sequence[str] = (), client: Sequence[str] = ()) -> Iterator[Pair]:
    """Two programs on stacks of their own, joined by a direct link; the options are those of `pronghorn run`."""
    core, others = cores.split()
    with tempfile.TemporaryDirectory(prefix="pronghorn-bench-") as place:
        environment = {**os.environ, "PRONGHORN_RUNTIME_DIR": place, "PRONGHORN_MODE": "native"}

        def run(core: int, address: str, options: Sequence[str]) -> list[str]:
            start = [sys.executable, "-m", "pronghorn", "run", "--link", "bench", "--address", f"{address}/24"]
            return [*pinned(core), *start, *options, "--"]

        yield Pair(run(core, SERVER, server), run(others[0], CLIENT, client), environment, Path(place))


@contextlib.contextmanager
def namespaces() -> Iterator[tuple[Namespace, Namespace, dict[str, str], Path]]:
    """The server's and the client's namespace, joined by a veth, and their environment; only the client has its
    address yet. A folder that goes away again."""
    try:
        with stage() as place, tempfile.TemporaryDirectory(prefix="pronghorn-bench-") as folder:
            server, client = place.namespace("server"), place.namespace("client")
            place.join(server, "eth0", client, "eth0")
            client.ip(f"address add {CLIENT}/24 dev eth0")
            yield server, client, place.marked(), Path(folder)
    except Refused as why:
        raise Unavailable(str(why)) from why


@contextlib.contextmanager
def kernel() -> Iterator[Pair]:
    """The same two programs on the kernel's stacks, in namespaces joined by a veth."""
    core, others = cores.split()
    with namespaces() as (server, client, environment, folder):
        server.ip(f"address add {SERVER}/24 dev eth0")
        yield Pair(server.command(*pinned(core)), client.command(*pinned(others[0])), environment, folder)
