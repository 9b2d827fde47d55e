"""SYN proxy through a real gateway, between Linux's stacks: streams both ways, with losses, and a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.compiled import mode
from tests.gateway.running import NAME, Running, native_gateway
from tests.peers.stage_config import configuration
from tests.peers.topology import SERVICE4, SERVICE6, Topology
from tests.support.patience import eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(300),  # the library may have to be built first
    pytest.mark.skipif(mode() == "interpreted", reason="the processes run the same code in every mode"),
]

FAMILIES = pytest.mark.parametrize("family", [4, 6])
SERVICE = {4: SERVICE4, 6: SERVICE6}
SERVER = """
import socket, threading
def serve(conn):
    while data := conn.recv(65536):
        conn.sendall(data)
    conn.close()
listener = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],)).start()
"""
STREAM = """
import socket, sys, threading
data = bytes(range(251)) * 4000
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as s:
    def send():
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    threading.Thread(target=send).start()
    answer = b"".join(iter(lambda: s.recv(65536), b""))
print(answer == data)
"""
REFUSED = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as s:
        print(s.recv(1))
except ConnectionResetError:  # before or after connect has seen the cookie
    print("reset")
"""


def proxied(place: Topology) -> str:
    """The stage's configuration, and services with a SYN proxy: port 7000 answers, 7001 does not, 7002 is deferred."""
    text, server = configuration(place, NAME, "packet"), place.servers[0]
    for family in (4, 6):
        address, end = (SERVICE4, server.address4) if family == 4 else (f"[{SERVICE6}]", f"[{server.address6}]")
        for port, to in ((7000, 7000), (7001, 7001), (7002, 7000)):
            text += f"""[[services]]
name = "proxied{family}-{port}"
address = "{address}:{port}"
syn_proxy = "always"
syn_proxy_defer = {str(port == 7002).lower()}
servers = [{{ address = "{end}:{to}" }}]
"""
    return text


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, native_library: Path) -> Iterator[Running]:
    with native_gateway(tmp_path_factory.mktemp("proxied"), native_library, proxied) as gateway:
        place = gateway.stage
        place.servers[0].namespace.start("python3", "-c", SERVER, log="server.log")
        log = place.stage.scratch / "server.log"
        assert eventually(lambda: "ready" in log.read_text()), log.read_text()
        yield gateway


def ask(running: Running, program: str, family: int, port: int = 7000) -> str:
    client = running.stage.client.namespace
    done = client.run("python3", "-c", program, SERVICE[family], str(port), timeout=60, check=False)
    return f"{done.stdout.strip()}{done.stderr}"


@FAMILIES
def test_a_stream_both_ways(running: Running, family: int) -> None:
    assert ask(running, STREAM, family) == "True"


@FAMILIES
def test_a_stream_whose_server_waits_for_data(running: Running, family: int) -> None:
    assert ask(running, STREAM, family, 7002) == "True"


@FAMILIES
def test_a_refusal_reaches_the_client(running: Running, family: int) -> None:
    assert ask(running, REFUSED, family, 7001) == "reset"


@FAMILIES
def test_losses_are_repaired(running: Running, family: int) -> None:
    """Every fiftieth segment with data is lost; SACK blocks mean on the other side what they meant on this."""
    losing = """table inet losses {
        chain coming {
            type filter hook input priority 0;
            meta l4proto tcp meta length > 200 numgen inc mod 50 == 49 drop
        }
    }"""
    nodes = (running.stage.client, running.stage.servers[0])
    for node in nodes:
        node.namespace.run("nft", losing)
    try:
        assert ask(running, STREAM, family) == "True"
    finally:
        for node in nodes:
            node.namespace.run("nft", "delete table inet losses")
