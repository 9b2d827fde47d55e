"""The real programs: one function for each pair of server and client. It starts, asks and compares; `Place` does the rest.

@program()                                      what cannot be as the arguments say is left out
def echo(place: Place) -> None:
    place.serve("socat", f"TCP-LISTEN:7000,bind={place.address}", "PIPE")
    assert place.answers("socat", "-", f"TCP:{place.address}:7000", text="hello") == "hello"
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.programs.real.places import ARRANGEMENTS, Place

MODES = ("completion", "wakeup")


@dataclass(frozen=True)
class Case:
    """A program's test, and where it runs."""

    run: Callable[[Place], None]
    places: tuple[str, ...]
    modes: tuple[str, ...]
    ordinary: tuple[str, ...]
    """Of `places`, those that every run of the tests tries, run-to-completion."""
    strict: bool


CASES: dict[str, Case] = {}


def program(
    forks: bool = False,
    places: tuple[str, ...] = (),
    modes: tuple[str, ...] = MODES,
    ordinary: tuple[str, ...] = (),
    strict: bool = True,
) -> Callable[[Callable[[Place], None]], Callable[[Place], None]]:
    """A case. `forks`: several processes use the network, so that a direct link, which has one at each end, is none."""

    def enter(run: Callable[[Place], None]) -> Callable[[Place], None]:
        usual = tuple(name for name in ARRANGEMENTS if name != ("direct" if forks else "both"))
        CASES[run.__name__] = Case(run, places or usual, modes, ordinary, strict)
        return run

    return enter


def content(place: Place, octets: int, name: str = "content") -> bytes:
    """Random octets, in a file that servers can read."""
    made = os.urandom(octets)
    (place.folder / name).write_bytes(made)
    return made


def fetched(place: Place) -> bytes:
    """What a client has written."""
    return (place.folder / "got").read_bytes()


@program(ordinary=("direct",))
def redis(place: Place) -> None:
    place.serve("redis-server", "--port", "7000", "--bind", place.address, "--protected-mode", "no", "--save", "")
    cli = ("redis-cli", "-h", place.address, "-p", "7000")
    assert place.answers(*cli, "ping").strip() == "PONG"
    assert place.ask(*cli, "set", "animal", "pronghorn").strip() == "OK"
    assert place.ask(*cli, "get", "animal").strip() == "pronghorn"
    benchmark = ("redis-benchmark", "-h", place.address, "-p", "7000", "-c", "20", "-t", "set,get", "--csv")
    for more in ((), ("-P", "16"), ("-d", "10000")):
        out = place.ask(*benchmark, "-n", "3000", *more)
        assert len(re.findall(r'^"(?:SET|GET)"', out, re.MULTILINE)) == 2, out


@program(ordinary=("direct", "client"))
def http_server(place: Place) -> None:
    """Python's, threads, and curl."""
    data = content(place, 1 << 20)
    place.serve(sys.executable, "-m", "http.server", "8000", "--bind", place.address)
    url = f"http://{place.address}:8000"
    place.answers("curl", "-sf", "-m", "10", "-o", "got", f"{url}/content")
    assert fetched(place) == data
    statuses = place.ask("curl", "-s", "-m", "20", "-Z", "-w", "%{http_code} ", "-o", "/dev/null", f"{url}/no[1-20]")
    assert statuses.count("404 ") >= 1, statuses


def nginx_configuration(place: Place, workers: int, sendfile: str = "on") -> str:
    folder = place.folder
    return f"""
        {"user root;" if os.geteuid() == 0 else ""} worker_processes {workers}; daemon off; pid {folder}/pid;
        master_process {"on" if workers > 1 else "off"}; error_log stderr;
        events {{ worker_connections 512; use epoll; }}
        http {{
            access_log off; sendfile {sendfile};
            client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
            uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            server {{ listen {place.address}:8080; root {folder}; }}
        }}"""


def nginx_and_clients(place: Place, workers: int, sendfile: str = "on") -> None:
    data = content(place, 300_000, "big")
    small = content(place, 600, "small")
    (place.folder / "nginx.conf").write_text(nginx_configuration(place, workers, sendfile))
    place.serve("nginx", "-c", place.folder / "nginx.conf", "-p", place.folder, "-e", "stderr")
    url = f"http://{place.address}:8080"
    for name, expected in (("small", small), ("big", data)):
        place.answers("curl", "-sf", "-m", "10", "-o", "got", f"{url}/{name}")
        assert fetched(place) == expected
    for header in ("Connection: keep-alive", "Connection: close"):
        out = place.ask("wrk", "-t1", "-c16", "-d1", "-H", header, f"{url}/small")
        found = re.search(r"(\d+) requests in", out)
        assert found is not None, out
        assert int(found[1]) > 100, out
        assert "Non-2xx" not in out, out
    out = place.ask("ab", "-q", "-n", "500", "-c", "10", "-k", f"{url}/small")
    assert re.search(r"Complete requests: +500\b", out), out
    assert re.search(r"Failed requests: +0\b", out), out


@program(ordinary=("direct",))
def nginx(place: Place) -> None:
    """One process."""
    nginx_and_clients(place, 1)


@program(forks=True)
def nginx_workers(place: Place) -> None:
    """A master and four workers, which inherit its listener."""
    nginx_and_clients(place, 4, "off")


def iperf3(place: Place, *options: str) -> None:
    log = place.serve("iperf3", "-s", "-1", "-B", place.address, "--forceflush")
    place.until_said(log, "listening")
    out = place.ask("iperf3", "-c", place.address, "-t", "1", *options)
    rate = re.search(r"([\d.]+) ([MG])bits/sec.*receiver", out)
    assert rate is not None, out
    assert float(rate[1]) * (1000 if rate[2] == "G" else 1) > 40, out


@program(ordinary=("direct",))
def iperf3_send(place: Place) -> None:
    iperf3(place)


@program()
def iperf3_receive(place: Place) -> None:
    iperf3(place, "-R")


@program()
def iperf3_several(place: Place) -> None:
    iperf3(place, "-P", "4")


@program(ordinary=("client",))
def iperf3_udp(place: Place) -> None:
    iperf3(place, "-u", "-b", "50M")
