"""Tunnels through a real gateway: the kernel of the server takes outer packets, and what was in them is served."""

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

KINDS = ("ipip", "gre", "gue")
OUTSIDE = {"ipip": {4: 4, 6: 41}, "gre": {4: 47, 6: 47}, "gue": {4: 17, 6: 17}}
SERVICE = {4: SERVICE4, 6: SERVICE6}
FIRST = 7000

# echoes the length and the sum of what each connection sends, both families
SERVER = """
import selectors, socket, sys, threading
def serve(listener):
    while True:
        conn, _ = listener.accept()
        total = octets = 0
        while data := conn.recv(65536):
            octets, total = octets + len(data), total + sum(data)
        conn.sendall(b"%d %d" % (octets, total))
        conn.close()
for port in range(7000, 7012):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=serve, args=(listener,)).start()
"""
CLIENT = """
import socket, sys
data = bytes(range(251)) * 800
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as s:
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    answer = b""
    while part := s.recv(99):
        answer += part
print(answer == b"%d %d" % (len(data), sum(data)))
"""


def ways() -> Iterator[tuple[int, str, int, int]]:
    """Port, kind of tunnel, and families inside and outside."""
    port = FIRST
    for kind in KINDS:
        for inner in (4, 6):
            for outer in (4, 6):
                yield port, kind, inner, outer
                port += 1


def tunnels(place: Topology) -> str:
    """The stage's configuration, and a service for each way."""
    text = configuration(place, NAME, "packet")
    server = place.servers[0]
    for port, kind, inner, outer in ways():
        address = SERVICE4 if inner == 4 else f"[{SERVICE6}]"
        end = server.address4 if outer == 4 else f"[{server.address6}]"
        text += f"""[[services]]
name = "{kind}-{inner}-{outer}"
address = "{address}:{port}"
method = "tunnel-{kind}"
servers = [{{ address = "{end}:{port}" }}]
"""
        if kind != "ipip":
            text += f"tunnel = {{ checksum = true{', key = 77' if kind == 'gre' else ''} }}\n"
    return text


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, native_library: Path) -> Iterator[Running]:
    with native_gateway(tmp_path_factory.mktemp("tunnels"), native_library, tunnels) as gateway:
        place = gateway.stage
        # the servers answer clients themselves: the gateway does not forward, so here is a way past it
        server = place.servers[0]
        place.stage.join(place.client.namespace, "back", server.namespace, "back")
        place.client.namespace.ip("address add 10.9.9.1/24 dev back", "address add fd09::1/64 dev back nodad")
        server.namespace.ip(
            "address add 10.9.9.2/24 dev back",
            "address add fd09::2/64 dev back nodad",
            f"route add {place.client.address4}/32 via 10.9.9.1",
            f"route add {place.client.address6}/128 via fd09::1",
        )
        place.client.namespace.sysctl(ipv4__conf__all__rp_filter=0, ipv4__conf__back__rp_filter=0)
        place.client.namespace.sysctl(ipv4__conf__eth0__rp_filter=0)
        script = Path(__file__).with_name("unwrap.py")
        server.namespace.start(
            "python3", script, server.interface, f"{SERVICE4}/32", f"{SERVICE6}/128", log="unwrap.log"
        )
        server.namespace.start("python3", "-c", SERVER, log="server.log")
        assert eventually(lambda: "ready" in unwrap_log(gateway)), unwrap_log(gateway)
        yield gateway


def unwrap_log(running: Running) -> str:
    return (running.stage.stage.scratch / "unwrap.log").read_text()


@pytest.mark.parametrize(("port", "kind", "inner", "outer"), list(ways()))
def test_a_transfer_goes_through_the_tunnel(running: Running, port: int, kind: str, inner: int, outer: int) -> None:
    """Whole and right, path MTU included: the client begins with segments that are too long for the tunnel."""
    client = running.stage.client.namespace
    done = client.run("python3", "-c", CLIENT, SERVICE[inner], str(port), timeout=40, check=False)
    said = unwrap_log(running)
    assert done.stdout.strip() == "True", f"{done.stderr}\n{said}\n{running.said()}"
    assert f"{outer} {OUTSIDE[kind][inner]}\n" in said
