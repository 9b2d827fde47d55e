"""The gateway's life: killed at any moment, given bad configurations, changed while traffic flows."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pronghorn.compiled import mode
from pronghorn.control.client import Refused
from tests.gateway.running import NAME, URLS, Running
from tests.peers.http_server import serve
from tests.peers.stage_config import configuration
from tests.peers.topology import SERVICE4, topology
from tests.support.patience import becomes, eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl"),
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Servers, and a gateway that is not started yet."""
    with topology(servers=2, addresses=False) as place:
        for node in place.servers:
            serve(node)
        config = tmp_path_factory.mktemp("gateway") / "life.toml"
        config.write_text(configuration(place, NAME, "xdp", "workers = 2"))
        yield Running(place, config)


@pytest.fixture
def gateway(stage: Running) -> Running:
    """It runs."""
    if stage.process is None or stage.process.poll() is not None:
        stage.start()
    return stage


def fetch(gateway: Running, url: str) -> str:
    return gateway.stage.client.namespace.run("curl", "-sS", "-g", "-m", "20", url, timeout=30).stdout.strip()


def answers(gateway: Running, name: str) -> bool:
    """Whether this server is among those that answer."""
    return name in {fetch(gateway, url) for url in URLS}


def state(gateway: Running) -> Any:
    """What the gateway does, counters aside."""
    kinds = {kind: gateway.send("GET", kind)[kind] for kind in ("ports", "routes", "services")}
    ports = [(port["name"], port["device"], port["mtu"], port["addresses"]) for port in kinds["ports"]]
    services = [
        (service["name"], service["address"], [(s["address"], s["weight"], s["state"]) for s in service["servers"]])
        for service in kinds["services"]
    ]
    return gateway.send("GET", "config"), ports, services


def nothing_under_way(gateway: Running, server: str) -> bool:
    """Whether no connection of that server is opening or established."""
    conns = gateway.send("GET", "conns")["conns"]
    open_states = ("syn_sent", "syn_received", "established")
    return not any(conn["server"] == server and conn["state"] in open_states for conn in conns)


# --- bad configurations -------------------------------------------------------------------------------------------

BAD = {
    "no TOML": ("[gateway]", "[gateway"),
    "an unknown key": ("packets = 4096", "packetz = 4096"),
    "a value out of range": ("packets = 4096", "packets = -1"),
    "a wrong type": ("packets = 4096", 'packets = "many"'),
    "an address twice": ("[balancer]", '[[services]]\nname = "again"\naddress = "10.0.0.100:80"\n[balancer]'),
    "a service without a port": ('address = "10.0.0.100:80"', 'address = "10.0.0.100"'),
    "another family behind it": ('address = "10.0.11.2:80"', 'method = "nat"\naddress = "[fd00:0:0:11::2]:80"'),
    "an unknown scheduler": ('scheduler = "rr"', 'scheduler = "random"'),
    "a driver that is none": ('device = "xdp:server2"', 'device = "magic:server2"'),
    "a device that is none": ("[balancer]", '[[ports]]\nname = "more"\ndevice = "xdp:nosuch"\n[balancer]'),
    "a route to nowhere": ("[balancer]", '[[routes]]\nprefix = "10.9.0.0/16"\nvia = "172.16.0.1"\n[balancer]'),
}


def test_a_bad_configuration_changes_nothing_that_runs(gateway: Running) -> None:
    good, before, links = gateway.config.read_text(), state(gateway), gateway.settled()
    with gateway.asking(least=20) as found:
        for why, (old, new) in BAD.items():
            assert old in good, why
            text = good.replace(old, new, 1)
            with pytest.raises(Refused) as refused:
                gateway.send("PUT", "config", body=text)
            assert str(refused.value), why
            assert state(gateway) == before, why
            time.sleep(0.03)
        gateway.config.write_text("nonsense")
        assert gateway.process is not None
        gateway.process.send_signal(1)
        assert eventually(lambda: "was not carried out, the gateway goes on as before" in gateway.said())
        gateway.config.write_text(good)
    assert state(gateway) == before
    assert becomes(gateway.interfaces, links) == links
    assert len(found) >= 20
    assert set(found) == {"ok"}


# --- changes ------------------------------------------------------------------------------------------------------


def test_changes_under_traffic_lose_nothing(gateway: Running) -> None:
    """Servers drain, leave, come back and change weight; services and addresses come and go. No request fails."""
    first = gateway.stage.servers[0]
    slow = gateway.stage.client.namespace.start("curl", "-sS", "-m", "20", URLS[0] + "slow", log="slow.log")
    with gateway.asking(least=50) as found:
        time.sleep(0.2)
        for name, address in (("web", f"{first.address4}:80"), ("web6", f"[{first.address6}]:80")):
            server = ("services", name, "servers")
            gateway.send("POST", *server, "server1", "drain")
            assert eventually(functools.partial(nothing_under_way, gateway, address))  # what it serves ends
            gateway.send("DELETE", *server, "server1")
            assert {fetch(gateway, URLS[name == "web6"]) for _ in range(3)} == {"server2"}
            gateway.send("POST", *server, body={"name": "server1", "address": address, "weight": 3})
            gateway.send("PATCH", *server, "server1", body={"weight": 1})
            gateway.send("PATCH", "services", name, body={"scheduler": "wrr"})
            gateway.send("PATCH", "services", name, body={"scheduler": "mh"})
            gateway.send("PATCH", "services", name, body={"scheduler": "rr"})
        more = {"name": "more", "address": f"{SERVICE4}:81", "servers": [{"address": f"{first.address4}:80"}]}
        gateway.send("POST", "services", body=more)
        assert fetch(gateway, f"http://{SERVICE4}:81/") == "server1"
        gateway.send("DELETE", "services", "more")
        gateway.send("PUT", "config", body=gateway.config.read_text())
        for name in ("server1", "server2"):  # others ask meanwhile, and take turns with us
            assert eventually(functools.partial(answers, gateway, name))
        workers = gateway.send("GET", "workers")["workers"]
        assert [worker["packets"] > 0 for worker in workers] == [True, True]  # one queue, two workers
    assert slow.wait(20) == 0
    assert (gateway.stage.stage.scratch / "slow.log").read_text().strip() in ("server1", "server2")
    assert len(found) >= 50
    assert set(found) == {"ok"}


# --- killed -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(mode() == "interpreted", reason="the kernel cleans up, in every mode")
def test_killed_at_any_moment_it_leaves_the_interfaces_as_they_were(stage: Running, tmp_path: Path) -> None:
    """During the start, just after it, and under traffic; then another one starts and balances."""
    if stage.process is not None and stage.process.poll() is None:
        stage.kill()
    assert eventually(lambda: not any(link["xdp"] for link in stage.interfaces()))
    before = stage.settled()
    for delay in (0.05, 0.2, 0.35, 0.5):
        stage.begin()
        time.sleep(delay)
        stage.kill()
        assert becomes(stage.interfaces, before) == before, f"killed after {delay} s"
    stage.start()
    assert any(link["xdp"] for link in stage.interfaces())
    askers = stage.ask(tmp_path / "stop")
    time.sleep(0.3)
    stage.kill()
    assert becomes(stage.interfaces, before) == before
    stage.start()
    for asker in askers:
        asker.kill()
    for url in URLS:
        assert fetch(stage, url) in ("server1", "server2")


def test_ended_by_a_signal_it_leaves_the_interfaces_as_they_were(gateway: Running, tmp_path: Path) -> None:
    assert gateway.process is not None
    askers = gateway.ask(tmp_path / "stop")
    time.sleep(0.2)
    gateway.process.terminate()
    assert gateway.process.wait(timeout=20) == 0
    for asker in askers:
        asker.kill()
    assert eventually(lambda: not any(link["xdp"] or link["promiscuity"] for link in gateway.interfaces()))
