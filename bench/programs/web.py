"""nginx, one process that serves a page of 600 octets from memory, and wrk, each on a core of its own."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from bench.harness import Measure, Unavailable
from bench.programs.pair import SERVER, Pair

SECONDS = 4
CONNECTIONS = 50
_PAGE = "x" * 600
_CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 1000;
    server {{ listen 80; location / {{ default_type text/plain; return 200 "{page}"; }} }}
}}
"""
_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")
_BAD = re.compile(r"Socket errors:.*|Non-2xx.*")


@contextlib.contextmanager
def web(pair: Callable[[], AbstractContextManager[Pair]], *headers: str) -> Iterator[Measure]:
    """A side: requests per second of wrk with these request headers."""
    for program in ("nginx", "wrk", "curl"):
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed")
    extra = [word for header in headers for word in ("-H", header)]
    with pair() as both:
        place = both.folder / "nginx.conf"
        place.write_text(_CONFIGURATION.format(folder=both.folder, page=_PAGE))
        url = f"http://{SERVER}/"

        def read() -> float:
            with both.serve("nginx", "-c", str(place), "-p", str(both.folder), ready=("curl", "-sSf", "-o", "-", url)):
                text = both.output("wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", str(SECONDS), *extra, url)
            found = _RATE.search(text)
            if found is None or _BAD.search(text):
                raise RuntimeError(f"wrk says\n{text}")
            return float(found.group(1))

        yield read
