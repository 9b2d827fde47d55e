"""iperf3 between two namespaces joined by a Linux veth: octets of payload per second of CPU time, both ends together.

The pair has Linux's own settings: 64 KB segments pass unsegmented and unsummed. Both processes share the measured core,
as our engines do. The CPU time is iperf3's own account of both processes, in which the kernel counts its work for
them.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator

from bench import cores
from bench.harness import Measure, Unavailable
from tests.peers.namespaces import Namespace, Refused, stage
from tests.peers.topology import await_port

SERVER, CLIENT, PORT = "198.19.0.1", "198.19.0.2", 5201
SECONDS = 2


def parse(text: str) -> float:
    """Octets received per second of CPU time from iperf3's JSON."""
    end = json.loads(text)["end"]
    used = end["cpu_utilization_percent"]
    cores_used = (used["host_total"] + used["remote_total"]) / 100
    octets = end["sum_received"]["bytes"] / end["sum_received"]["seconds"]
    if not cores_used or not octets:
        raise RuntimeError(f"iperf3 moved {octets} octets/s on {cores_used} cores")
    return float(octets / cores_used)


@contextlib.contextmanager
def bulk() -> Iterator[Measure]:
    """A side: one connection over a veth pair."""
    if shutil.which("iperf3") is None:
        raise Unavailable("iperf3 is not installed (package iperf3)")
    core, _ = cores.split()
    try:
        with stage() as place:
            server, client = place.namespace("server"), place.namespace("client")
            place.join(server, "eth0", client, "eth0")
            server.ip(f"address add {SERVER}/24 dev eth0")
            client.ip(f"address add {CLIENT}/24 dev eth0")
            server.start("taskset", "-c", str(core), "iperf3", "-s", "-p", str(PORT), log="iperf3.log")
            await_port(client, SERVER, PORT)
            yield lambda: per_core(client, core)
    except Refused as why:
        raise Unavailable(str(why)) from why


def per_core(client: Namespace, core: int, seconds: int = SECONDS) -> float:
    command = ("taskset", "-c", core, "iperf3", "-c", SERVER, "-p", PORT, "-t", seconds, "-O", "1", "-J")
    return parse(client.run(*map(str, command), timeout=seconds + 30).stdout)
