"""What is left behind, and what others notice, when a busy program is killed: 1,000 times in a loop, one gateway.

The program serves ten connections of a client of the kernel's when SIGKILL comes. Another program serves a client all
the while, and a new one each time. Counted: packet buffers, links, rules and descriptors that the gateway has more or
less of than before, and failures that the other program's clients saw.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pronghorn
from bench.harness import Benchmark, Measure
from bench.peers import c_program
from bench.programs import behind
from bench.programs.pair import SERVER, Pair

TIMES = 1_000
VICTIM, OTHER = "7001", "7002"
PATIENCE = 30.0


@contextlib.contextmanager
def killed() -> Iterator[Measure]:
    """A side: leaks and failures of one loop."""
    with c_program.built("echo_server") as server, c_program.built("echo_client") as client, behind.gateway() as pair:
        yield lambda: _loop(pair, str(server), str(client))


def _loop(pair: Pair, server: str, client: str) -> float:
    with _serving(pair, server, OTHER) as other:
        _kill_one(pair, server, client)  # what is made once and kept
        before, failures = max((_counts(pair) for _ in range(5)), key=lambda counts: counts["packets"]), 0
        steady = _client(pair, client, OTHER, "4", "100000")
        begin = time.monotonic()
        for number in range(1, TIMES + 1):
            _kill_one(pair, server, client)
            failures += int(pair.ask(client, SERVER, OTHER, "1", "0.001", limit=10).returncode != 0)
            if number % 100 == 0:
                print(f"  {number} killed in {time.monotonic() - begin:.0f} s, {failures} failures", file=sys.stderr)
        failures += int(steady.poll() is not None) + int(other.poll() is not None)
        steady.kill()
        steady.wait()
        after = _settled(pair, before)
    leaks = sum(abs(after[name] - before[name]) for name in before)
    if leaks:
        print(f"  before {before}\n  after  {after}", file=sys.stderr)
    return float(leaks + failures)


def _kill_one(pair: Pair, server: str, client: str) -> None:
    """Start the program and its client, and kill it once it is busy; the client is reset."""
    with _serving(pair, server, VICTIM) as victim:
        busy = _client(pair, client, VICTIM, "10", "1000")
        assert victim.stdout is not None
        if victim.stdout.readline() != b"busy\n":
            raise RuntimeError("the program that is to be killed ended by itself")
        victim.kill()
        busy.wait(PATIENCE)


@contextlib.contextmanager
def _serving(pair: Pair, server: str, port: str) -> Iterator[subprocess.Popen[bytes]]:
    """The echo server, attached; without the launcher's own start, which takes longer than all the rest."""
    library = Path(pronghorn.__file__).with_name("libpronghorn-preload.so")
    attach = pair.folder / f"{behind.NAME}.attach"
    environment = {**pair.environment, "PRONGHORN_ATTACH": str(attach), "LD_PRELOAD": str(library)}
    plain = pair.server[: list(pair.server).index(sys.executable)]
    words = ["env", *(f"{name}={environment[name]}" for name in ("PRONGHORN_ATTACH", "LD_PRELOAD")), server, port]
    process = subprocess.Popen(
        [*plain, *words], env=pair.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=sys.stderr
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the echo server does not serve")
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _client(pair: Pair, client: str, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*pair.client, client, SERVER, *words],
        env=pair.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _counts(pair: Pair) -> dict[str, int]:
    """What the gateway has now."""

    def show(what: str) -> list[dict[str, object]]:
        command = [sys.executable, "-m", "pronghorn", "show", what, "--gateway", behind.NAME, "--json"]
        done = subprocess.run(command, env=pair.environment, capture_output=True, text=True, check=True)
        return list(json.loads(done.stdout)[what])

    pair.ask("ping", "-c1", "-W1", SERVER)
    workers, programs = show("workers"), show("programs")
    return {
        "packets": sum(int(str(worker["pool_free"])) for worker in workers),
        "programs": len(programs),
        "ports": len(show("ports")),
        "descriptors": len(os.listdir(f"/proc/{pair.keeper}/fd")),
        "links": Path(f"/proc/{pair.keeper}/maps").read_text().count("memfd:"),
    }


def _settled(pair: Pair, before: dict[str, int]) -> dict[str, int]:
    """The same once the last one is taken back, or after PATIENCE. A few buffers that were sent are free only when the
    next are, so as many as before have to be free at some moment."""
    until = time.monotonic() + PATIENCE
    while True:
        now = _counts(pair)
        if now["packets"] >= before["packets"]:
            now["packets"] = before["packets"]
        if now == before or time.monotonic() > until:
            return now


BENCHMARK = Benchmark(
    name="kill_program",
    what=f"kill -9 of a busy program, {TIMES} times: leaks in the gateway, failures of others",
    unit="leaks and failures",
    ours=killed,
    runs=1,
)
