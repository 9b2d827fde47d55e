"""What the kernel is left with: while a port is open, when it was closed, when its process was killed; and refusals."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pronghorn.ports import ethtool
from pronghorn.ports.driver import PortError
from pronghorn.ports.packet_port import PacketPort
from pronghorn.ports.xdp_port import XdpPort
from pronghorn.ports.xdp_program import attached
from tests.peers.namespaces import Namespace
from tests.ports.line import Line, line
from tests.ports.support import Bench, bench, inside
from tests.support.patience import becomes, eventually

pytestmark = pytest.mark.root

HOLDER = """
import sys, time
from pronghorn.ports.packet_port import PacketPort
from pronghorn.ports.xdp_port import XdpPort
from tests.ports.support import Bench
one = Bench()
one.open({"xdp": XdpPort, "packet": PacketPort}[sys.argv[1]]("left"))
print("open", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Line]:
    with line() as one:
        yield one


@contextlib.contextmanager
def elsewhere(place: Line, kind: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has the port open."""
    process = subprocess.Popen(
        place.gateway.command(sys.executable, "-c", HOLDER, kind), stdout=subprocess.PIPE, env={"PYTHONPATH": "src:."}
    )
    assert process.stdout is not None
    with process:
        try:
            assert process.stdout.readline() == b"open\n"
            yield process
        finally:
            process.kill()


def programs(where: Namespace, device: str) -> str:
    """What iproute2 says about XDP on the device."""
    return "".join(part for part in where.run("ip", "link", "show", device).stdout.split("\n") if "xdp" in part)


def answers(place: Line) -> bool:
    """Whether the gateway's own kernel answers pings from the left."""
    return place.left.run("ping", "-c", "1", "-W", "1", "10.9.0.77", check=False).returncode == 0


def test_segmentation_offload_of_the_neighbour_comes_back(place: Line) -> None:
    """An XDP program on one end of a veth switches TSO off at the other, by itself; closing undoes it."""

    def offloads() -> dict[str, bool]:
        with inside(place.left):
            return ethtool.offloads_of("eth0")

    before = offloads()
    assert before["tso"]
    assert before["tx"]
    with bench() as one:
        with inside(place.gateway):
            one.open(XdpPort("left"))
        assert "pronghorn" in place.gateway.run("ip", "link", "show", "left").stdout
        assert offloads() == {**before, "tso": False}
    assert offloads() == before
    assert not programs(place.gateway, "left")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_leaves_no_program(place: Line, how: signal.Signals) -> None:
    with elsewhere(place, "xdp") as process:
        assert "xdp" in programs(place.gateway, "left")
        process.send_signal(how)
        process.wait(20)
        # Sockets are torn down after the process is gone.
        assert becomes(lambda: programs(place.gateway, "left"), "") == ""


def test_a_second_owner_is_told_who_the_first_is(place: Line) -> None:
    with elsewhere(place, "xdp"), bench() as one, inside(place.gateway):
        number = attached(socket.if_nametoindex("left"))
        with pytest.raises(PortError, match=f"another XDP program is attached.*program {number} 'pronghorn'"):
            one.open(XdpPort("left"))


@pytest.mark.parametrize("kind", [XdpPort, PacketPort])
def test_open_again(place: Line, kind: type[XdpPort] | type[PacketPort]) -> None:
    """Closed and opened in a row, also by the same object; the pool is whole each time."""
    with bench() as one:
        port = kind("left")
        for _ in range(3):
            with inside(place.gateway):
                one.open(port)
            port.close()
            port.close()
            assert one.free == one.full


def test_packet_keeps_the_kernel_quiet(place: Line) -> None:
    """The gateway's kernel has the pinged address, yet says nothing while the port is open."""
    place.gateway.ip("address add 10.9.0.77/24 dev left")
    try:
        assert eventually(lambda: answers(place))
        with elsewhere(place, "packet") as process:
            assert not answers(place)
            process.kill()
            process.wait()
        assert eventually(lambda: answers(place))
    finally:
        place.gateway.ip("address del 10.9.0.77/24 dev left")


def test_statistics_of_packet(place: Line) -> None:
    with bench() as one:
        port = PacketPort("left")
        with inside(place.gateway):
            one.open(port)
        place.left.run("ping", "-c", "1", "-W", "1", "10.9.0.55", check=False)
        facts = port.statistics()
        assert facts["kernel"] == "quiet"
        assert int(facts["seen"]) >= 1
        assert facts["ring_full"] == 0


def test_refusals(place: Line) -> None:
    """Every refusal names the device and says what to do."""
    place.gateway.ip("link add big type veth peer name big2", "link set big mtu 9000 up")
    place.gateway.ip("link add down0 type veth peer name down1")

    def fails(one: Bench, name: str, words: str) -> None:
        for kind in (XdpPort, PacketPort):
            with pytest.raises(PortError, match=f"^{name}.*{words}"):
                one.open(kind(name))

    with bench() as one, inside(place.gateway):
        fails(one, "nothing0", "the devices here are: .*left")
        fails(one, "down0", "is down; `ip link set down0 up` first")
        with pytest.raises(PortError, match=r"big: its MTU of 9000 exceeds 1774; `ip link set big mtu 1500`"):
            one.open(XdpPort("big"))
        with pytest.raises(PortError, match="power of two"):
            XdpPort("left", per_queue=100)
        with pytest.raises(PortError, match="power of two"):
            PacketPort("left", slots=100)
        with pytest.raises(PortError, match="lo: is no Ethernet device"):
            one.open(XdpPort("lo"))


UNPRIVILEGED = """
import subprocess
from pronghorn.ports.driver import PortError
from pronghorn.ports.packet_port import PacketPort
from pronghorn.ports.tap_port import TapPort
from pronghorn.ports.xdp_port import XdpPort
from tests.ports.support import Bench
subprocess.run(["ip", "link", "add", "left", "type", "veth", "peer", "name", "eth0"], check=True)
for name in ("left", "eth0"):
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
one = Bench()
try:
    one.open(XdpPort("left"))
    print("granted")
except PortError as error:
    print(error)
port = PacketPort("left")
one.open(port, TapPort("tap0"))
print(port.statistics()["kernel"])
one.close()
"""


def test_in_a_user_namespace() -> None:
    """Without privileges of the host AF_XDP is refused with reasons, and AF_PACKET and TAP do what they can."""
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", UNPRIVILEGED]
    done = subprocess.run(command, env={"PYTHONPATH": "src:."}, capture_output=True, text=True, timeout=60, check=False)
    if "unshare failed" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    xdp, kernel = done.stdout.splitlines()
    assert xdp == "granted" or "needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW" in xdp
    assert kernel.startswith(("quiet", "sees every frame too"))
