"""Seconds from the execution of `pronghorn up` to the first balanced answer at a client.

A probe in the client namespace opens a new connection every few milliseconds (a lost SYN is not waited for: its
retransmission would come a second later) and asks the service for its page; its clock is the machine's monotonic one,
read just before the gateway is executed. The client knows the gateway's hardware address beforehand, as the kernel on
the gateway's interface has answered for it.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import gateway
from bench.harness import Benchmark, Measure
from bench.http_xdp import served
from tests.peers.topology import SERVICE4, Topology

PROBE = Path(__file__).parent / "peers" / "first_answer.py"


def seconds(top: Topology, patience: float = 10) -> float:
    """Start a gateway, wait for the first answer, stop the gateway."""
    client = top.client.namespace
    client.run("ping", "-c1", "-W2", top.client.gateway4)
    begin = time.monotonic_ns()
    balancer = gateway.start(top)
    try:
        probe: list[str | Path] = [sys.executable, "-S", "-E", PROBE, SERVICE4, "80", str(patience)]
        done = client.run(*probe, check=False, timeout=patience + 5)
        if done.returncode:
            raise RuntimeError(f"no answer in {patience:g} s: {balancer.said()}")
        return (int(done.stdout) - begin) / 1e9
    finally:
        top.stage.stop(balancer.process)


@contextlib.contextmanager
def ours() -> Iterator[Measure]:
    gateway.program()
    with served(forward=False, offload=False) as top:
        # The first one compiles Python's bytecode, as an installation does, and in jit mode what was changed.
        seconds(top, gateway.PATIENCE)
        yield lambda: seconds(top)


BENCHMARK = Benchmark(
    name="start",
    what="start of an installed gateway to the first balanced answer",
    unit="s",
    ours=ours,
)
