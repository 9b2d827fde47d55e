"""A gateway with peers behind it, in namespaces, by each driver. The veth pairs are as Linux makes them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.peers import namespaces
from tests.peers.topology import SERVICE4, SERVICE6, Topology, await_port, topology
from tests.support import library

HERE = Path(__file__).parent
PATIENCE = 90.0  # s until it forwards: a development tree may compile first


@dataclass
class Gateway:
    """`pronghorn up` on a stage."""

    stage: Topology
    driver: str
    mtu: dict[str, int] = field(default_factory=dict)  # by port, where it is not the device's
    spare: str = ""  # another device to open, without addresses

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, with both protocols on both families, and wait until it balances."""
        config = self.stage.stage.scratch / "interop.toml"
        config.write_text(self._configuration())
        process = self.stage.gateway.start(
            *self._command("up", str(config)), log="gateway.log", environment=self._env()
        )
        end = time.monotonic() + PATIENCE
        for address in (SERVICE4, SERVICE6):
            while not self._answers(address):
                assert process.poll() is None, self.said()
                assert time.monotonic() < end, self.said()
        assert process.poll() is None, self.said()  # it was this one that answered
        return process

    def show(self, kind: str) -> list[dict[str, Any]]:
        """`pronghorn show KIND --json`."""
        done = self.stage.gateway.run(*self._command("show", kind, "--json"), environment=self._env())
        rows: list[dict[str, Any]] = json.loads(done.stdout)[kind]
        return rows

    def said(self) -> str:
        """Its log."""
        return (self.stage.stage.scratch / "gateway.log").read_text(errors="replace")

    def ask(self, *words: object) -> None:
        """Run asker.py on the client; what it has to complain about is the error."""
        self.stage.client.namespace.run(sys.executable, "-S", "-E", HERE / "asker.py", *map(str, words), timeout=60)

    def _answers(self, address: str) -> bool:
        try:
            await_port(self.stage.client.namespace, address, 80, 1)
        except RuntimeError:
            return False
        return True

    def _command(self, *words: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "pronghorn.cli", *words)

    def _env(self) -> dict[str, str]:
        return {**library.users_mode(), "PRONGHORN_RUNTIME_DIR": str(self.stage.stage.scratch / "run")}

    def _configuration(self) -> str:
        lines = ["[gateway]", 'name = "gateway"', "packets = 4096"]
        for node in self.stage.nodes:
            own = [f"{node.gateway4}/24", f"{node.gateway6}/64"]
            own += [f"{SERVICE4}/32", f"{SERVICE6}/128"] if node is self.stage.client else []
            lines += ["[[ports]]", f'name = "{node.port}"', f'device = "{self.driver}:{node.port}"']
            lines += [f"addresses = {json.dumps(own)}"]
            lines += [f"mtu = {self.mtu[node.port]}"] if node.port in self.mtu else []
        if self.spare:
            lines += ["[[ports]]", f'name = "{self.spare}"', f'device = "{self.driver}:{self.spare}"']
        local = [address for node in self.stage.servers for address in (node.gateway4, node.gateway6)]
        lines += ["[balancer]", f"local_addresses = {json.dumps(local)}", "timeouts = { udp = 1, time_wait = 1 }"]
        for name, protocol, port in (("web", "tcp", 80), ("echo", "udp", 53)):
            for family, address in (("4", SERVICE4), ("6", f"[{SERVICE6}]")):
                servers = [node.address4 if family == "4" else f"[{node.address6}]" for node in self.stage.servers]
                lines += ["[[services]]", f'name = "{name}{family}"', f'address = "{address}:{port}"']
                lines += [f'protocol = "{protocol}"', 'scheduler = "rr"']
                lines += ["servers = [" + ", ".join(f'{{ address = "{at}:{port}" }}' for at in servers) + "]"]
        return "\n".join(lines) + "\n"


@pytest.fixture(scope="module", params=["xdp", "packet"])
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def stage() -> Iterator[Topology]:
    if reason := namespaces.available():
        pytest.skip(reason)
    with topology(servers=2, addresses=False) as top:
        for node in top.servers:
            node.namespace.start(sys.executable, "-S", "-E", HERE / "peer.py")
            await_port(node.namespace, "127.0.0.1", 80)
        yield top


@pytest.fixture(scope="module")
def gateway(stage: Topology, driver: str) -> Iterator[Gateway]:
    own = Gateway(stage, driver)
    process = own.start()
    yield own
    stage.stage.stop(process)
