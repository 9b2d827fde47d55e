"""The real programs: one function for each pair of server and client. It starts, asks and compares; `Place` does more.

@program()                                      what cannot be as the arguments say is left out
def echo(place: Place) -> None:
    place.serve("socat", f"TCP-LISTEN:7000,bind={place.address}", "PIPE")
    assert place.answers("socat", "-", f"TCP:{place.address}:7000", text="hello") == "hello"
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.programs.real.places import ARRANGEMENTS, Place, which

MODES = ("completion", "wakeup")


@dataclass(frozen=True)
class Case:
    """A program's test, and where it runs."""

    run: Callable[[Any], None]
    """Takes a Place, or the kind of Place that `places` allows."""
    places: tuple[str, ...]
    modes: tuple[str, ...]
    ordinary: tuple[str, ...]
    """Like direct-wakeup, or direct-ipv6: what every run of the tests tries, a gateway's on AF_XDP."""
    strict: bool
    lasting: bool
    """The server is there when the clients are done."""


CASES: dict[str, Case] = {}


def program(
    forks: bool = False,
    places: tuple[str, ...] = (),
    modes: tuple[str, ...] = MODES,
    ordinary: tuple[str, ...] = (),
    strict: bool = True,
    lasting: bool = True,
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """A case. `forks`: several processes use the network, so that a direct link, which has one at each end, is none."""

    def enter(run: Callable[[Any], None]) -> Callable[[Any], None]:
        usual = tuple(name for name in ARRANGEMENTS if name != ("direct" if forks else "both"))
        CASES[run.__name__] = Case(run, places or usual, modes, ordinary, strict, lasting)
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


@program(ordinary=("direct-completion", "direct-ipv6"))
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


@program(ordinary=("direct-completion", "client-completion", "direct-ipv6"))
def http_server(place: Place) -> None:
    """Python's, threads, and curl."""
    data = content(place, 1 << 20)
    place.serve(sys.executable, "-m", "http.server", "8000", "--bind", place.address)
    url = f"http://{place.host}:8000"
    place.answers("curl", "-sf", "-m", "10", "-o", "got", f"{url}/content")
    assert fetched(place) == data
    statuses = place.ask("curl", "-s", "-m", "20", "-Z", "-w", "%{http_code} ", "-o", "/dev/null", f"{url}/no[1-20]")
    assert statuses.count("404 ") >= 1, statuses


def nginx_configuration(place: Place, listen: str, workers: int = 1, sendfile: str = "on") -> str:
    folder = place.folder
    return f"""
        worker_processes {workers}; daemon off; pid {folder}/pid;
        master_process {"on" if workers > 1 else "off"}; error_log stderr;
        events {{ worker_connections 512; use epoll; }}
        http {{
            access_log off; sendfile {sendfile};
            client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
            uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            server {{ listen {listen}; root {folder}; }}
        }}"""


def nginx_and_clients(place: Place, workers: int, sendfile: str = "on") -> None:
    data = content(place, 300_000, "big")
    small = content(place, 600, "small")
    (place.folder / "nginx.conf").write_text(nginx_configuration(place, f"{place.host}:8080", workers, sendfile))
    place.serve("nginx", "-c", place.folder / "nginx.conf", "-p", place.folder, "-e", "stderr")
    url = f"http://{place.host}:8080"
    for name, expected in (("small", small), ("big", data)):
        place.answers("curl", "-sf", "-m", "10", "-o", "got", f"{url}/{name}")
        assert fetched(place) == expected
    for header in ("Connection: keep-alive", "Connection: close"):
        out = place.ask("wrk", "-t1", "-c16", "-d1", "-H", header, f"{url}/small")
        found = re.search(r"(\d+) requests in", out)
        assert found is not None, out
        assert int(found[1]) > 100, out
        assert "Non-2xx" not in out, out


@program(ordinary=("direct-wakeup", "server-ipv6"))
def nginx(place: Place) -> None:
    """One process."""
    nginx_and_clients(place, 1)


@program(places=("direct",), ordinary=("direct-completion",))
def nginx_without_sendfile(place: Place) -> None:
    nginx_and_clients(place, 1, "off")


@program(forks=True)
def nginx_workers(place: Place) -> None:
    """A master and four workers, which inherit its listener."""
    nginx_and_clients(place, 4, "off")
    out = place.ask("ab", "-q", "-n", "500", "-c", "10", "-k", f"http://{place.host}:8080/small")
    assert re.search(r"Complete requests: +500\b", out), out
    assert re.search(r"Failed requests: +0\b", out), out


def iperf3(place: Place, *options: str) -> None:
    log = place.serve("iperf3", "-s", "-B", place.address, "--forceflush")
    place.until_said(log, "listening")
    out = place.ask("iperf3", "-c", place.address, "-t", "1", *options)
    units = {"": 1e-6, "K": 1e-3, "M": 1, "G": 1000}
    rates = [float(rate) * units[unit] for rate, unit in re.findall(r"([\d.]+) ([KMG]?)bits/sec.*receiver", out)]
    assert rates, out
    assert rates[-1] > 40, out  # of all streams together
    assert min(rates) > 1, out


@program(ordinary=("direct-completion", "direct-ipv6"))
def iperf3_send(place: Place) -> None:
    iperf3(place)


@program(ordinary=("direct-completion",))
def iperf3_receive(place: Place) -> None:
    iperf3(place, "-R")


@program()
def iperf3_several(place: Place) -> None:
    iperf3(place, "-P", "4")


@program(ordinary=("client-completion", "direct-ipv6"))
def iperf3_udp(place: Place) -> None:
    iperf3(place, "-u", "-b", "50M")


def script(name: str) -> Path:
    """A program of this folder."""
    return Path(__file__).with_name(name)


@program(ordinary=("direct-ipv6",))
def memcached(place: Place) -> None:
    """Four threads, TCP and UDP."""
    user = ("-u", "root") if os.geteuid() == 0 else ()
    place.serve("memcached", "-l", place.address, "-p", "7001", "-U", "7001", "-t", "4", *user)
    client = (sys.executable, script("memcached_client.py"), place.address, "7001")
    assert place.answers(*client) == "stored and read\n"


@program(lasting=False, ordinary=("direct-ipv6",))
def socat(place: Place) -> None:
    """One process, which ends with its connection."""
    tcp = place.of_family("TCP4", "TCP6")
    place.serve("socat", f"{tcp}-LISTEN:7002,bind={place.host},reuseaddr", "PIPE")
    text = "".join(f"line {number}\n" for number in range(2000))
    assert place.answers("socat", "-t", "5", "-", f"{tcp}:{place.host}:7002", text=text) == text


@program(lasting=False)
def socat_udp(place: Place) -> None:
    """One datagram and its answer."""
    udp = place.of_family("UDP4", "UDP6")
    log = place.serve("socat", "-d", "-d", f"{udp}-RECVFROM:7003,bind={place.host}", "PIPE")
    place.until_said(log, "receiving on")
    assert place.ask("socat", "-t", "2", "-", f"{udp}:{place.host}:7003", text="a datagram\n") == "a datagram\n"


@program(forks=True)
def socat_forks(place: Place) -> None:
    """A process for each connection, which the parent closes; and for each datagram, which waits in a socket that both
    have, and which the child reads."""
    tcp, udp = place.of_family("TCP4", "TCP6"), place.of_family("UDP4", "UDP6")
    place.serve("socat", f"{tcp}-LISTEN:7002,bind={place.host},reuseaddr,fork", "PIPE")
    for number in range(5):
        text = f"conversation {number}\n" * 500
        assert place.answers("socat", "-t", "5", "-", f"{tcp}:{place.host}:7002", text=text) == text
    log = place.serve("socat", "-d", "-d", f"{udp}-RECVFROM:7004,bind={place.host},fork", "PIPE")
    place.until_said(log, "receiving on")
    for text in ("a datagram\n", "another\n"):
        assert place.ask("socat", "-t", "1", "-", f"{udp}:{place.host}:7004", text=text) == text


@program(ordinary=("client-completion", "direct-ipv6"))
def openssl(place: Place) -> None:
    """s_server with s_client and with curl."""
    data = content(place, 400_000)
    (place.folder / "text").write_text("a line over TLS\n")
    key, certificate = place.folder / "key.pem", place.folder / "certificate.pem"
    make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    make += ["-subj", "/CN=pronghorn.test"]
    make += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([which("openssl"), *make], check=True, capture_output=True)
    server = ("-accept", f"{place.host}:7443", "-cert", certificate, "-key", key, "-WWW", "-quiet")
    place.serve("openssl", "s_server", *server)
    url = "https://pronghorn.test:7443/content"
    resolve = ("--cacert", certificate, "--resolve", f"pronghorn.test:7443:{place.host}")
    place.answers("curl", "-sf", "-m", "10", *resolve, "-o", "got", url)
    assert fetched(place) == data
    client = ("s_client", "-connect", f"{place.host}:7443", "-CAfile", certificate, "-verify_return_error")
    said = place.ask("openssl", *client, "-quiet", "-ign_eof", text="GET /text HTTP/1.0\r\n\r\n")
    assert said.endswith("a line over TLS\n"), said


@program(ordinary=("direct-ipv6",))
def node(place: Place) -> None:
    """node's http, keep-alive and streams."""
    data = content(place, 700_000)
    place.serve("node", script("node_http.js"), "serve", place.address, "7004", place.folder / "content")
    place.answers("curl", "-sf", "-m", "10", "-o", "got", f"http://{place.host}:7004/")
    assert fetched(place) == data
    assert place.ask("node", script("node_http.js"), "ask", place.address, "7004") == "100 bodies\n"


@program(ordinary=("direct-completion", "direct-ipv6"))
def asyncio(place: Place) -> None:
    """asyncio's streams."""
    log = place.serve(sys.executable, script("asyncio_echo.py"), "serve", place.address, "7005")
    place.until_said(log, "listening")
    assert place.ask(sys.executable, script("asyncio_echo.py"), "ask", place.address, "7005") == "50 conversations\n"


@program(ordinary=("direct-ipv6",))
def requests(place: Place) -> None:
    """requests and urllib, in threads, at Python's HTTP server."""
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import requests"], capture_output=True, check=False).returncode:
        pytest.skip("needs requests, a package of the system's Python")
    data = content(place, 200_000)
    place.serve(sys.executable, "-m", "http.server", "8000", "--bind", place.address)
    url = f"http://{place.host}:8000"
    assert place.answers(python, script("requests_client.py"), url).strip() == hashlib.sha256(data).hexdigest()


def dns(place: Place) -> None:
    options = ("--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--port=5300", "--user=root", "--group=root")
    records = ("--address=/pronghorn.test/192.0.2.7", "--txt-record=long.test," + ",".join(["x" * 200] * 5))
    place.serve("dnsmasq", "--keep-in-foreground", "--log-facility=-", "--pid-file=", *options, *records)
    dig = ("dig", f"@{place.address}", "-p", "5300", "+short", "+tries=1", "+time=2")
    assert place.answers(*dig, "www.pronghorn.test").strip() == "192.0.2.7"
    assert place.ask(*dig, "long.test", "TXT").count("x" * 200) == 5


@program()
def dnsmasq(place: Place) -> None:
    """Over UDP."""
    dns(place)


@program(places=("client",))
def dnsmasq_tcp(place: Place) -> None:
    """Over TCP as well. dnsmasq answers only at addresses that the kernel's interfaces have, which ours are not."""
    dns(place)
    dig = ("dig", f"@{place.address}", "-p", "5300", "+short", "+tcp", "+tries=1", "+time=3")
    for _ in range(3):
        assert place.ask(*dig, "www.pronghorn.test").strip() == "192.0.2.7"
        assert place.ask(*dig, "long.test", "TXT").count("x" * 200) == 5


@program(forks=True, strict=False)
def postgres(place: Place) -> None:
    """A process for each connection; psql and pgbench."""
    data = place.folder / "data"
    user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups") if os.geteuid() == 0 else ()
    if user:
        shutil.chown(place.folder, "postgres")
    make = (
        *user,
        which("initdb"),
        "-D",
        data,
        "-U",
        "postgres",
        "-A",
        "trust",
        "--no-sync",
        "-E",
        "UTF8",
        "--locale=C",
    )
    subprocess.run([*map(str, make)], check=True, capture_output=True)
    (data / "pg_hba.conf").write_text("host all all all trust\nlocal all all trust\n")
    settings = (f"listen_addresses={place.address}", f"unix_socket_directories={place.folder}", "fsync=off")
    options = (word for setting in settings for word in ("-c", setting))
    place.serve(*user, which("postgres"), "-D", data, *options, stop=signal.SIGINT)
    at = ("-h", place.address, "-U", "postgres")
    psql = ("psql", *at, "-At", "-v", "ON_ERROR_STOP=1")
    assert place.answers(*psql, "-c", "select 6 * 7").strip() == "42"
    assert place.ask(*psql, "-c", "select md5(string_agg(n::text, ',')) from generate_series(1, 100000) n").strip() == (
        hashlib.md5(",".join(map(str, range(1, 100_001))).encode()).hexdigest()
    )
    place.ask("pgbench", *at, "-i", "-q", "postgres")
    out = place.ask("pgbench", *at, "-c", "4", "-t", "25", "postgres")
    assert "number of transactions actually processed: 100/100" in out, out
    assert "number of failed transactions: 0 " in out, out
