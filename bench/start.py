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


def seconds(top: Topology) -> float:
    """Start a gateway, wait for the first answer, stop the gateway."""
    top.client.namespace.run("ping", "-c1", "-W2", top.client.gateway4)
    begin = time.monotonic_ns()
    balancer = gateway.start(top)
    try:
        done = top.client.namespace.run(
            sys.executable, "-S", "-E", PROBE, SERVICE4, "80", "10", check=False, timeout=20
        )
        if done.returncode:
            said = (top.stage.scratch / f"{balancer.name}.log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"no answer in 10 s (exit status {balancer.process.poll()}): {said}")
        return (int(done.stdout) - begin) / 1e9
    finally:
        top.stage.stop(balancer.process)


@contextlib.contextmanager
def ours() -> Iterator[Measure]:
    gateway.program()
    with served(forward=False, offload=False) as top:
        seconds(top)  # the first one compiles Python's bytecode, as an installation does
        yield lambda: seconds(top)


BENCHMARK = Benchmark(
    name="start",
    what="start of an installed gateway to the first balanced answer",
    unit="s",
    ours=ours,
)
