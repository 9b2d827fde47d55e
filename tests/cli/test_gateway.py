"""The main job, end to end: `pronghorn up` between real clients and real HTTP servers, on IPv4 and IPv6.

Everything is a process of its own in a network namespace: the client is curl, the servers answer from the kernel's
stack, the gateway is the installed command. The gateway's kernel has no addresses on its ports.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pronghorn.control.client import Client, NotRunning
from tests.peers.http_server import serve
from tests.peers.stage_config import configuration
from tests.peers.topology import SERVICE4, SERVICE6, Topology, topology
from tests.support.patience import becomes

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl"),
]
URLS = (f"http://{SERVICE4}/", f"http://[{SERVICE6}]/")
PATIENCE = 90.0  # seconds until it forwards: a development tree may compile first


@dataclass
class Running:
    stage: Topology
    config: Path
    process: subprocess.Popen[bytes]

    def fetch(self, url: str) -> str:
        """What curl gets; fails when curl does."""
        return self.stage.client.namespace.run("curl", "-sS", "-g", "-m", "20", url, timeout=30).stdout

    def services(self) -> Any:
        return Client("stage").get("services")["services"]

    def start(self) -> None:
        self.process = self.stage.gateway.start(sys.executable, "-m", "pronghorn.cli", "up", str(self.config))
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            try:
                Client("stage").get()
                return
            except NotRunning:
                time.sleep(0.1)
        pytest.fail("the gateway did not start")


@pytest.fixture(params=["packet", "xdp"])
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    with topology(servers=2, addresses=False) as stage:
        for node in stage.servers:
            serve(node)
        config = tmp_path / "stage.toml"
        config.write_text(configuration(stage, "stage", request.param))
        running = Running(stage, config, None)  # type: ignore[arg-type]
        running.start()
        yield running
        running.process.terminate()
        assert running.process.wait(timeout=20) == 0


def test_real_clients_reach_real_servers(gateway: Running) -> None:
    for url in URLS:
        assert {gateway.fetch(url).strip() for _ in range(4)} == {"server1", "server2"}
    for service in gateway.services():
        assert [server["connections"] for server in service["servers"]] == [2, 2]

    Client("stage").send("POST", ("services", "web", "servers", "server1", "drain"))
    assert {gateway.fetch(URLS[0]).strip() for _ in range(4)} == {"server2"}
    web, _ = gateway.services()
    assert [(server["state"], server["connections"]) for server in web["servers"]] == [("drain", 2), ("up", 6)]
    conns = Client("stage").get("conns")["conns"]
    assert {conn["virtual"] for conn in conns} == {f"{SERVICE4}:80", f"[{SERVICE6}]:80"}

    before = interfaces(gateway)
    gateway.process.send_signal(signal.SIGKILL)
    gateway.process.wait()
    alone = before.replace("xdp", "")
    assert becomes(lambda: interfaces(gateway), alone) == alone  # nothing is left attached
    gateway.start()
    for url in URLS:
        assert gateway.fetch(url)


def interfaces(gateway: Running) -> str:
    """The gateway's interfaces as the kernel describes them: names, flags, attached programs."""
    shown = json.loads(gateway.stage.gateway.run("ip", "-j", "-d", "link").stdout)
    return str([(link["ifname"], link["flags"], link["mtu"], "xdp" if "xdp" in link else "") for link in shown])
