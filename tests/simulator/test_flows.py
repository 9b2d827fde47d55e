"""Flows over the engine's sockets through a bottleneck: what arrives is what the line carries, to the octet."""

from __future__ import annotations

import pytest

from pronghorn.compiled import mode
from pronghorn.engine.calls import socket
from pronghorn.ports.wire_port import Impairment
from pronghorn.state.endpoints import STREAM
from tests.simulator.flows import Flow
from tests.simulator.host import Host
from tests.simulator.loop import STOPPED
from tests.simulator.network import MILLISECOND, SECOND, Network

SCALE = 1 if mode() == "interpreted" else 20
FAMILIES = pytest.mark.parametrize("family", [4, 6])


def dumbbell(network: Network, bottleneck: Impairment) -> tuple[Host, Host, tuple[str, str]]:
    """Two hosts and a router between them; the bottleneck is the router's wire to the second. Its addresses."""
    left, router, right = network.host("left"), network.host("router", forwarding=True), network.host("right")
    near, far = network.link(left, router), network.link(router, right, bottleneck)
    for number in range(2):
        left.route(str(far.networks[number]), near.ports[0], near.address(1, 4 + 2 * number))
        right.route(str(near.networks[number]), far.ports[1], far.address(0, 4 + 2 * number))
    return left, right, (far.address(1, 4), far.address(1, 6))


@FAMILIES
def test_datagrams_through_a_bottleneck(family: int) -> None:
    """1000 octets each 0.5 ms are 16 Mbit/s and more; the line carries 10."""
    headers = 14 + 8 + (20 if family == 4 else 40)
    with Network() as network:
        wire = Impairment(rate=10_000_000, delay=20 * MILLISECOND, queue_octets=30_000)
        left, right, addresses = dumbbell(network, wire)
        sink = right.listen(addresses[family == 6], 9, stream=False)
        flow = left.datagrams(addresses[family == 6], 9, 1000, MILLISECOND // 2, 200_000 * SCALE)
        network.run(2 + SCALE / 10)
        assert flow.ended > 0
        assert flow.octets == 200_000 * SCALE
        expected = (flow.ended - flow.begun) * 10_000_000 // (8 * SECOND * (1000 + headers)) + 29
        assert abs(sink.calls - expected) <= 1
        assert sink.octets == 1000 * sink.calls
        assert sink.begun == flow.begun + 20 * MILLISECOND + (1000 + headers) * 800
        gap = (1000 + headers) * 800
        assert sink.last - sink.begun == (sink.calls - 1) * gap, "the line was never idle"


def test_the_run_ends_with_the_flows() -> None:
    with Network() as network:
        left, right, addresses = dumbbell(network, Impairment(delay=MILLISECOND))
        sink = right.listen(addresses[1], 9, stream=False)
        flow = left.datagrams(addresses[1], 9, 100, MILLISECOND, 1000)
        left.flows().left = 1
        assert network.run(60) == STOPPED
        assert flow.ended == network.now == flow.begun + 9 * MILLISECOND
        network.run(1)
        assert sink.calls == 10


def has_streams() -> bool:
    """Whether the engine has TCP sockets."""
    with Network() as network:
        return socket(network.host("any").worker, 4, STREAM) >= 0


@FAMILIES
@pytest.mark.parametrize("loss", [0, 10_000])
def test_streams_arrive_whole(family: int, loss: int) -> None:
    """Four streams through one bottleneck: every octet is right, and the line is in use."""
    if not has_streams():
        pytest.skip("there are no stream sockets yet")
    with Network() as network:
        wire = Impairment(rate=10_000_000, delay=5 * MILLISECOND, queue_octets=30_000, loss=loss)
        left, right, addresses = dumbbell(network, wire)
        listener = right.listen(addresses[family == 6], 80)
        octets = 20_000 * SCALE
        flows = [left.stream(addresses[family == 6], 80, octets) for _ in range(4)]
        network.run(20 + 20 * SCALE * loss / 1000)
        sinks = [right.flows().flows[number] for number in range(1, right.flows().count)]
        assert listener.calls == len(sinks) == 4
        assert all(whole(sink, octets) for sink in sinks)
        assert all(flow.octets == octets and flow.error == 0 for flow in flows)
        if loss == 0 and SCALE > 1:
            seconds = (max(sink.ended for sink in sinks) - flows[0].begun) / SECOND
            assert 4 * octets * 8 / seconds > 7_000_000


def whole(sink: Flow, octets: int) -> bool:
    """Whether a stream has arrived, every octet of it."""
    return sink.octets == octets and sink.ended > 0 and sink.error == 0 and sink.wrong == 0
