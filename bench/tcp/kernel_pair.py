"""Two kernels with devices, and an engine that crosses their frames, over a wire if there is an impairment.

What TCP in the kernel makes of the path that `station` has: the same devices, the same wires, the same program at each
end.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from bench.tcp.station import BITS, DEVICES, PEER_PROGRAM, PORT
from pronghorn.engine.engine import Engine
from pronghorn.memory.arena import Arena
from pronghorn.net.create import create_net
from pronghorn.ports.wire_port import WirePort
from pronghorn.state.port import CROSS
from tests.peers.namespaces import Namespace, Stage, stage
from tests.ports.support import inside

HOSTS = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
PATIENCE = 300.0


def transfer(device: str, impairment: str, family: int, octets: int, congestion: str = "") -> dict[str, Any]:
    """One stream from one kernel to the other; what the receiver reports. RuntimeError when it does not end."""
    with stage() as place, Engine(1, 8192, 256, Arena.create("engine", limit=4 << 30)) as engine:
        create_net(engine.arena, engine.workers[0])
        hosts = [_host(place, engine, device, number, bool(impairment)) for number in range(2)]
        if impairment:
            for number in range(2):
                engine.add_port(WirePort(f"pair{os.getpid()}?mtu=1500&{impairment}"), CROSS, number)
        engine.start()
        program = (sys.executable, "-S", "-E", PEER_PROGRAM)
        environment = {**os.environ, "CONGESTION": congestion}
        server = hosts[1].start(*program, "serve", str(PORT), "0", str(octets), log="s", environment=environment)
        while f":{PORT} " not in hosts[1].run("ss", "-Hltn").stdout:
            time.sleep(0.02)
        words = ("connect", HOSTS[family][1], str(PORT), str(octets), "0")
        hosts[0].start(*program, *words, log="c", environment=environment)
        end = time.monotonic() + PATIENCE
        while server.poll() is None:
            time.sleep(0.02)
            if time.monotonic() > end:
                raise RuntimeError(f"two kernels over {device} do not come to an end")
        engine.stop()
        report: dict[str, Any] = json.loads(Path(place.scratch / "s").read_text())
        return report


def _host(place: Stage, engine: Engine, device: str, number: int, wired: bool) -> Namespace:
    """A kernel at a device of the engine's, which is port `number`."""
    host = place.namespace(f"host{number}")
    interface = "tap0" if device == "tap" else "eth0"
    home = host
    if device == "tap":
        host.run("ip", "tuntap", "add", "tap0", "mode", "tap")
    else:
        home = place.namespace(f"engine{number}")
        place.join(host, "eth0", home, "eth0")
    with inside(home):
        engine.add_port(DEVICES[device](interface), CROSS, 2 + number if wired else 1 - number)
    addresses = (f"address add {HOSTS[f][number]}/{BITS[f]} dev {interface}" for f in (4, 6))
    host.ip(f"link set {interface} up", *addresses)
    return host
