"""Clients of one family and servers of the other through a real gateway: Linux's stacks at both ends."""

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
PORT = 7000

# echoes what comes, by TCP and by UDP, and says who asked
SERVER = """
import socket, threading
def serve(conn):
    while data := conn.recv(65536):
        conn.sendall(data)
    conn.close()
def bound(family, address, kind):
    end = socket.socket(family, kind)
    if family == socket.AF_INET6:
        end.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if family == socket.AF_INET:
        end.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER: no DF, so that no datagram is lost to learn an MTU
    end.bind((address, 7000))
    return end
def accept(family, address):
    listener = bound(family, address, socket.SOCK_STREAM)
    listener.listen()
    while True:
        conn, peer = listener.accept()
        print("tcp", peer[0], flush=True)
        threading.Thread(target=serve, args=(conn,)).start()
def answer(family, address):
    end = bound(family, address, socket.SOCK_DGRAM)
    while True:
        data, peer = end.recvfrom(65536)
        end.sendto(data, peer)
for where in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    for do in (accept, answer):
        threading.Thread(target=do, args=where).start()
print("ready", flush=True)
"""
STREAM = """
import socket, sys, threading
data = bytes(range(251)) * 4000
with socket.create_connection((sys.argv[1], 7000), 20) as s:
    def send():
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    threading.Thread(target=send).start()
    answer = b"".join(iter(lambda: s.recv(65536), b""))
print(answer == data)
"""
# datagrams of many lengths, long ones in fragments; over IPv4 also without checksums (SO_NO_CHECK)
DATAGRAMS = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
good = []
for unsummed in (0, 1):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(10)
    if unsummed and family == socket.AF_INET:
        s.setsockopt(socket.SOL_SOCKET, 11, 1)
    if family == socket.AF_INET:
        s.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER: no DF
    for octets in (0, 1, 1231, 1232, 1233, 1452, 1453, 1472, 1473, 3000):
        data = bytes(n & 255 for n in range(octets))
        s.sendto(data, (sys.argv[1], 7000))
        good.append(s.recv(65536) == data)
print(all(good), len(good))
"""


def across(place: Topology) -> str:
    """The stage's configuration, and services whose server is of the other family."""
    text, server = configuration(place, NAME, "packet"), place.servers[0]
    for family in (4, 6):
        address = SERVICE4 if family == 4 else f"[{SERVICE6}]"
        end = f"[{server.address6}]" if family == 4 else server.address4
        for protocol in ("tcp", "udp"):
            text += f"""[[services]]
name = "{protocol}{family}"
protocol = "{protocol}"
address = "{address}:{PORT}"
servers = [{{ address = "{end}:{PORT}" }}]
"""
    return text


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, native_library: Path) -> Iterator[Running]:
    with native_gateway(tmp_path_factory.mktemp("across"), native_library, across) as gateway:
        place = gateway.stage
        place.servers[0].namespace.start("python3", "-c", SERVER, log="server.log")
        assert eventually(lambda: "ready" in said(gateway)), said(gateway)
        yield gateway


def said(running: Running) -> str:
    return (running.stage.stage.scratch / "server.log").read_text()


def ask(running: Running, program: str, family: int) -> str:
    done = running.stage.client.namespace.run("python3", "-c", program, SERVICE[family], timeout=60, check=False)
    return f"{done.stdout.strip()}{done.stderr}"


@FAMILIES
def test_a_stream_both_ways(running: Running, family: int) -> None:
    assert ask(running, STREAM, family) == "True"
    server = running.stage.servers[0]
    assert f"tcp {server.gateway6 if family == 4 else server.gateway4}\n" in said(running)


@FAMILIES
def test_datagrams_of_all_lengths(running: Running, family: int) -> None:
    assert ask(running, DATAGRAMS, family) == "True 20"
