"""Octets arrive as they were sent: streams, datagrams longer than any frame, small MTUs on the way, echo requests."""

from __future__ import annotations

import shutil
import sys
import time

import pytest

from pronghorn.compiled import mode
from tests.interop.conftest import HERE, Gateway
from tests.peers.topology import SERVICE4, SERVICE6
from tests.support.patience import eventually

pytestmark = pytest.mark.root

VIPS = (SERVICE4, SERVICE6)
OCTETS, RATE = (200_000, 0) if mode() == "interpreted" else (16_000_000, 8_000_000)


@pytest.mark.parametrize("vip", VIPS)
def test_streams_with_offloads_as_they_are_by_default(gateway: Gateway, vip: str) -> None:
    # 64 KB segments that the gateway cannot take make this a hundred times slower: retransmissions, one by one.
    started = time.monotonic()
    gateway.ask("transfer", vip, OCTETS)
    assert 2 * OCTETS / (time.monotonic() - started) > RATE


@pytest.mark.parametrize("vip", VIPS)
def test_datagrams_of_any_size(gateway: Gateway, vip: str) -> None:
    gateway.ask("datagrams", vip, *[100] * 200, 1452, 1453, 1472, 1473, 3000, 9000, 20_000, 60_000)


@pytest.mark.skipif(shutil.which("ping") is None, reason="ping is not installed (package iputils-ping)")
@pytest.mark.parametrize("vip", VIPS)
@pytest.mark.parametrize("octets", [56, 1400, 20_000])
def test_echo_requests_of_any_size(gateway: Gateway, vip: str, octets: int) -> None:
    client = gateway.stage.client.namespace
    client.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "5", "-s", str(octets), vip)


def test_no_connection_and_no_buffer_is_left(gateway: Gateway) -> None:
    client, stage = gateway.stage.client.namespace, gateway.stage.stage
    asking = f'while "$@" {SERVICE4} 50 50 && "$@" {SERVICE6} 50 50; do :; done'
    busy = client.start("sh", "-c", asking, "sh", sys.executable, "-S", "-E", HERE / "asker.py", "datagrams")
    assert eventually(lambda: {conn["family"] for conn in gateway.show("conns") if conn["protocol"] == "udp"} == {4, 6})
    stage.stop(busy)
    assert eventually(lambda: all(conn["protocol"] == "tcp" for conn in gateway.show("conns")))
