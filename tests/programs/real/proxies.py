"""haproxy: it answers by itself, or stands between clients and servers (catalogue.py says how a case is written)."""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path

from tests.programs.real.catalogue import content, fetched, nginx_configuration, program
from tests.programs.real.places import OnGateway, Place, bracketed


@program(strict=False, ordinary=("direct-ipv6",))
def haproxy(place: Place) -> None:
    """Two threads; it answers by itself. It asks the kernel for a way to addresses that are not its own."""
    data = content(place, 8_000)
    configuration = f"""
        global
            nbthread 2
        defaults
            mode http
            timeout client 10s
            timeout server 10s
            timeout connect 10s
        frontend front
            bind {place.address}:7006
            http-request return status 200 content-type application/octet-stream file {place.folder}/content
        """
    (place.folder / "haproxy.cfg").write_text(textwrap.dedent(configuration))
    place.serve("haproxy", "-db", "-f", place.folder / "haproxy.cfg")
    url = f"http://{place.host}:7006/"
    place.answers("curl", "-sf", "-m", "10", "-o", "got", url)
    assert fetched(place) == data
    out = place.ask("wrk", "-t1", "-c16", "-d1", url)
    assert "Non-2xx" not in out, out
    found = re.search(r"(\d+) requests in", out)
    assert found is not None, out
    assert int(found[1]) > 100, out


def configured(place: Place, sections: str) -> Path:
    """A file with these sections after the ordinary ones; two threads."""
    head = """
        global
            nbthread 2
        defaults
            timeout client 20s
            timeout server 20s
            timeout connect 5s
        """
    (place.folder / "haproxy.cfg").write_text(textwrap.dedent(head) + textwrap.dedent(sections))
    return place.folder / "haproxy.cfg"


def behind(place: OnGateway, port: int) -> dict[str, bytes]:
    """nginx twice, on a kernel and on the stack; where they are, and the file that each of them gives as /big."""
    found = {}
    for ours in (False, True):
        folder = place.folder / f"behind-{ours}"
        folder.mkdir()
        found[f"{bracketed(place.address_behind(ours))}:{port}"] = content(place, 200_000, f"{folder.name}/big")
        start_behind(place, port, ours)
    return found


def start_behind(place: OnGateway, port: int, ours: bool) -> subprocess.Popen[bytes]:
    folder = place.folder / f"behind-{ours}"
    listen = f"{bracketed(place.address_behind(ours))}:{port}"
    (folder / "nginx.conf").write_text(nginx_configuration(place, listen).replace(str(place.folder), str(folder)))
    return place.serve_behind(ours, "nginx", "-c", folder / "nginx.conf", "-p", folder, "-e", "stderr")


def through(place: Place, proxied: dict[int, bytes]) -> None:
    """Each of the ports gives what is behind it: once, and to many at the same time."""
    for port, expected in proxied.items():
        url = f"http://{place.host}:{port}/big"
        place.answers("curl", "-sf", "-m", "10", "-o", "got", url)
        assert fetched(place) == expected
        for header in ("Connection: keep-alive", "Connection: close"):
            out = place.ask("wrk", "-t1", "-c8", "-d1", "-H", header, url)
            found = re.search(r"(\d+) requests in", out)
            assert found is not None, out
            assert int(found[1]) > 20, out
            assert "Non-2xx" not in out, out
            assert "Socket errors" not in out, out


def proxy(place: OnGateway, mode: str) -> None:
    servers = behind(place, 8081)
    sections, proxied = "", {}
    for port, (server, expected) in enumerate(servers.items(), 7101):
        sections += f"""
        listen proxy{port}
            mode {mode}
            bind {place.address}:{port}
            server behind {server}
        """
        proxied[port] = expected
    place.serve("haproxy", "-db", "-f", configured(place, sections))
    through(place, proxied)


GATEWAYS = ("both", "server")


@program(strict=False, places=GATEWAYS)
def haproxy_tcp(place: OnGateway) -> None:
    """It hands octets on: to a server on a kernel, and to another program of the gateway."""
    proxy(place, "tcp")


@program(strict=False, places=GATEWAYS)
def haproxy_http(place: OnGateway) -> None:
    """It hands requests on, and keeps connections to those behind it."""
    proxy(place, "http")
