"""ICMP errors through a real gateway: what Linux says on either side reaches the program on the other."""

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
NOBODY, LISTENED = 5000, 5001
SERVICE = {4: SERVICE4, 6: SERVICE6}

# sends to an address until the kernel says why nobody answers, and prints that and who reported it
ASKER = """
import errno, socket, sys, time
family, address, port, ttl = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
s = socket.socket(socket.AF_INET if family == "4" else socket.AF_INET6, socket.SOCK_DGRAM)
if family == "4":
    s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    s.setsockopt(socket.IPPROTO_IP, 11, 1)
else:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
    s.setsockopt(socket.IPPROTO_IPV6, 25, 1)
s.settimeout(0.5)
s.connect((address, port))
end = time.monotonic() + 20
while time.monotonic() < end:
    try:
        s.send(b"question")
        s.recv(99)
    except TimeoutError:
        continue
    except OSError as error:
        _, ancillary, _, _ = s.recvmsg(2048, 2048, socket.MSG_ERRQUEUE)
        data = ancillary[-1][2]
        offender = socket.inet_ntop(s.family, data[20:24] if family == "4" else data[24:40])
        print(errno.errorcode[error.errno], offender)
        break
"""

# answers the first datagram for as long as nobody says that its client is gone
ANSWERER = """
import socket, sys, time
s = socket.socket(socket.AF_INET if sys.argv[1] == "4" else socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[2])))
_, client = s.recvfrom(99)
s.connect(client)
for _ in range(100):
    try:
        s.send(b"answer")
    except ConnectionRefusedError:
        print("refused", flush=True)
        break
    time.sleep(0.1)
"""


def datagrams(place: Topology) -> str:
    """The stage's configuration, and two services of datagrams for each family."""
    text = configuration(place, NAME, "packet")
    for family, service in SERVICE.items():
        for port in (NOBODY, LISTENED):
            host, server = (service, place.servers[0].address4) if family == 4 else (
                f"[{service}]", f"[{place.servers[0].address6}]"
            )  # fmt: skip
            text += f"""[[services]]
name = "u{family}-{port}"
protocol = "udp"
address = "{host}:{port}"
[[services.servers]]
address = "{server}:{port + 1000}"
"""
    return text


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, native_library: Path) -> Iterator[Running]:
    with native_gateway(tmp_path_factory.mktemp("errors"), native_library, datagrams) as gateway:
        yield gateway


def ask(running: Running, family: int, port: int, hops: int) -> list[str]:
    client = running.stage.client.namespace
    done = client.run("python3", "-c", ASKER, str(family), SERVICE[family], str(port), str(hops), timeout=40)
    return str(done.stdout).split()


@FAMILIES
def test_a_client_hears_that_nobody_listens_on_the_server(running: Running, family: int) -> None:
    assert ask(running, family, NOBODY, 64) == ["ECONNREFUSED", SERVICE[family]]


@FAMILIES
def test_a_client_hears_where_its_hops_ended(running: Running, family: int) -> None:
    """At the gateway; with one more it reaches the server."""
    assert ask(running, family, NOBODY, 1) == ["EHOSTUNREACH", SERVICE[family]]
    assert ask(running, family, NOBODY, 2) == ["ECONNREFUSED", SERVICE[family]]


@FAMILIES
def test_a_server_hears_that_its_client_is_gone(running: Running, family: int) -> None:
    server = running.stage.servers[0].namespace
    log = f"answerer{family}.log"
    server.start("python3", "-c", ANSWERER, str(family), str(LISTENED + 1000), log=log)
    kind = "AF_INET" if family == 4 else "AF_INET6"
    send = f"import socket; socket.socket(socket.{kind}, 2).sendto(b'x', ('{SERVICE[family]}', {LISTENED}))"

    def said() -> bool:
        if "refused" in (running.stage.stage.scratch / log).read_text():
            return True
        running.stage.client.namespace.run("python3", "-c", send)
        return False

    assert eventually(said)
