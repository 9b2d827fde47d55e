"""Octets that are wrong or missing, of 10 GB exchanged with a kernel: over TAP, AF_XDP on a veth and packet sockets, in
both directions, on IPv4 and IPv6, on perfect wires and on bad ones. Every octet is compared with what it has to be.

On standard error stands each case's goodput, and that of two kernels over the same devices and the same wires.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from bench.harness import Benchmark, Measure, Unavailable
from tests.peers import namespaces

MEGABYTES = 10_000
PATIENCE = 1800.0


@contextlib.contextmanager
def ours() -> Iterator[Measure]:
    """Each reading is a process of its own, which compiles the applications with the data plane."""
    if reason := namespaces.available():
        raise Unavailable(reason)
    yield wrong


def wrong() -> float:
    command = [sys.executable, "-m", "bench.tcp.kernel_peer", str(MEGABYTES)]
    environment = {**os.environ, "PRONGHORN_MODE": "jit"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True)
    return float(done.stdout)


BENCHMARK = Benchmark(
    name="tcp_kernel_peer",
    what="10 GB exchanged with a kernel over TAP, AF_XDP and packet sockets: octets wrong",
    unit="octets",
    ours=ours,
    runs=1,
)
