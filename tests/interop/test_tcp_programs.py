"""Programs that everybody has, in a namespace behind a TAP device, against this stack: as its clients and servers."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench.tcp.blocking import Speaker, Waiting
from bench.tcp.engines import record
from bench.tcp.http_app import BODY, RESPONSE, HttpApp, http_begin
from bench.tcp.loops import serve_http
from bench.tcp.station import OWN, Station, station
from pronghorn.compiled import mode
from pronghorn.state.endpoints import READABLE, endpoints_of, socket_watch
from pronghorn.tcp.tcb import FREE

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(mode() == "interpreted", reason="other people's programs are judges"),
]

KEPT, CLOSING = 80, 81


@pytest.fixture(scope="module")
def served() -> Iterator[Station]:
    """An HTTP server on both families: connections to KEPT stay, those to CLOSING do not."""
    with station("tap") as one:
        app = record(one.engine, "http", HttpApp)
        text = ctypes.create_string_buffer(RESPONSE)
        kept, closing = (Waiting.listen(one, 10, port).number for port in (KEPT, CLOSING))
        for number in (kept, closing):
            socket_watch(endpoints_of(one.worker), number, READABLE, 0)
        http_begin(app, kept, closing, ctypes.addressof(text), len(RESPONSE))

        def step() -> int:
            serve_http(one.worker, app, 64)
            return 1

        one.other_step = step
        yield one
        assert app.failed == 0


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def url(family: int, port: int = KEPT) -> str:
    return f"http://[{OWN[family]}]:{port}/" if family == 6 else f"http://{OWN[family]}:{port}/"


def said(one: Station, process: subprocess.Popen[bytes], log: str, seconds: float = 20) -> str:
    """What the program wrote, once it has ended."""
    assert one.run(lambda: process.poll() is not None, seconds), "the program does not end"
    text = (one.stage.scratch / log).read_text(errors="replace")
    assert process.returncode == 0, text
    return text


@pytest.mark.parametrize("family", [4, 6])
def test_curl(served: Station, family: int) -> None:
    needs("curl")
    for port in (KEPT, CLOSING):
        process = served.kernel.start("curl", "-s", "-S", "-g", *[url(family, port)] * 20, log="curl.log")
        assert said(served, process, "curl.log") == BODY.decode() * 20


@pytest.mark.parametrize("family", [4, 6])
def test_wget(served: Station, family: int) -> None:
    needs("wget")
    process = served.kernel.start("wget", "-q", "-O", "-", url(family), url(family), log="wget.log")
    assert said(served, process, "wget.log") == BODY.decode() * 2


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("port", [KEPT, CLOSING])
def test_wrk(served: Station, family: int, port: int) -> None:
    needs("wrk")
    process = served.kernel.start("wrk", "-t1", "-c64", "-d1s", url(family, port), log="wrk.log")
    text = said(served, process, "wrk.log")
    found = re.search(r"(\d+) requests in", text)
    assert found is not None, text
    assert int(found.group(1)) > 2000, text
    assert "Non-2xx" not in text
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    assert errors is None or (port == CLOSING and set(errors.group(1, 3, 4)) == {"0"}), text


def test_nothing_is_left(served: Station) -> None:
    """Connections go when their clients have gone."""
    tcp = served.tcp
    assert served.run(lambda: all(tcp.tcbs[n].state == FREE for n in range(tcp.fresh)), 10)


@pytest.fixture(scope="module")
def bare() -> Iterator[Station]:
    with station("tap") as one:
        yield one


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("server", ["nginx", "python"])
def test_a_client_of_http_servers(bare: Station, family: int, server: str) -> None:
    port = 8000 + family + (10 if server == "nginx" else 0)
    place = bare.stage.scratch / f"{server}{family}"
    place.mkdir()
    (place / "page").write_bytes(bytes(range(256)) * 4000)
    if server == "nginx":
        needs("nginx")
        text = f"""user root root; daemon off; master_process off; worker_processes 1; pid {place}/pid; events {{}}
            http {{ access_log off; server {{ listen 0.0.0.0:{port}; listen [::]:{port}; root {place}; }} }}"""
        (place / "conf").write_text(text)
        bare.kernel.start("nginx", "-e", "stderr", "-p", place, "-c", place / "conf", log="nginx.log")
    else:
        command = [sys.executable, "-m", "http.server", "-b", "::", "-d", place, port]
        bare.kernel.start(*map(str, command), log="python.log")
    bare.await_listener(port)
    for _ in range(5):
        own = Waiting.connect(bare, family, port)
        own.write(b"GET /page HTTP/1.1\r\nHost: there\r\nConnection: close\r\n\r\n")
        found = b""
        while more := own.receive():
            found += more
        own.close()
        head, _, body = found.partition(b"\r\n\r\n")
        assert head.split(b" ", 2)[1] == b"200"
        assert body == bytes(range(256)) * 4000


def test_nobody_listens_there(bare: Station) -> None:
    for family in (4, 6):
        own = Waiting.connect(bare, family, 9)
        with pytest.raises(OSError, match="ECONNREFUSED"):
            own.receive()
        own.close()


@pytest.mark.parametrize("family", [4, 6])
def test_iperf3(bare: Station, family: int) -> None:
    needs("iperf3")
    speaker = Speaker(bare, family)
    for words in ([], ["-R"]):
        process = bare.kernel.start("iperf3", "-c", OWN[family], "-n", "20M", "-J", *words, log="iperf3.log")
        octets = speaker.serve()
        end = json.loads(said(bare, process, "iperf3.log"))["end"]
        assert octets >= end["sum_received"]["bytes"] > 10_000_000  # what was under way at the end does not count
