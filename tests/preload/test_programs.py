"""Real programs on a direct link, each with its own client; nobody told them."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.compiled import mode
from tests.preload.link import Link, finish, linked, until

SERVER = "10.77.0.1"

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")


@pytest.fixture(params=["completion", "wakeup"])
def link(request: pytest.FixtureRequest, interposer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    with linked(interposer, tmp_path_factory.mktemp("run"), request.param) as made:
        yield made


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program, path=f"{os.environ.get('PATH')}:/usr/sbin") is None:
            pytest.skip(f"needs {program}")


def ask(link: Link, *command: str) -> str:
    """Run a client at the other end; its output."""
    status, out, err = finish(link.start(2, command), 30)
    assert status == 0, out + err
    return out


def answers(link: Link, *command: str) -> None:
    """Until a client of the server has success."""
    until(lambda: finish(link.start(2, command), 30)[0] == 0, 15)


def test_redis(link: Link, tmp_path: Path) -> None:
    need("redis-server", "redis-benchmark", "redis-cli")
    link.start(
        1,
        [
            "redis-server",
            "--port",
            "7000",
            "--bind",
            SERVER,
            "--protected-mode",
            "no",
            "--save",
            "",
            "--dir",
            str(tmp_path),
        ],
    )
    cli = ("redis-cli", "-h", SERVER, "-p", "7000")
    answers(link, *cli, "ping")
    assert ask(link, *cli, "set", "animal", "pronghorn").strip() == "OK"
    assert ask(link, *cli, "get", "animal").strip() == "pronghorn"
    benchmark = ("redis-benchmark", "-h", SERVER, "-p", "7000", "-c", "20", "-t", "set,get", "--csv")
    for more in ((), ("-P", "16"), ("-d", "10000")):
        out = ask(link, *benchmark, "-n", "3000", *more)
        assert len(re.findall(r'^"(?:SET|GET)"', out, re.MULTILINE)) == 2, out


@pytest.mark.parametrize("link", ["completion"], indirect=True)
def test_curl_and_a_python_server(link: Link, tmp_path: Path) -> None:
    need("curl")
    content = os.urandom(1 << 20)
    (tmp_path / "file").write_bytes(content)
    link.start(1, [sys.executable, "-m", "http.server", "8000", "--bind", SERVER, "--directory", str(tmp_path)])
    target = tmp_path / "got"
    curl = ("curl", "-sf", "--max-time", "10", "-o", str(target), f"http://{SERVER}:8000/file")
    answers(link, *curl)
    assert target.read_bytes() == content


@pytest.mark.parametrize("link", ["completion"], indirect=True)
@pytest.mark.parametrize("options", [(), ("-R",), ("-u", "-b", "50M")], ids=["send", "receive", "udp"])
def test_iperf3(link: Link, options: tuple[str, ...]) -> None:
    need("iperf3")
    server = link.start(1, ["iperf3", "-s", "-1", "--forceflush", "-B", SERVER])
    assert server.stdout is not None
    while "listening" not in (line := server.stdout.readline()):
        assert line, finish(server)
    out = ask(link, "iperf3", "-c", SERVER, "-t", "1", *options)
    rate = re.search(r"([\d.]+) ([MG])bits/sec.*receiver", out)
    assert rate is not None, out
    assert float(rate[1]) * (1000 if rate[2] == "G" else 1) > 40, out


@pytest.mark.parametrize(("link", "sendfile"), [("completion", "on"), ("wakeup", "off")], indirect=["link"])
def test_nginx(link: Link, tmp_path: Path, sendfile: str) -> None:
    need("nginx", "wrk", "curl")
    content = os.urandom(300_000)
    (tmp_path / "big").write_bytes(content)
    (tmp_path / "small").write_bytes(content[:600])
    tmp_path.chmod(0o755)
    (tmp_path / "nginx.conf").write_text(f"""
        daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/log;
        events {{ worker_connections 512; use epoll; }}
        http {{
            access_log off; sendfile {sendfile};
            client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p; fastcgi_temp_path {tmp_path}/f;
            uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
            server {{ listen {SERVER}:8080; root {tmp_path}; }}
        }}""")
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH')}:/usr/sbin")
    assert nginx is not None
    link.start(1, [nginx, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path), "-e", str(tmp_path / "log")])
    url, target = f"http://{SERVER}:8080", tmp_path / "got"
    answers(link, "curl", "-sf", "--max-time", "10", "-o", str(target), f"{url}/big")
    assert target.read_bytes() == content
    for header in ("Connection: keep-alive", "Connection: close"):
        out = ask(link, "wrk", "-t1", "-c10", "-d1", "-H", header, f"{url}/small")
        found = re.search(r"(\d+) requests in", out)
        assert found is not None, out
        assert int(found[1]) > 100, out
        assert "Non-2xx" not in out, out
