"""The demonstration on network namespaces: what is set up, in which order, and what is shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from examples.demo.clients import Clients
from examples.demo.script import Script
from tests.peers.http_server import serve
from tests.peers.namespaces import Namespace
from tests.peers.topology import SERVICE4, SERVICE6, Node, Topology, await_port, topology

PICTURE = f"""
         client                       gateway                        server1
         curl             --------    pronghorn up      ----------   HTTP server
         10.0.1.2                     {SERVICE4}:80                  10.0.11.2
         fd00:0:0:1::2                [{SERVICE6}]:80                fd00:0:0:11::2
                                                        ----------   server2
                                                                     HTTP server
"""

DRAIN_AT = 0.4
"""Share of the time after which a server is drained."""

NAME = "demo"


def tell(script: Script, driver: str | None, seconds: float) -> int:
    """Set the stage, show the traffic, drain a server, take everything down. 0 when no request failed."""
    with topology(servers=2, addresses=False) as top:
        kind = " (unprivileged user namespaces)" if top.stage.unprivileged else ""
        script.say(f"Made 4 network namespaces{kind}, joined by veth pairs:")
        script.console.print(PICTURE, markup=False, soft_wrap=True)
        for node in top.servers:
            server = serve(node)
            script.say(f"Started a real HTTP server on {node.name} (process {server.pid}).")
        gateway, used = start(script, top, [driver] if driver else ["xdp", "packet"])
        script.say(f"Gateway up through {'AF_XDP' if used == 'xdp' else 'AF_PACKET'}; both services answer:")
        for host in (SERVICE4, f"[{SERVICE6}]"):
            said = top.client.namespace.run("curl", "--silent", "--max-time", "5", f"http://{host}/").stdout.strip()
            script.say(f"    client$ curl http://{host}/    ->    {said}")
        clients = Clients(top)
        clients.start()
        try:
            _watch(script, top, clients, seconds)
        finally:
            clients.stop()
        script.settle()
        top.stage.stop(gateway)
        status = _account(script, top, clients)
    script.say("Took everything down: no namespace, interface or process is left.")
    return status


def _watch(script: Script, top: Topology, clients: Clients, seconds: float) -> None:
    """The live table, and in the middle of it the drain."""
    begun = time.monotonic()
    drained = ""
    while (passed := time.monotonic() - begun) < seconds:
        if not drained and passed >= DRAIN_AT * seconds:
            drained = top.servers[0].name
            for service in ("web4", "web6"):
                pronghorn(top.gateway, top, "server", "drain", service, drained)
        note = f"{clients.requests} requests, {clients.failed.total()} failed"
        note += f"; {drained} is being drained" if drained else ""
        shown = json.loads(pronghorn(top.gateway, top, "show", "services", "--json"))
        script.show(shown["services"], note)
        time.sleep(0.3)


def _account(script: Script, top: Topology, clients: Clients) -> int:
    """How it went."""
    for name, count in sorted(clients.by_server.items()):
        script.say(f"{name} answered {count} requests.")
    for reason, count in clients.failed.items():
        script.say(f"{count} requests failed: {reason}", "red")
    if not clients.failed:
        script.say(f"{clients.requests} requests, none failed, though {top.servers[0].name} was drained.", "green")
    return 1 if clients.failed else 0


def start(script: Script, top: Topology, drivers: list[str]) -> tuple[subprocess.Popen[bytes], str]:
    """Run `pronghorn up` with the first driver that works. Returns the process and the driver."""
    for driver in drivers:
        path = top.stage.scratch / f"{NAME}-{driver}.toml"
        path.write_text(configuration(top, driver))
        script.say(f"    gateway$ pronghorn up {path.name}")
        process = top.gateway.start(
            sys.executable, "-m", "pronghorn.cli", "up", path, log=f"{driver}.log", environment=_environment(top)
        )
        try:
            for address in (SERVICE4, SERVICE6):
                await_port(top.client.namespace, address, 80, seconds=15)
        except RuntimeError:
            top.stage.stop(process)
            said = (top.stage.scratch / f"{driver}.log").read_text(errors="replace").strip()
            script.say(f"The gateway did not get up with driver {driver}: {said}")
            continue
        return process, driver
    raise RuntimeError("the gateway could not be started; what it said stands above")


def pronghorn(where: Namespace, top: Topology, *words: str) -> str:
    """Run a command of the installed program against the demonstration's gateway."""
    return where.run(sys.executable, "-m", "pronghorn.cli", *words, environment=_environment(top)).stdout


def _environment(top: Topology) -> dict[str, str]:
    return {**os.environ, "PRONGHORN_RUNTIME_DIR": str(Path(top.stage.scratch) / "run")}


def configuration(top: Topology, driver: str) -> str:
    """The gateway's TOML: a port per link, full NAT, both families."""
    text = f'[gateway]\nname = "{NAME}"\n'
    for node in top.nodes:
        owned = [f"{node.gateway4}/24", f"{node.gateway6}/64"]
        if node is top.client:
            owned += [f"{SERVICE4}/32", f"{SERVICE6}/128"]
        text += f'\n[[ports]]\nname = "{node.port}"\ndevice = "{driver}:{node.port}"\naddresses = {json.dumps(owned)}\n'
    local = [address for node in top.servers for address in (node.gateway4, node.gateway6)]
    text += f"\n[balancer]\nlocal_addresses = {json.dumps(local)}\n"
    text += _service("web4", f"{SERVICE4}:80", [(node, f"{node.address4}:80") for node in top.servers])
    return text + _service("web6", f"[{SERVICE6}]:80", [(node, f"[{node.address6}]:80") for node in top.servers])


def _service(name: str, address: str, servers: list[tuple[Node, str]]) -> str:
    text = f'\n[[services]]\nname = "{name}"\naddress = "{address}"\nscheduler = "wrr"\n'
    for node, server in servers:
        text += f'\n[[services.servers]]\nname = "{node.name}"\naddress = "{server}"\n'
    return text
