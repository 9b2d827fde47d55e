"""A server behind a gateway on AF_XDP; the client is the kernel's, over a veth.

Two cores in all: the client has one, the gateway and its program share the other, as the kernel and its program do.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from bench import cores
from bench.programs.pair import SERVER, Pair, namespaces, pinned

PATIENCE = 60.0
NAME = "bench"


@contextlib.contextmanager
def gateway(settings: str = "") -> Iterator[Pair]:
    """The server on a stack of its own, attached to a gateway that has the interface."""
    core, others = cores.split()
    with namespaces() as (server, client, place, folder):
        environment = {**place, "PRONGHORN_RUNTIME_DIR": str(folder), "PRONGHORN_MODE": "native"}
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
