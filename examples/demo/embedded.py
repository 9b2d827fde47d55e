"""The demonstration where network namespaces are refused: the same story within this process.

                        this process
    clients  --veth--  gateway engine  --veth--  switch (user-vbridge)  --  server1
    (simulated)        (the real one)            (the real one)         --  server2 (simulated)

The gateway is the one that `pronghorn up` runs, with the same configuration but for its devices: user-veths, through
shared memory to a second engine that holds the hosts' ends. Clients and servers are not real programs: they are small
TCP endpoints in plain Python (small_tcp.py), each with its own addresses and its own port.
"""

from __future__ import annotations

import ctypes
import dataclasses
import ipaddress
import json
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from examples.demo.script import Script
from examples.demo.small_host import SmallHost
from examples.demo.small_tcp import SmallClient, SmallServer
from pronghorn.control.edit import change_server
from pronghorn.control.gateway import Gateway
from pronghorn.control.load import loads
from pronghorn.control.native import open_engine
from pronghorn.control.rates import with_rates
from pronghorn.engine.engine import Engine
from pronghorn.engine.flush import flush
from pronghorn.engine.turn import serve
from pronghorn.ports.catalogue import driver_for
from pronghorn.ports.drivers import receive
from pronghorn.state.packet import Packet
from pronghorn.state.packets import allocate, finish, release
from pronghorn.state.port import BURST, CROSS
from pronghorn.state.transmit import transmit
from pronghorn.state.worker import Worker

SERVICE4, SERVICE6 = "10.0.0.100", "fd00::100"
CLIENT = ("10.0.1.2", "fd00:0:0:1::2")
CLIENT_GATEWAY = ("10.0.1.1", "fd00:0:0:1::1")
SERVERS = [("10.0.11.2", "fd00:0:0:11::2"), ("10.0.11.3", "fd00:0:0:11::3")]
SERVER_GATEWAY = ("10.0.11.1", "fd00:0:0:11::1")
PARALLEL, RATE = 16, 120.0  # requests at a time, and per second
DRAIN_AT = 0.4
"""Share of the time after which a server is drained."""

PICTURE = f"""
         simulated clients            gateway (the real one)                 server1 (simulated)
         {CLIENT[0]}  -- user-veth --  {SERVICE4}:80  -- user-veth -- user-vbridge  --  {SERVERS[0][0]}
         {CLIENT[1]}                [{SERVICE6}]:80                                  server2 (simulated)
                                                                               {SERVERS[1][0]}
"""


def tell_embedded(script: Script, seconds: float) -> int:
    """Set the stage in this process, show the traffic, drain a server. 0 when no request failed."""
    script.say("Showing it on the embedded network instead: user-veth and user-vbridge in this process.")
    script.say(
        "The gateway is the real one. Clients and servers are SIMULATED: small TCP endpoints in Python.", "yellow"
    )
    script.console.print(PICTURE, markup=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="pronghorn-demo-") as scratch:
        before = os.environ.get("PRONGHORN_RUNTIME_DIR")
        os.environ["PRONGHORN_RUNTIME_DIR"] = scratch
        try:
            return _tell(script, seconds)
        finally:
            if before is None:
                del os.environ["PRONGHORN_RUNTIME_DIR"]
            else:
                os.environ["PRONGHORN_RUNTIME_DIR"] = before
            assert not list(Path(scratch).glob("veth/*")), "a user-veth was left behind"


def _tell(script: Script, seconds: float) -> int:
    with Hosts() as hosts:
        script.say("Starting the gateway (where the package was not built ahead of time, it compiles first).")
        gateway = Gateway(open_engine, loads(configuration(), "demo.toml"))
        try:
            script.say("Gateway up; the clients begin to ask, one connection per request, IPv4 and IPv6 in turn.")
            _watch(script, gateway, hosts, seconds)
            hosts.client.stopped = True
            hosts.run(until=lambda: not hosts.client.under_way, seconds=5)
        finally:
            gateway.close()
    script.settle()
    client = hosts.client
    for name, count in sorted(client.by_server.items()):
        script.say(f"{name} answered {count} requests.")
    for reason, count in client.failed.items():
        script.say(f"{count} requests failed: {reason}", "red")
    if client.failed or not client.requests:
        return 1
    script.say(f"{client.requests} requests, none failed, though server1 was drained.", "green")
    return 0


def _watch(script: Script, gateway: Gateway, hosts: Hosts, seconds: float) -> None:
    """The live table, and in the middle of it the drain."""
    begun, drained = time.monotonic(), False
    looked, views = begun, gateway.engine.services()
    while (passed := time.monotonic() - begun) < seconds:
        if not drained and passed >= DRAIN_AT * seconds:
            drained = True
            for service in ("web4", "web6"):
                gateway.edit(partial(change_server, name=service, label="server1", change={"state": "drain"}))
        hosts.run(seconds=0.3)
        now, seen = time.monotonic(), gateway.engine.services()
        rated = with_rates(views, seen, now - looked)
        looked, views = now, seen
        note = f"{hosts.client.requests} requests (simulated), {hosts.client.failed.total()} failed"
        script.show(
            [dataclasses.asdict(view) for view in rated], note + ("; server1 is being drained" if drained else "")
        )


class Hosts:
    """The hosts' ends of the links, in an engine of their own that is driven by hand."""

    def __init__(self) -> None:
        self.engine = Engine(workers=1, packets=4096)
        self.worker: Worker = self.engine.workers[0]
        client = SmallHost(1, CLIENT, CLIENT_GATEWAY)
        servers = [SmallHost(2 + number, own, SERVER_GATEWAY) for number, own in enumerate(SERVERS)]
        self._ports = {self._open(f"veth:{name()}-clients?offload=off"): client}
        uplink = self._open(f"veth:{name()}-servers?offload=off", CROSS)
        member = self._open("bridge:lan", CROSS, uplink)
        self.engine.ports[uplink].peer = member
        self._crossing = [uplink, member]
        self._ports |= {self._open("bridge:lan"): server for server in servers}
        for port, host in self._ports.items():
            host.send = partial(self._send, port)
        targets = [_packed(SERVICE4), _packed(SERVICE6)]
        self.client = SmallClient(client, targets, PARALLEL, RATE)
        self.servers = [SmallServer(host, f"server{number}") for number, host in enumerate(servers, 1)]

    def _open(self, device: str, role: int = 0, peer: int = 0) -> int:
        return self.engine.add_port(driver_for(device), role, peer)

    def run(self, seconds: float, until: Any = lambda: False) -> None:
        """Turn after turn for so long, or until something is so."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end and not until():
            if not self.turn(now):
                time.sleep(0.0005)

    def turn(self, now: float) -> int:
        """What arrived, what is due, and what leaves; returns how many frames arrived."""
        worker, frames = self.worker, 0
        worker.now = int(now * 1e9)
        for port in self._crossing:
            frames += serve(worker, worker.ports[port], worker.queues[port])
        for port, host in self._ports.items():
            for frame in self._receive(port):
                host.receive(frame)
                frames += 1
        self.client.tick(now)
        for server in self.servers:
            server.tick(now)
        flush(worker)
        return frames

    def _receive(self, port: int) -> list[bytes]:
        worker = self.worker
        packets = [
            Packet(worker.burst[place])
            for place in range(receive(worker, worker.ports[port], worker.queues[port], BURST))
        ]
        frames = [ctypes.string_at(packet.data, packet.length) for packet in packets]
        for packet in packets:
            release(worker, packet)
        return frames

    def _send(self, port: int, frame: bytes) -> None:
        packet = allocate(self.worker)
        if packet.address != 0:  # otherwise it is lost, as on a wire
            ctypes.memmove(packet.data, frame, len(frame))
            packet.length = len(frame)
            finish(self.worker, packet, transmit(self.worker, packet, port))

    def __enter__(self) -> Hosts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.close()


def name() -> str:
    """Of this run's user-veths."""
    return f"demo-{os.getpid()}"


def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def configuration() -> str:
    """The gateway's TOML: as in the demonstration on namespaces, but for the devices."""
    ports = [
        ("clients", [f"{CLIENT_GATEWAY[0]}/24", f"{CLIENT_GATEWAY[1]}/64", f"{SERVICE4}/32", f"{SERVICE6}/128"]),
        ("servers", [f"{SERVER_GATEWAY[0]}/24", f"{SERVER_GATEWAY[1]}/64"]),
    ]
    text = '[gateway]\nname = "demo"\n'
    for port, owned in ports:
        text += f'\n[[ports]]\nname = "{port}"\ndevice = "veth:{name()}-{port}"\naddresses = {json.dumps(owned)}\n'
    text += f"\n[balancer]\nlocal_addresses = {json.dumps(SERVER_GATEWAY)}\n"
    for service, address, family in (("web4", f"{SERVICE4}:80", 0), ("web6", f"[{SERVICE6}]:80", 1)):
        text += f'\n[[services]]\nname = "{service}"\naddress = "{address}"\nscheduler = "wrr"\n'
        for number, own in enumerate(SERVERS, 1):
            server = f"[{own[1]}]:80" if family else f"{own[0]}:80"
            text += f'\n[[services.servers]]\nname = "server{number}"\naddress = "{server}"\n'
    return text
