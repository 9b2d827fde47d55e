"""HTTP load from the client namespace by wrk: requests per second over kept-alive connections."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

from bench.harness import Unavailable
from tests.peers.namespaces import Namespace


@dataclass(frozen=True)
class Load:
    """What wrk counted. `failures`: socket errors (connect, read, write, timeout) and answers that were not 2xx/3xx."""

    requests: int
    requests_per_second: float
    failures: int


def parse(text: str) -> Load:
    """Read wrk's summary."""
    requests = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if requests is None or rate is None:
        raise RuntimeError(f"wrk printed no summary:\n{text}")
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    failures = sum(map(int, errors.groups() if errors else ())) + (int(other.group(1)) if other else 0)
    return Load(int(requests.group(1)), float(rate.group(1)), failures)


def load(client: Namespace, url: str, seconds: int = 5, connections: int = 50, threads: int = 1) -> Load:
    """Run wrk for so many seconds. One that saw failures is an error: its rate would not be that of the job."""
    if shutil.which("wrk") is None:
        raise Unavailable("wrk is not installed (package wrk)")
    done = client.run("wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", url, timeout=seconds + 30)
    result = parse(done.stdout)
    if result.failures or not result.requests:
        raise RuntimeError(f"wrk saw {result.failures} failures in {result.requests} requests:\n{done.stdout}")
    return result
