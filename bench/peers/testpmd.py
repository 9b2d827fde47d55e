"""DPDK's testpmd on virtual devices: what one core forwards when the devices cost next to nothing.

`net_null` makes 64-octet packets from nowhere and frees what is sent; `net_ring` passes what is sent back to receive.
One core forwards (--nb-cores=1), another runs testpmd's main thread and its command line, over which the packets that
both ports have sent are read twice. The rate is their difference over the CPU time of the forwarding thread meanwhile
(see cores.py).

The settings are the best found for it, not the weakest. Huge pages are not assumed (--no-huge), and on ordinary pages
the default mbuf of 2,176 octets puts every packet on a page of its own: on a virtual machine TLB misses then cut
macswap to a third (32 against 97 million/s on a 2.6 GHz Zen 4; with huge pages and the default size, 99). With
--mbuf-size=512 several mbufs share a page and the figure is that of huge pages. Burst 32 is testpmd's default and the
fastest there.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from typing import IO

from bench import cores
from bench.harness import Measure, Unavailable

PROGRAM = "dpdk-testpmd"
NULL = ("net_null0,size=64", "net_null1,size=64")
RING = ("net_ring0", "net_ring1")
_SENT = re.compile(r"TX-packets:\s+(\d+)\s+TX-errors")
_PATIENCE = 30.0


def sent(text: str) -> list[int]:
    """The counts of packets sent in testpmd's port statistics, in order: one per port and `show`."""
    return [int(found) for found in _SENT.findall(text)]


@contextlib.contextmanager
def forwarding(mode: str, devices: Sequence[str] = NULL, seconds: float = 1.0) -> Iterator[Measure]:
    """A peer's side: each reading starts testpmd, lets it forward, and returns packets/s, both ports together."""
    if shutil.which(PROGRAM) is None:
        raise Unavailable(f"{PROGRAM} is not installed (package dpdk-dev on Debian, dpdk elsewhere)")
    cores.split()
    yield lambda: packets_per_second(mode, devices, seconds)


def command(mode: str, devices: Sequence[str]) -> list[str]:
    core, (main, *_) = cores.split()
    memory = ["--no-huge", "-m", "512", "--no-shconf", "--no-telemetry", f"--file-prefix=pronghorn{os.getpid()}"]
    virtual = [argument for device in devices for argument in ("--vdev", device)]
    options = ["--nb-cores=1", f"--forward-mode={mode}", "--burst=32", "--mbuf-size=512", "--total-num-mbufs=4096"]
    lcores = ["-l", f"{main},{core}", "--main-lcore", str(main)]
    return [PROGRAM, *lcores, *memory, "--no-pci", *virtual, "--", "-i", *options]


def packets_per_second(mode: str, devices: Sequence[str], seconds: float) -> float:
    """Start, warm up, read twice, stop."""
    # net_ring has nothing to receive until something was sent.
    start = "start tx_first 4" if devices == RING else "start"
    with _session(command(mode, devices), len(devices), seconds + _PATIENCE) as session:
        session.say(start)
        session.show()
        time.sleep(min(0.3, seconds))
        before, spent_before = session.show(), session.cpu()
        time.sleep(seconds)
        packets, spent = session.show() - before, session.cpu()
        session.say("stop", "quit")
    if not packets:
        raise RuntimeError(f"{PROGRAM} forwarded nothing:\n{session.tail()}")
    # The thread that polls has used by far the most.
    return packets / max(end - spent_before.get(thread, 0) for thread, end in spent.items())


@contextlib.contextmanager
def _session(argv: Sequence[str], ports: int, patience: float) -> Iterator[_Session]:
    """testpmd for one reading. Killed when it takes longer than `patience`; leaves no files."""
    # A terminal as its standard output, because into a pipe it writes only when 4 kB are full.
    master, slave = os.openpty()
    with tempfile.TemporaryDirectory(prefix="pronghorn-testpmd-") as place, open(master, "rb", buffering=0) as output:
        environment = {**os.environ, "RUNTIME_DIRECTORY": place}
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=slave, stderr=slave, env=environment)
        os.close(slave)
        watchdog = threading.Timer(patience, process.kill)
        watchdog.start()
        session = _Session(process, output, ports)
        try:
            yield session
            session.read_to_end()
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()


class _Session:
    """testpmd's command line."""

    def __init__(self, process: subprocess.Popen[bytes], output: IO[bytes], ports: int) -> None:
        self.process, self.output, self.ports, self.lines = process, output, ports, list[str]()

    def say(self, *lines: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.process.stdin.flush()

    def line(self) -> str:
        """The next line; empty at the end, which a terminal reports as an error (EIO)."""
        try:
            self.lines.append(self.output.readline().decode(errors="replace"))
        except OSError:
            return ""
        return self.lines[-1]

    def cpu(self) -> dict[int, float]:
        return cores.cpu_seconds(self.process.pid)

    def show(self) -> int:
        """Ask for the statistics; the packets that all ports have sent."""
        self.say("show port stats all")
        found: list[int] = []
        while len(found) < self.ports:
            line = self.line()
            if not line:
                raise RuntimeError(f"{PROGRAM} ended early:\n{self.tail()}")
            found += sent(line)
        return sum(found)

    def read_to_end(self) -> None:
        while self.line():
            pass

    def tail(self) -> str:
        return "".join(self.lines[-15:]).rstrip()
