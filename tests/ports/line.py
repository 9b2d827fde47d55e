"""The stage of the drivers' tests: two hosts with a gateway between them that only a driver under test can bridge.

left eth0 ------- left [gateway] right ------- eth0 right      10.9.0.1, fd09::1 - 10.9.0.2, fd09::2
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from tests.peers.namespaces import Namespace, Stage, stage
from tests.ports.support import TRANSFER, Bench, drive
from tests.support.patience import eventually

LEFT = ("10.9.0.1", "fd09::1")
RIGHT = ("10.9.0.2", "fd09::2")


@dataclass(frozen=True)
class Line:
    stage: Stage
    gateway: Namespace
    left: Namespace
    right: Namespace

    def ping(self, one: Bench, address: str, count: int = 2) -> None:
        """Ping from the left; every answer must come."""
        process = self.left.start("ping", "-c", str(count), "-i", "0.05", "-W", "3", address, log="ping")
        drive(one, process)
        assert process.returncode == 0, (self.stage.scratch / "ping").read_text()

    def transfer(self, one: Bench, kind: str, address: str, octets: int, server: Namespace | None = None) -> None:
        """Send octets from the left and have them back, compared."""
        command = (sys.executable, "-S", "-E", TRANSFER)
        process = (server or self.right).start(*command, "serve", kind, address, "0", log="server")
        log = self.stage.scratch / "server"
        assert eventually(lambda: b"ready" in log.read_bytes()), log.read_text()
        client = self.left.start(*command, "fetch", kind, address, str(octets), log="client")
        drive(one, client)
        assert client.returncode == 0, (self.stage.scratch / "client").read_text() + log.read_text()
        self.stage.stop(process)


@contextlib.contextmanager
def line(queues: int = 1) -> Iterator[Line]:
    """Build it. The veths have `queues` queues at every end."""
    with stage() as place:
        left, gateway, right = (place.namespace(name) for name in ("left", "gateway", "right"))
        many = f"numrxqueues {queues} numtxqueues {queues}"
        for number, (host, name) in enumerate(((left, "left"), (right, "right"))):
            address4, address6 = (LEFT, RIGHT)[number]
            host.ip(
                f"link add name eth0 {many} type veth peer name {name} netns {gateway.name} {many}",
                "link set eth0 up",
                f"address add {address4}/24 dev eth0",
                f"address add {address6}/64 dev eth0 nodad",
            )
            gateway.ip(f"link set {name} up")
        yield Line(place, gateway, left, right)
