"""Connected sockets of several workers at one port: each hears its own peer, wherever the hash of the flow leads."""

from __future__ import annotations

import pytest

from pronghorn.state.endpoints import REUSE_PORT
from pronghorn.state.owners import PLACES, flow_drop, flow_has, flow_owner, flow_take, one_of, owners_of, set_listening
from pronghorn.wire.numbers import PROTOCOL_TCP, PROTOCOL_UDP
from tests.udp.bench import UdpBench
from tests.udp.frames import PEER, incoming


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("queues", [1, 3])
def test_each_hears_its_own_peer(family: int, queues: int) -> None:
    with UdpBench(workers=3, queues=queues) as bench:
        numbers = []
        for index in range(3):
            for sport in (4000 + index, 5000 + index):
                number = bench.open(family, 7, worker=index, options=REUSE_PORT)
                assert bench.connect(number, PEER[family], sport, worker=index) == 0
                numbers.append((index, number, sport))
        owners = owners_of(bench.worker())
        assert owners.count == 6
        for _, _, sport in numbers:
            bench.put(incoming(family, 7, str(sport).encode(), sport=sport))
        bench.turn()
        bench.turn()
        for index, number, sport in numbers:
            assert bench.receive(number, worker=index) == (str(sport).encode(), (PEER[family], sport))
        assert bench.connect(numbers[0][1], None, worker=0) == 0
        assert owners.count == 5
        for index, number, _ in numbers[1:]:
            assert bench.close_socket(number, worker=index) == 0
        assert owners.count == 0


def test_flows_of_a_bucket() -> None:
    """A bucket has so many places; a flow is its first taker's until that drops it; protocols are apart."""
    with UdpBench(workers=2) as bench:
        one, other, owners = bench.worker(0), bench.worker(1), owners_of(bench.worker(0))
        flows = [9 << 8 | number << 40 for number in range(PLACES + 1)]
        assert [flow_take(one, flow, PROTOCOL_TCP) for flow in flows] == [0] * PLACES + [-1]
        assert flow_take(other, flows[0], PROTOCOL_TCP) == -2
        assert flow_take(one, flows[0], PROTOCOL_TCP) == 0
        assert owners.count == PLACES
        flow_drop(other, flows[0], PROTOCOL_TCP)
        assert flow_has(one, flows[0], PROTOCOL_TCP)
        flow_drop(one, flows[0], PROTOCOL_TCP)
        assert flow_owner(owners, flows[0], PROTOCOL_TCP) == -1
        assert flow_take(other, flows[PLACES], PROTOCOL_TCP) == 0
        assert flow_owner(owners, flows[PLACES], PROTOCOL_TCP) == 1
        assert flow_owner(owners, flows[1], PROTOCOL_UDP) == -1


def test_bits_of_a_port() -> None:
    with UdpBench(workers=2) as bench:
        owners = owners_of(bench.worker(0))
        set_listening(bench.worker(1), 65_535, True)
        set_listening(bench.worker(0), 65_535, True)
        set_listening(bench.worker(1), 65_535, False)
        assert (owners.listeners[65_535], owners.heard[65_535], owners.listeners[65_534]) == (1, 3, 0)
    assert {one_of(0b1010, flow << 28) for flow in range(16)} == {1, 3}
