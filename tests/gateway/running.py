"""A gateway in a namespace of its own, real HTTP servers behind it, and curl that asks without end."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pronghorn.control.client import Client, NotRunning
from tests.peers.topology import SERVICE4, SERVICE6, Topology, topology
from tests.support import library
from tests.support.patience import eventually

NAME = "life"
PATIENCE = 90.0  # s until it forwards: a development tree may compile first
ASKING = 'while [ ! -e "$1" ]; do curl -sS -g -m 5 -o /dev/null "$2" && echo ok || echo failed; done 2>&1'
_serial = itertools.count()
URLS = (f"http://{SERVICE4}/", f"http://[{SERVICE6}]/")


@dataclass
class Running:
    """The gateway of a stage: started, killed, started again."""

    stage: Topology
    config: Path
    process: subprocess.Popen[bytes] | None = None

    def begin(self) -> subprocess.Popen[bytes]:
        """Execute `pronghorn up` and return at once."""
        command = (sys.executable, "-m", "pronghorn.cli", "up", self.config)
        self.process = self.stage.gateway.start(*command, log="gateway.log", environment=library.users_mode())
        return self.process

    def start(self) -> None:
        """Execute it and wait until it answers."""
        process, end = self.begin(), time.monotonic() + PATIENCE
        while time.monotonic() < end and process.poll() is None:
            try:
                Client(NAME).get()
                return
            except NotRunning:
                time.sleep(0.02)
        raise AssertionError(f"the gateway did not start: {self.said()}")

    def kill(self) -> None:
        """SIGKILL: nothing of it runs after this."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def said(self) -> str:
        """What it printed since it was started last."""
        return (self.stage.stage.scratch / "gateway.log").read_text(errors="replace")

    def send(self, method: str, *parts: str, body: Any = None) -> Any:
        """A request to its control socket."""
        return Client(NAME).send(method, parts, body=body)

    def interfaces(self) -> Any:
        """The gateway's interfaces as the kernel describes them, counters aside."""
        shown = json.loads(self.stage.gateway.run("ip", "-j", "-d", "address").stdout)
        names = ("ifname", "flags", "mtu", "address", "promiscuity", "allmulti", "qdisc", "xdp", "num_rx_queues")
        return [
            {name: link.get(name) for name in names}
            | {"addresses": sorted(own.get("local", "") for own in link["addr_info"])}
            for link in shown
        ]

    def settled(self) -> Any:
        """The same, once every link is up with its own address: what a change does to them is over."""

        def up(link: Any) -> bool:
            return "LOWER_UP" in link["flags"] and "NO-CARRIER" not in link["flags"] and bool(link["addresses"])

        assert eventually(lambda: all(map(up, self.interfaces()))), self.interfaces()
        return self.interfaces()

    def ask(self, stop: Path) -> list[subprocess.Popen[bytes]]:
        """curl asks both services, one request after the other, until the file is there."""
        start = self.stage.client.namespace.start
        return [start("sh", "-c", ASKING, "sh", stop, url, log=f"{stop.name}{n}.log") for n, url in enumerate(URLS)]

    @contextlib.contextmanager
    def asking(self, least: int) -> Iterator[list[str]]:
        """The same during a block, and until so many have come back; then the list has what came of each request."""
        stop, found = self.stage.stage.scratch / f"stop{next(_serial)}", list[str]()
        logs = [stop.with_name(f"{stop.name}{place}.log") for place in range(len(URLS))]

        def came() -> list[str]:
            return [line for log in logs for line in log.read_text().splitlines()]

        askers = self.ask(stop)
        try:
            yield found
            eventually(lambda: len(came()) >= least)
        finally:
            stop.touch()
        for asker in askers:
            asker.wait(timeout=20)
        found += came()


@contextlib.contextmanager
def native_gateway(folder: Path, native_library: Path, text: Callable[[Topology], str]) -> Iterator[Running]:
    """A gateway of native code on a stage with one server whose kernel adds nothing, of the configuration `text`."""
    with pytest.MonkeyPatch.context() as patch, topology(servers=1, addresses=False, offload=False) as place:
        patch.setenv("PRONGHORN_MODE", "native")
        patch.setenv("PRONGHORN_LIBRARY", str(native_library))
        config = folder / "gateway.toml"
        config.write_text(text(place))
        gateway = Running(place, config)
        gateway.start()
        yield gateway
