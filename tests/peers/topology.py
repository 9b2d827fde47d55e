"""The stage of benchmarks, interoperation tests and the demo: a client, a gateway and servers, IPv4 and IPv6.

    client eth0 ------- client [gateway] server1 ------- eth0 server 1
                                         server2 ------- eth0 server 2  ...

Each link is a network of its own: the gateway has host number 1, the other end 2 (10.0.1.0/24 and fd00:0:0:1::/64 to
the client, 10.0.10+n.0/24 and fd00:0:0:10+n::/64 to server n). Both the client's and the servers' default routes lead
to the gateway. The service addresses (`SERVICE4`, `SERVICE6`) belong to no link; whoever balances answers for them, or
simply receives them because it is the default route. The gateway does not forward unless `forward` is asked for: then
the kernel routes between the links, as the peer of a benchmark and for trying the stage itself.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers.namespaces import Namespace, Stage, stage

SERVICE4 = "10.0.0.100"
SERVICE6 = "fd00::100"
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Node:
    """A namespace at the end of a link: `interface` is its own, `port` the gateway's end."""

    name: str
    namespace: Namespace
    interface: str
    port: str
    address4: str
    address6: str
    gateway4: str
    gateway6: str


@dataclass(frozen=True)
class Topology:
    """Everything that a test needs to know: where things run and what they are called."""

    stage: Stage
    gateway: Namespace
    client: Node
    servers: list[Node]

    @property
    def nodes(self) -> list[Node]:
        return [self.client, *self.servers]


@contextlib.contextmanager
def topology(
    servers: int = 2,
    offload: bool = True,
    forward: bool = False,
    addresses: bool = True,
) -> Iterator[Topology]:
    """Build it, and take it down at the end.

    Without `offload` every end computes checksums and segments by itself, so that a frame on a veth pair is what it
    would be on a wire: needed by AF_XDP and AF_PACKET readers that take checksums at their word. Without `addresses`
    the gateway's kernel has no addresses (an engine on the ports answers for them alone).
    """
    with stage() as place:
        gateway = place.namespace("gateway")
        if forward:
            gateway.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        client = _node(place, gateway, "client", 1, addresses)
        backs = [_node(place, gateway, f"server{n}", 10 + n, addresses) for n in range(1, servers + 1)]
        result = Topology(place, gateway, client, backs)
        if not offload:
            switch_offload_off(gateway, *(node.port for node in result.nodes))
            for node in result.nodes:
                switch_offload_off(node.namespace, node.interface)
        yield result


def _node(place: Stage, gateway: Namespace, name: str, net: int, addresses: bool) -> Node:
    inside = place.namespace(name)
    node = Node(
        name, inside, "eth0", name, f"10.0.{net}.2", f"fd00:0:0:{net}::2", f"10.0.{net}.1", f"fd00:0:0:{net}::1"
    )
    place.join(inside, node.interface, gateway, node.port)
    if addresses:
        gateway.ip(
            f"address add {node.gateway4}/24 dev {node.port}", f"address add {node.gateway6}/64 dev {node.port} nodad"
        )
    inside.ip(
        f"address add {node.address4}/24 dev {node.interface}",
        f"address add {node.address6}/64 dev {node.interface} nodad",
        f"route add default via {node.gateway4}",
        f"route add ::/0 via {node.gateway6}",
    )
    return node


def switch_offload_off(where: Namespace, *interfaces: str) -> None:
    """Checksums and segments are made by the sender from now on."""
    where.run(sys.executable, "-S", "-E", _HERE / "offload.py", *interfaces)


def await_port(where: Namespace, address: str, port: int, seconds: float = 10) -> None:
    """Wait until something in, or reachable from, the namespace accepts a TCP connection."""
    where.run(
        sys.executable, "-S", "-E", _HERE / "await_port.py", address, str(port), str(seconds), timeout=seconds + 5
    )
