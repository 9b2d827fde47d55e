"""Devices that lose their carrier or are deleted: the gateway says so, goes on with the others, and does not spin."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.compiled import mode
from tests.interop.conftest import Gateway
from tests.peers.topology import SERVICE4, SERVICE6, Topology
from tests.support.patience import eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(mode() == "interpreted", reason="nothing here depends on how the data plane runs"),
]


SPARE = "spare"


@pytest.fixture
def fresh(stage: Topology, driver: str) -> Iterator[tuple[Gateway, int]]:
    stage.gateway.ip(
        f"link add {SPARE} type veth peer name {SPARE}-end", f"link set {SPARE}-end up", f"link set {SPARE} up"
    )
    own = Gateway(stage, driver, spare=SPARE)
    process = own.start()
    yield own, process.pid
    stage.stage.stop(process)
    stage.gateway.run("ip", "link", "delete", SPARE, check=False)


def links(gateway: Gateway) -> dict[str, str]:
    return {port["name"]: port["link"] for port in gateway.show("ports")}


def ticks(pid: int) -> int:
    """Hundredths of seconds of CPU so far."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


def test_links_are_watched(fresh: tuple[Gateway, int], stage: Topology) -> None:
    gateway, pid = fresh
    assert set(links(gateway).values()) == {"up"}
    assert f"port {SPARE}: opened " in gateway.said()

    stage.gateway.ip(f"link set {SPARE}-end down")
    assert eventually(lambda: f"port {SPARE}: link down" in gateway.said())
    assert links(gateway)[SPARE] == "down"
    stage.gateway.ip(f"link set {SPARE}-end up")
    assert eventually(lambda: f"port {SPARE}: link up" in gateway.said())

    stage.gateway.ip(f"link delete {SPARE}")
    assert eventually(lambda: f"port {SPARE}: its device is gone" in gateway.said())
    assert links(gateway)[SPARE] == "gone"
    before = ticks(pid)
    time.sleep(0.5)
    assert ticks(pid) - before < 15, "it spins"
    for vip in (SERVICE4, SERVICE6):
        gateway.ask("transfer", vip, 1000)


def test_a_link_of_the_traffic_flaps(fresh: tuple[Gateway, int], stage: Topology) -> None:
    gateway, _ = fresh
    stage.gateway.ip("link set client down")
    assert eventually(lambda: "port client: link down" in gateway.said())
    stage.gateway.ip("link set client up")
    assert eventually(lambda: "port client: link up" in gateway.said())
    for vip in (SERVICE4, SERVICE6):
        gateway.ask("transfer", vip, 1000)
