"""Health checks of a real gateway: through its data plane, whose addresses the kernel does not have, against real
servers; and what becomes of clients when servers go, and when the checker does."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pronghorn.compiled import mode
from tests.gateway.running import NAME, Running
from tests.peers.http_server import serve
from tests.peers.stage_config import configuration
from tests.peers.topology import SERVICE4, SERVICE6, Topology, topology
from tests.support.patience import becomes, eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(300),  # the library may have to be built first
    pytest.mark.skipif(mode() == "interpreted", reason="the processes run the same code in every mode"),
]

PATIENCE = 60.0  # s for the first results: the checker's process has to start
PROGRAMS = """
[programs]
enabled = true
most = 4
addresses = ["10.0.12.1", "fd00:0:0:12::1"]
"""
PASSIVE = f"""
[[services]]
name = "watched"
address = "[{SERVICE6}]:81"
scheduler = "rr"
on_no_server = "reject"
passive = {{ inhibit = "1s", inhibit_max = "30s" }}
"""
PACE = 'interval = "300ms", fast_interval = "100ms", timeout = "2s", fall = 2, rise = 2'
CHECKS4 = [
    f'{{ type = "tcp", {PACE} }}',
    f'{{ type = "http", expect = "server", {PACE} }}',
    f'{{ type = "ping", {PACE} }}',
    f'{{ type = "udp", port = 5300, {PACE} }}',
    f'{{ type = "https", port = 4433, verify = false, {PACE} }}',
]
CHECKS6 = [
    f'{{ type = "http", {PACE} }}',
    f'{{ type = "ping", {PACE} }}',
    f'{{ type = "dns", port = 53, query = "a.test", answer = "192.0.2.9", {PACE} }}',
]


def health_of(place: Topology) -> str:
    """The stage's configuration with checks, and one service that withdraws its address."""
    text = configuration(place, NAME, "packet", "workers = 1")
    head, *services = text.split("[[services]]\n")
    checked = [
        f'[[services]]\non_no_server = "{what}"\nchecks = [{", ".join(checks)}]\n{service}'
        for what, checks, service in zip(("withdraw", "reject"), (CHECKS4, CHECKS6), services, strict=True)
    ]
    watched = PASSIVE + "".join(f'[[services.servers]]\naddress = "[{node.address6}]:8081"\n' for node in place.servers)
    return head + PROGRAMS.lstrip() + "".join(checked) + watched


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, native_library: Path) -> Iterator[Running]:
    missing = [name for name in ("openssl", "dnsmasq", "curl") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    with pytest.MonkeyPatch.context() as patch, topology(servers=2, addresses=False) as place:
        patch.setenv("PRONGHORN_MODE", "native")
        patch.setenv("PRONGHORN_LIBRARY", str(native_library))
        for node in place.servers:
            serve(node, kind="python")
            others(place, node.namespace)
        serve(place.servers[1], 8081, kind="python")
        config = tmp_path_factory.mktemp("health") / "health.toml"
        config.write_text(health_of(place))
        running = Running(place, config)
        running.start()
        yield running


def others(place: Topology, namespace: Any) -> None:
    """openssl, dnsmasq and something that takes datagrams."""
    key = place.stage.scratch / f"{namespace.name}.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run([*request, "-subj", "/CN=x", "-keyout", key, "-out", f"{key}.crt"], check=True, capture_output=True)
    namespace.start("openssl", "s_server", "-www", "-accept", "4433", "-key", key, "-cert", f"{key}.crt", log="ssl.log")
    dns = ["dnsmasq", "-k", "-p", "53", "-u", "root", "--no-resolv", "--no-hosts", "--host-record=a.test,192.0.2.9"]
    namespace.start(*dns, "--pid-file=", "--address=/a.test/192.0.2.9", "--conf-file=/dev/null", log="dns.log")
    sink = "import socket; s = socket.socket(2, 2); s.bind(('0.0.0.0', 5300)); [s.recv(99) for _ in iter(int, 1)]"
    namespace.start("python3", "-c", sink)


def states(running: Running) -> dict[str, dict[str, str]]:
    """By service and server: what each check says, and all together."""
    return {
        f"{view['service']} {view['server']}": {"all": view["state"]}
        | {check["name"]: check["state"] for check in view["checks"]}
        for view in running.send("GET", "health")["health"]
        if view["service"] != "watched"
    }


def expected(running: Running) -> dict[str, dict[str, str]]:
    return {
        f"{service} {node.name}": dict.fromkeys(("all", *names), "up")
        for service, names in (("web", ("tcp", "http", "ping", "udp", "https")), ("web6", ("http", "ping", "dns")))
        for node in running.stage.servers
    }


def checkers(running: Running) -> list[int]:
    """Processes."""
    return [one["pid"] for one in running.send("GET", "programs")["programs"] if one["name"] == "checker.py"]


def fetch(running: Running, url: str = f"http://{SERVICE4}/") -> str:
    done = running.stage.client.namespace.run("curl", "-sS", "-g", "-m", "2", url, check=False)
    return (done.stdout.strip() or done.stderr).strip()


def test_checks_take_the_data_plane_way(stage: Running) -> None:
    assert becomes(lambda: states(stage), expected(stage), PATIENCE) == expected(stage), stage.said()
    (checker,) = [one for one in stage.send("GET", "programs")["programs"] if one["name"] == "checker.py"]
    assert checker["packets_out"] > 0
    assert stage.stage.gateway.run("ip", "-j", "-4", "address", "show", "up").stdout.count("10.0.") == 0
    views = stage.send("GET", "health")["health"]
    assert all(check["ok"] > 0 and check["via"] == "gateway" for view in views for check in view["checks"])


def test_a_server_that_answers_no_more_gets_no_connections(stage: Running) -> None:
    assert becomes(lambda: states(stage), expected(stage), PATIENCE) == expected(stage)
    gone = stage.stage.servers[0]
    refuse = """
nft add table inet t
nft add chain inet t in "{ type filter hook input priority 0; }"
nft add rule inet t in tcp dport 80 reject with tcp reset
"""
    if shutil.which("nft") is None:
        pytest.skip("needs nft")
    gone.namespace.run("sh", "-ec", refuse)
    try:
        down = lambda: {key: state["all"] for key, state in states(stage).items()}  # noqa: E731
        wanted = {"web server1": "down", "web server2": "up", "web6 server1": "down", "web6 server2": "up"}
        assert becomes(down, wanted) == wanted
        assert {fetch(stage).split()[0] for _ in range(6)} == {"server2"}
        (view, *_) = stage.send("GET", "health")["health"]
        assert (view["share"], view["weight"], view["downs"]) == (0, 1, 1)
        assert view["reason"] in ("tcp: Connection refused", "http: Connection refused")
        assert view["checks"][2]["state"] == "up"  # ping
        shown = stage.send("GET", "services")["services"][0]["servers"][0]
        assert (shown["health"], shown["state"]) == ("down", "up")
    finally:
        gone.namespace.run("nft", "delete", "table", "inet", "t")
    assert becomes(lambda: states(stage), expected(stage)) == expected(stage)
    assert eventually(lambda: {fetch(stage).split()[0] for _ in range(4)} == {"server1", "server2"})


def test_the_checker_dies_and_nothing_else(stage: Running) -> None:
    assert becomes(lambda: states(stage), expected(stage), PATIENCE) == expected(stage)
    (pid,) = checkers(stage)
    before = stage.send("GET", "health")["health"][0]["checks"][0]["ok"]
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: checkers(stage) not in ([], [pid]), PATIENCE)
    assert states(stage) == expected(stage)
    assert eventually(lambda: stage.send("GET", "health")["health"][0]["checks"][0]["ok"] > before + 2)
    assert states(stage) == expected(stage)
    assert "the checker (gateway) has ended: signal 9; another one in 0.5 s" in stage.said()
    assert {fetch(stage).split()[0] for _ in range(4)} == {"server1", "server2"}


def test_traffic_shows_which_server_refuses(stage: Running) -> None:
    """Nothing checks this service: its clients find out, each failure for a longer time."""

    def watched() -> list[dict[str, Any]]:
        return [view for view in stage.send("GET", "health")["health"] if view["service"] == "watched"]

    url = f"http://[{SERVICE6}]:81/"

    def ask() -> bool:
        fetch(stage, url)
        return bool(watched()[0]["passive_downs"] >= 2)

    assert eventually(ask)
    first, second = watched()
    assert first["state"] == "probation" or re.match(r"traffic: \d+ connections failed", first["reason"])
    assert (second["state"], second["downs"], second["share"]) == ("up", 0, 1)
    (service,) = [one for one in stage.send("GET", "services")["services"] if one["name"] == "watched"]
    first, second = service["servers"]
    assert (first["refused"] >= 2, second["refused"], second["connections"] > 0) == (True, 0, True)
    for node in stage.stage.servers:
        stage.send("POST", "services", "watched", "servers", f"[{node.address6}]:8081", "drain")
    try:
        assert "onnection refused" in fetch(stage, url) or "Failed to connect" in fetch(stage, url)
        assert watched()[0]["service_up"] is False
    finally:
        for node in stage.stage.servers:
            stage.send("POST", "services", "watched", "servers", f"[{node.address6}]:8081", "resume")


def test_an_address_without_servers_is_not_answered_for(stage: Running) -> None:
    assert becomes(lambda: states(stage), expected(stage), PATIENCE) == expected(stage)
    client = stage.stage.client.namespace
    for node in stage.stage.servers:
        node.namespace.ip(f"link set {node.interface} down")
    try:
        assert eventually(lambda: stage.send("GET", "health")["health"][0]["withdrawn"])
        owned = stage.send("GET", "ports")["ports"][0]["addresses"]
        assert f"{SERVICE4}/32" not in owned
        assert client.run("ping", "-c", "1", "-W", "1", SERVICE4, check=False).returncode != 0
    finally:
        for node in stage.stage.servers:
            node.namespace.ip(
                f"link set {node.interface} up",
                f"address replace {node.address6}/64 dev {node.interface} nodad",
                f"route replace default via {node.gateway4}",
                f"route replace ::/0 via {node.gateway6}",
            )
    assert becomes(lambda: states(stage), expected(stage), PATIENCE) == expected(stage)
    assert f"{SERVICE4}/32" in stage.send("GET", "ports")["ports"][0]["addresses"]
    assert eventually(lambda: fetch(stage).startswith("server"))


def test_the_checker_ends_with_its_gateway(stage: Running) -> None:
    assert eventually(lambda: len(checkers(stage)) == 1, PATIENCE)
    (pid,) = checkers(stage)
    stage.kill()
    assert eventually(lambda: not Path(f"/proc/{pid}").exists())
