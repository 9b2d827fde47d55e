"""A server behind a gateway on AF_XDP, or on the kernel in its place; the client is the kernel's, over a veth.

Two cores in all: the client has one, the gateway and its program share the other, as the kernel and its program do.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import cores
from bench.harness import Unavailable
from bench.programs.pair import CLIENT, SERVER, Pair, pinned
from tests.peers.namespaces import Namespace, Refused, stage

PATIENCE = 60.0
NAME = "bench"


@contextlib.contextmanager
def _place() -> Iterator[tuple[Namespace, Namespace, dict[str, str], Path]]:
    """The server's and the client's namespace, joined; only the client has its address yet."""
    try:
        with stage() as made, tempfile.TemporaryDirectory(prefix="pronghorn-bench-") as folder:
            server, client = made.namespace("server"), made.namespace("client")
            made.join(server, "eth0", client, "eth0")
            client.ip(f"address add {CLIENT}/24 dev eth0")
            mode = {"PRONGHORN_RUNTIME_DIR": folder, "PRONGHORN_MODE": "native"}
            yield server, client, {**made.marked(), **mode}, Path(folder)
    except Refused as why:
        raise Unavailable(str(why)) from why


@contextlib.contextmanager
def kernel() -> Iterator[Pair]:
    """Client and server on the kernel's stacks."""
    core, others = cores.split()
    with _place() as (server, client, environment, folder):
        server.ip(f"address add {SERVER}/24 dev eth0")
        yield Pair(server.command(*pinned(core)), client.command(*pinned(others[0])), environment, folder)


@contextlib.contextmanager
def gateway(settings: str = "") -> Iterator[Pair]:
    """The server on a stack of its own, attached to a gateway that has the interface."""
    core, others = cores.split()
    with _place() as (server, client, environment, folder):
        configuration = folder / "gateway.toml"
        configuration.write_text(
            f'[gateway]\nname = "{NAME}"\n\n[[ports]]\nname = "outside"\ndevice = "xdp:eth0"\n'
            f'addresses = ["{SERVER}/24"]\n\n[programs]\nenabled = true\n{settings}'
        )
        program = (sys.executable, "-m", "pronghorn")
        process = server.start(
            *pinned(core), *program, "up", str(configuration), log="gateway.log", environment=environment
        )
        until = time.monotonic() + PATIENCE
        run = server.command(*pinned(core), *program, "run", "--gateway", NAME, "--")
        pair = Pair(run, client.command(*pinned(others[0])), environment, folder, process.pid)
        while not (folder / f"{NAME}.attach").exists() or pair.ask("ping", "-c1", "-W1", SERVER, limit=5).returncode:
            if process.poll() is not None or time.monotonic() > until:
                log = (server.stage.scratch / "gateway.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the gateway does not answer: {log}")
            time.sleep(0.05)
        yield pair
