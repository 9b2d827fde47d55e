"""Failures among 10,000 curl requests, 1,000 at a time, while one of two servers is drained in the middle.

Every request is a connection of its own and its answer is paced to take about a second, so that the drain meets a
thousand connections in every state. A failure is any request that did not end with status 200 and a whole body. The
run itself is wrong, and an error, if the drain came too late to matter or the drained server went on getting work.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench import gateway
from bench.harness import Benchmark, Measure
from bench.http_xdp import served
from tests.peers.topology import SERVICE4, Topology

REQUESTS = 10_000
CLIENTS, EACH = 4, 250  # curl itself allows 300 transfers at a time
TAIL = 2_000
WELL = "200 0 "  # status, and that the whole answer came


@dataclass
class Answers:
    """What the curls printed, in order of arrival: status and server of each request."""

    lines: list[str] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def collect(self, curl: subprocess.Popen[str]) -> None:
        assert curl.stdout is not None
        for line in curl.stdout:
            with self.arrived:
                self.lines.append(line.strip())
                self.arrived.notify_all()

    def wait_for(self, count: int, seconds: float) -> bool:
        with self.arrived:
            return self.arrived.wait_for(lambda: len(self.lines) >= count, seconds)


def failures(lines: list[str], asked: int) -> int:
    """How many of the requests did not end well. A curl that dies prints nothing for what it had left."""
    return asked - sum(line.startswith(WELL) for line in lines)


def curls(top: Topology) -> Iterator[subprocess.Popen[str]]:
    """Start the clients: each prints status, exit code and content type per request."""
    url = f"http://{SERVICE4}/slow?[1-{REQUESTS // CLIENTS}]"
    options = [
        "--silent",
        "--no-progress-meter",
        "--parallel",
        "--parallel-immediate",
        "--parallel-max",
        str(EACH),
        "--max-time",
        "30",
    ]
    printed = ["--output", "/dev/null", "--write-out", "%{http_code} %{exitcode} %{content_type}\\n"]
    argv = ["curl", *options, "--header", "Connection: close", *printed, url]
    for _ in range(CLIENTS):
        yield subprocess.Popen(top.client.namespace.command(*argv), stdout=subprocess.PIPE, text=True)


def run(top: Topology, balancer: gateway.Gateway) -> float:
    """10,000 requests; the first server is drained when a third has been answered, and resumed at the end."""
    drained = top.servers[0].name
    answers = Answers()
    with contextlib.ExitStack() as processes:
        clients = [processes.enter_context(curl) for curl in curls(top)]
        readers = [threading.Thread(target=answers.collect, args=(curl,)) for curl in clients]
        for reader in readers:
            reader.start()
        answers.wait_for(REQUESTS // 3, 60)
        balancer.command("server", "drain", "web4", drained)
        done_at = len(answers.lines)
        for reader in readers:
            reader.join()
    balancer.command("server", "resume", "web4", drained)
    if done_at > REQUESTS - 2 * TAIL:
        raise RuntimeError(f"the drain was complete only after {done_at} of {REQUESTS} answers")
    late = sum(line == f"{WELL}text/plain;server={drained}" for line in answers.lines[-TAIL:])
    if late:
        raise RuntimeError(f"the drained server answered {late} of the last {TAIL} requests")
    return float(failures(answers.lines, REQUESTS))


@contextlib.contextmanager
def ours() -> Iterator[Measure]:
    gateway.program()
    with served(forward=False, offload=False) as top, gateway.up(top) as balancer:
        yield lambda: run(top, balancer)


BENCHMARK = Benchmark(
    name="drain",
    what="10,000 curl requests, 1,000 at a time, a server drained in the middle",
    unit="failures",
    ours=ours,
    runs=3,
)
