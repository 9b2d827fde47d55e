"""`pronghorn up` in the gateway namespace of a topology, and its other commands.

The configuration balances both service addresses over all servers by full NAT, round robin, over one port per link.
AF_XDP is asked for; a benchmark of AF_XDP does not fall back to another driver.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.harness import Unavailable
from tests.peers.topology import SERVICE4, SERVICE6, Node, Topology, await_port

PATIENCE = 60.0  # s until a gateway balances

_serial = itertools.count()


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    process: subprocess.Popen[bytes]
    top: Topology
    name: str

    def command(self, *words: str) -> str:
        """Run `pronghorn WORDS` against this gateway."""
        return self.top.gateway.run(program(), *words, environment=environment(self.top)).stdout

    def said(self) -> str:
        """What it printed, and how it ended if it has."""
        status = self.process.poll()
        text = (self.top.stage.scratch / f"{self.name}.log").read_text(errors="replace")[-2000:].strip()
        return text if status is None else f"exit status {status}: {text}"


def environment(top: Topology) -> dict[str, str]:
    """Control sockets lie in the stage's scratch directory: no other gateway is seen, and nothing is left.

    So does Python's bytecode, which an installed package has and a working tree may not.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    scratch = top.stage.scratch
    return {**kept, "PRONGHORN_RUNTIME_DIR": str(scratch / "run"), "PYTHONPYCACHEPREFIX": str(scratch / "bytecode")}


def program() -> Path:
    """The installed command."""
    path = Path(sys.executable).with_name("pronghorn")
    if not path.exists():
        raise Unavailable(f"engine not available: {path} is not installed")
    return path


def configuration(top: Topology, name: str, driver: str = "xdp", port: int = 80) -> str:
    """The TOML of a gateway that balances the topology's service addresses."""
    lines = ["[gateway]", f'name = "{name}"', ""]
    for node in top.nodes:
        owned = [f"{node.gateway4}/24", f"{node.gateway6}/64"]
        if node is top.client:
            owned += [f"{SERVICE4}/32", f"{SERVICE6}/128"]
        lines += ["[[ports]]", f'name = "{node.port}"', f'device = "{driver}:{node.port}"', f"addresses = {owned}", ""]
    local = [address for node in top.servers for address in (node.gateway4, node.gateway6)]
    lines += ["[balancer]", f"local_addresses = {local}", ""]
    lines += _service("web4", f"{SERVICE4}:{port}", [(node, f"{node.address4}:{port}") for node in top.servers])
    lines += _service("web6", f"[{SERVICE6}]:{port}", [(node, f"[{node.address6}]:{port}") for node in top.servers])
    return "\n".join(lines).replace("'", '"') + "\n"


def _service(name: str, address: str, servers: list[tuple[Node, str]]) -> list[str]:
    lines = ["[[services]]", f'name = "{name}"', f'address = "{address}"', 'scheduler = "rr"', ""]
    for node, server in servers:
        lines += ["[[services.servers]]", f'name = "{node.name}"', f'address = "{server}"', ""]
    return lines


def start(top: Topology) -> Gateway:
    """Execute `pronghorn up` and return at once."""
    name = f"bench-{os.getpid()}-{next(_serial)}"
    path = top.stage.scratch / f"{name}.toml"
    path.write_text(configuration(top, name))
    process = top.gateway.start(program(), "up", path, log=f"{name}.log", environment=environment(top))
    return Gateway(process, top, name)


@contextlib.contextmanager
def up(top: Topology) -> Iterator[Gateway]:
    """A gateway that balances; stopped at the end. One that does not get there is reported with what it printed."""
    gateway = start(top)
    try:
        for address in (SERVICE4, SERVICE6):
            _await(gateway, address)
        yield gateway
    finally:
        top.stage.stop(gateway.process)


def _await(gateway: Gateway, address: str) -> None:
    """Until the service answers. In jit mode a changed source is compiled first, which takes its time."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            await_port(gateway.top.client.namespace, address, 80, seconds=2)
            return
        except RuntimeError as error:
            if gateway.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the gateway does not balance: {gateway.said() or error}") from error
