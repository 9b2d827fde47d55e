"""Requests per second of balanced HTTP: client, gateway and two servers in namespaces, the gateway on AF_XDP.

wrk keeps 50 connections busy; nginx answers from memory. The peer is the kernel's own balancer in an equal topology,
loaded in turn: nftables DNAT with masquerade.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench import gateway
from bench.harness import Benchmark, Measure, Unavailable
from bench.peers import nftables, wrk
from tests.peers.http_server import serve
from tests.peers.namespaces import Refused
from tests.peers.topology import SERVICE4, Topology, await_port, topology

SECONDS = 3


@contextlib.contextmanager
def served(forward: bool, offload: bool) -> Iterator[Topology]:
    """The stage with two HTTP servers."""
    try:
        with topology(servers=2, forward=forward, offload=offload) as top:
            for node in top.servers:
                serve(node)
            yield top
    except Refused as why:
        raise Unavailable(str(why)) from why


@contextlib.contextmanager
def ours() -> Iterator[Measure]:
    gateway.program()
    with served(forward=False, offload=True) as top, gateway.up(top):
        yield lambda: requests_per_second(top)


@contextlib.contextmanager
def peer() -> Iterator[Measure]:
    with served(forward=True, offload=True) as top:
        nftables.balance(top)
        await_port(top.client.namespace, SERVICE4, 80)
        yield lambda: requests_per_second(top)


def requests_per_second(top: Topology) -> float:
    return wrk.load(top.client.namespace, f"http://{SERVICE4}/", SECONDS).requests_per_second


BENCHMARK = Benchmark(
    name="http_xdp",
    what="balanced HTTP through namespaces over AF_XDP: wrk, 50 connections, two nginx",
    unit="requests/s",
    ours=ours,
    peer_name="nftables NAT",
    peer=peer,
)
