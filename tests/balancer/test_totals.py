"""Several workers: what each learns of the others, and limits that hold in total, whatever the order of things."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.balancer.configure import add_server, add_service, change_limits, remove_server, remove_service
from pronghorn.balancer.tables import Balancer, Server
from pronghorn.balancer.thresholds import is_full, note_opened
from pronghorn.balancer.totals import publish_totals
from pronghorn.compiled import Array, array_at, u64
from tests.balancer.gateway import Gateway

WORKERS = 3


@pytest.fixture(scope="module")
def gateways() -> Iterator[list[Gateway]]:
    made = [Gateway() for _ in range(WORKERS)]
    yield made
    for gateway in made:
        gateway.arena.close()


class Shared:
    """One service with one server, on every worker."""

    def __init__(self, gateways: list[Gateway], upper: int, lower: int = 0) -> None:
        self.balancers = [gateway.balancer for gateway in gateways]
        self.table: Array[u64] = array_at(u64, self.balancers[0].scratch.address)
        self.turn = 0
        self.servers: list[Server] = []
        for worker, balancer in enumerate(self.balancers):
            self.table[worker] = balancer.address
            number = add_service(balancer, "tcp", ip_address("203.0.113.1"), 80, "wlc")
            server = add_server(balancer, number, ip_address("192.0.2.80"), 80)
            quota = upper * (worker + 1) // WORKERS - upper * worker // WORKERS
            change_limits(balancer, server, upper, lower, quota)
            self.servers.append(balancer.servers[server])

    def publish(self) -> None:
        publish_totals(self.table, WORKERS, self.turn)
        self.turn += 1

    def open(self, worker: int) -> bool:
        server = self.servers[worker]
        if is_full(server):
            return False
        server.conns += 1
        server.active += 1
        note_opened(server)
        return True

    def close(self, worker: int) -> None:
        server = self.servers[worker]
        if server.conns:
            server.conns -= 1
            server.active -= 1

    def remove(self) -> None:
        for balancer, server in zip(self.balancers, self.servers, strict=True):
            server.conns = 0
            remove_service(balancer, 0)


STEPS = st.lists(st.tuples(st.sampled_from("ooocp"), st.integers(0, WORKERS - 1)), max_size=60)


@given(upper=st.integers(1, 12), lower=st.integers(0, 12), steps=STEPS)
def test_limits_hold_in_total(gateways: list[Gateway], upper: int, lower: int, steps: list[tuple[str, int]]) -> None:
    shared = Shared(gateways, upper, min(lower, upper))
    for what, worker in steps:
        if what == "o":
            shared.open(worker)
        elif what == "c":
            shared.close(worker)
        else:
            shared.publish()
            conns = [server.conns for server in shared.servers]
            assert [server.others_conns for server in shared.servers] == [sum(conns) - own for own in conns]
            assert [server.others_active for server in shared.servers] == [sum(conns) - own for own in conns]
        assert sum(server.conns for server in shared.servers) <= upper
        assert sum(max(server.quota, server.conns) for server in shared.servers) <= upper
    shared.remove()


@pytest.mark.parametrize("upper", [1, 2, 7, 100])
def test_one_worker_alone_reaches_the_limit(gateways: list[Gateway], upper: int) -> None:
    shared = Shared(gateways, upper)
    for _ in range(60):
        while shared.open(1):
            pass
        shared.publish()
    assert shared.servers[1].conns == upper
    assert not shared.open(0)
    assert not shared.open(2)
    shared.close(1)
    shared.publish()
    assert not shared.open(0) or upper == 1  # overloaded until three quarters
    shared.remove()


def test_what_only_some_workers_have_is_left_out(gateways: list[Gateway]) -> None:
    shared = Shared(gateways, 0)
    for server in shared.servers:
        server.conns = 5
    balancer: Balancer = shared.balancers[2]
    shared.publish()
    assert [server.others_conns for server in shared.servers] == [10] * WORKERS
    shared.servers[0].conns = 6
    remove_server(balancer, balancer.services[0].members[0])
    shared.publish()
    assert [server.others_conns for server in shared.servers] == [10] * WORKERS
    shared.remove()
