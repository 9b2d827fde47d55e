"""Real curls that ask again and again, and what they were answered."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter

from tests.peers.topology import SERVICE4, SERVICE6, Topology

PARALLEL = 8
"""Requests that each curl has under way."""

BATCH = 200
"""Requests of one curl; then the next one starts."""


class Clients:
    """One curl after the other for each family. Every request is a connection of its own."""

    def __init__(self, top: Topology) -> None:
        self.top = top
        self.by_server: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(host,)) for host in (SERVICE4, f"[{SERVICE6}]")]

    @property
    def requests(self) -> int:
        """Requests that have ended."""
        return self.by_server.total() + self.failed.total()

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more; returns when what was under way has ended."""
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, host: str) -> None:
        brackets = host.replace("[", "\\[").replace("]", "\\]")
        argv = ["curl", "--silent", "--parallel", "--parallel-max", str(PARALLEL), "--max-time", "10"]
        argv += ["--header", "Connection: close", "--output", "/dev/null"]
        argv += ["--write-out", "%{http_code} %{exitcode} %{content_type}\\n", f"http://{brackets}/?[1-{BATCH}]"]
        command = self.top.client.namespace.command(*argv)
        while not self._end.is_set():
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            with self._lock:
                self._count(done.stdout.splitlines())

    def _count(self, lines: list[str]) -> None:
        for line in lines:
            status, exit_code, content = line.split(" ", 2)
            if status == "200" and exit_code == "0":
                self.by_server[content.partition("server=")[2]] += 1
            else:
                self.failed[f"HTTP status {status}, curl exit code {exit_code}"] += 1
        if len(lines) < BATCH:
            self.failed["curl ended early"] += BATCH - len(lines)
