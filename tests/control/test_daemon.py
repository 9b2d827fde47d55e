"""The daemon as a process: it answers, obeys signals, and bad input changes nothing that runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from pronghorn.control import runtime
from pronghorn.control.client import Client, Connection, NotRunning, Refused
from tests.control.gateways import CONFIG, Daemon, running, start


def servers() -> dict[str, Any]:
    return {server["address"]: server for server in Client("edge").get("services")["services"][0]["servers"]}


def refusal(method: str, *parts: str, body: Any = None) -> Refused:
    with pytest.raises(Refused) as caught:
        Client("edge").send(method, parts, body=body)
    return caught.value


def test_it_shows_what_runs(daemon: Daemon) -> None:
    client = Client()  # the only one that runs
    assert client.get()["name"] == "edge"
    for kind in ("services", "conns", "ports", "workers", "neighbours", "routes", "drops"):
        assert len(client.get(kind)[kind]) == 1
    server = servers()["10.0.2.10:8080"]
    assert server["name"] == "a"
    assert server["packet_rate_in"] > 0
    assert client.get("conns", limit="0") == {"conns": []}
    assert client.get("config")["services"][0]["name"] == "web"


def test_its_socket_is_for_its_user_only(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        assert stat.S_IMODE(os.stat(runtime.socket_path("edge")).st_mode) == 0o600
        daemon.end()
    assert not runtime.socket_path("edge").exists()
    assert daemon.process.returncode == 0


def test_services_and_servers_change_while_it_runs(daemon: Daemon) -> None:
    client = Client("edge")
    added = client.send("POST", ("services", "web", "servers"), body={"address": "10.0.2.12:80", "weight": 7})
    assert [step["text"] for step in added["plan"]] == ["add server 10.0.2.12:80 to tcp 198.51.100.1:80 (weight 7)"]
    assert client.send("PATCH", ("services", "web", "servers", "a"), body={"weight": 9})["plan"]
    assert client.send("POST", ("services", "web", "servers", "10.0.2.11:8080", "drain"))["plan"]
    assert servers()["10.0.2.10:8080"]["weight"] == 9
    assert servers()["10.0.2.11:8080"]["state"] == "drain"
    client.send("POST", ("services", "web", "servers", "10.0.2.11:8080", "resume"))
    client.send("DELETE", ("services", "web", "servers", "10.0.2.12:80"))
    assert {address: server["state"] for address, server in servers().items()} == {
        "10.0.2.10:8080": "up",
        "10.0.2.11:8080": "up",
    }
    client.send("PATCH", ("services", "web"), body={"scheduler": "mh", "name": "www"})
    service = {
        "name": "six",
        "protocol": "udp",
        "address": "[2001:db8::1]:53",
        "servers": [{"address": "[fd00::1]:53"}],
    }
    client.send("POST", ("services",), body=service)
    found = {service["name"]: service["scheduler"] for service in client.get("services")["services"]}
    assert found == {"www": "mh", "six": "wrr"}
    client.send("DELETE", ("services", "www"))
    assert [service["name"] for service in client.get("services")["services"]] == ["six"]


def test_what_is_wrong_is_refused_and_changes_nothing(daemon: Daemon) -> None:
    before = Client("edge").get("config")
    wrong = refusal("PATCH", "services", "web", "servers", "a", body={"weight": 70000})
    assert (wrong.status, str(wrong)) == (400, "weight = 70000: is too large; allowed: 0..65535")
    wrong = refusal("POST", "services", body={"name": "x", "address": "192.0.2.1:80"})
    assert wrong.status == 400
    assert "no port owns 192.0.2.1" in str(wrong)
    wrong = refusal("DELETE", "services", "wbe")
    assert (wrong.status, str(wrong)) == (404, 'there is no service "wbe"; did you mean "web"?')
    assert refusal("POST", "services", body={"name": "web", "address": "198.51.100.1:81"}).status == 409
    assert refusal("POST", "services", "web", "servers", body={"address": "10.0.2.10:8080"}).status == 409
    assert refusal("PUT", "config", body="[gateway]\nworkers = 0\n").problems[0]["line"] == 2
    assert refusal("PUT", "config", body='[gateway]\nname = "edge"\nworkers = 9\n').status == 409
    assert refusal("GET", "nothing").status == 404
    assert refusal("GET", "a%2Fb").status == 404
    assert refusal("DELETE", "ports").status == 405
    assert Client("edge").get("config") == before


@pytest.mark.parametrize(
    "octets", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"weight": NaN}', b'{"x": 1e999}']
)
def test_bodies_that_make_no_sense(daemon: Daemon, octets: bytes) -> None:
    before = Client("edge").get("config")
    for method, path in (("POST", "services"), ("PATCH", "services/web/servers/a"), ("PUT", "config")):
        with contextlib.closing(Connection(runtime.socket_path("edge"))) as connection:
            connection.request(method, f"/v1/{path}", octets, {"Content-Type": "application/json"})
            response = connection.getresponse()
            assert (response.status, bool(json.loads(response.read())["error"])) == (400, True)
    assert Client("edge").get("config") == before


def test_what_is_not_http_is_refused(daemon: Daemon) -> None:
    for octets in (
        b"\0" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 200_000,
        b"PUT /v1/config HTTP/1.1\r\nHost: x\r\n",
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw, contextlib.suppress(BrokenPipeError):
            raw.connect(str(runtime.socket_path("edge")))
            raw.sendall(octets)
    assert Client("edge").get()["name"] == "edge"


def test_a_whole_configuration_is_carried_out_or_only_planned(daemon: Daemon) -> None:
    client, text = Client("edge"), CONFIG.replace("weight = 2", "weight = 5")
    wanted = ["change weight of server 10.0.2.11:8080 of tcp 198.51.100.1:80: 2 -> 5"]
    for query in ({"dry_run": "1"}, {}):
        answer = client.send("PUT", ("config",), query, text)
        assert [step["text"] for step in answer["plan"]] == wanted
    assert client.send("PUT", ("config",), {}, text) == {"plan": []}
    assert client.send("PUT", ("config",), {}, client.get("config")) == {"plan": []}


def test_a_reload_carries_out_the_file(daemon: Daemon) -> None:
    daemon.config.write_text(CONFIG.replace('scheduler = "wrr"', "").replace("weight = 2", "weight = 3"))
    daemon.signal(signal.SIGHUP)
    daemon.says("was carried out, changes: 1")
    assert servers()["10.0.2.11:8080"]["weight"] == 3


def test_a_reload_of_a_wrong_file_changes_nothing(daemon: Daemon) -> None:
    daemon.config.write_text(CONFIG.replace("weight = 2", "weight = -1"))
    daemon.signal(signal.SIGHUP)
    said = daemon.says("weight = -1: is too small; allowed: 0..65535")
    assert f"{daemon.config} was not carried out" in said
    assert servers()["10.0.2.11:8080"]["weight"] == 2


def test_an_engine_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail = tmp_path / "fail"
    monkeypatch.setenv("PRONGHORN_TEST_FAIL", str(fail))
    with running(tmp_path):
        before = Client("edge").get("config")
        fail.write_text("add_service")
        service = {"name": "x", "address": "198.51.100.1:81", "servers": [{"address": "10.0.2.10:81"}]}
        wrong = refusal("POST", "services", body=service)
        assert wrong.status == 500
        assert "nothing has changed" in str(wrong)
        assert Client("edge").get("config") == before
        assert [service["name"] for service in Client("edge").get("services")["services"]] == ["web"]


def test_a_wrong_file_at_start_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(CONFIG.replace("null:", "nil:"))
    with start(config) as process:
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f'{config}:6: ports[0].device = "nil:": no such kind of device: "nil"' in said


def test_a_name_is_used_by_one_gateway(daemon: Daemon) -> None:
    with start(daemon.config) as process:
        said, _ = process.communicate(timeout=30)
    assert 'a gateway named "edge" runs already' in said
    assert Client("edge").get()["pid"] == daemon.process.pid


def test_a_killed_gateway_is_in_nobodys_way(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        daemon.signal(signal.SIGKILL)
        daemon.process.wait()
        assert runtime.socket_path("edge").exists()
        with pytest.raises(NotRunning, match="no gateway runs at"):
            Client("edge").get()
    with running(tmp_path):
        assert Client("edge").get()["name"] == "edge"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_tells_the_service_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with running(tmp_path) as daemon:
            assert manager.recv(4096).startswith(b"READY=1")
            daemon.signal(signal.SIGHUP)
            assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert manager.recv(4096).startswith(b"READY=1")
            daemon.signal(number)
            assert manager.recv(4096) == b"STOPPING=1"
            assert daemon.process.wait(timeout=30) == 0


def test_an_idle_daemon_does_not_work(daemon: Daemon) -> None:
    def used() -> int:
        fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    Client("edge").get()
    before = used()
    time.sleep(1.0)
    assert used() - before <= 2  # ticks of 10 ms
