"""NAT on three workers: replies reach the worker that owns the connection, however the devices spread packets."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from pronghorn.balancer.configure import add_local_address, add_server, add_service, change_method
from pronghorn.balancer.show import connections, services
from pronghorn.balancer.tables import Balancer
from tests.support.feed import CLIENT, LOCAL, OWN, ROUTER, SERVICE, EngineBench
from tests.wire import judges as j

SERVER = {4: "198.51.100.80", 6: "2001:db8:2::80"}
FAMILIES = pytest.mark.parametrize("family", [4, 6])
QUEUES = pytest.mark.parametrize("queues", [0, 1], ids=["queue-per-worker", "one-queue"])


def packet(family: int, source: str, sport: int, destination: str, dport: int) -> Any:
    ip = j.IP(src=source, dst=destination) if family == 4 else j.IPv6(src=source, dst=destination)
    return j.Ether(src=ROUTER, dst=OWN[0]) / ip / j.UDP(sport=sport, dport=dport) / b"octets"


def request(family: int, sport: int) -> Any:
    return packet(family, CLIENT[family], sport, SERVICE[family], 80)


def reply(family: int, sport: int) -> Any:
    answer = packet(family, SERVER[family], 8080, CLIENT[family], sport)
    answer[j.Ether].dst = OWN[1]
    return answer


def serve(bench: EngineBench, family: int, method: str) -> None:
    def add(worker: Any) -> None:
        balancer = Balancer(worker.balancer)
        add_local_address(balancer, ip_address(LOCAL[family]))
        number = add_service(balancer, "udp", ip_address(SERVICE[family]), 80, "rr")
        add_server(balancer, number, ip_address(SERVER[family]), 8080, method=method)

    bench.everywhere(add)


def owners(bench: EngineBench) -> dict[int, int]:
    """Client's port: the worker that has its connection."""
    found = {}
    for index in range(3):
        worker = bench.engine.workers[index]
        for row in connections(Balancer(worker.balancer), worker, 0, 64)[0]:
            assert row.client[1] not in found
            found[row.client[1]] = index
    return found


def settled(bench: EngineBench) -> None:
    for _ in range(3):
        bench.turn()


@FAMILIES
@QUEUES
def test_replies_find_the_worker_of_their_connection(family: int, queues: int) -> None:
    with EngineBench(workers=3, queues=queues) as bench:
        serve(bench, family, "nat")
        for sport in range(2000, 2024):
            bench.put(request(family, sport), worker=sport % 3)
        settled(bench)
        assert len(bench.sent(1)) == 24
        assert len(set(owners(bench).values())) > 1
        for sport in range(2000, 2024):
            bench.put(reply(family, sport), port=1, worker=(sport + 1) % 3)
            bench.put(request(family, sport), worker=(sport + 2) % 3)
        settled(bench)
        back = [j.Ether(frame) for frame in bench.sent(0)]
        assert sorted(frame[j.UDP].dport for frame in back) == list(range(2000, 2024))
        assert {frame[j.UDP].sport for frame in back} == {80}
        assert len(bench.sent(1)) == 24
        assert len(owners(bench)) == 24


@FAMILIES
@QUEUES
def test_connections_stay_where_they_are_when_a_service_gets_nat(family: int, queues: int) -> None:
    with EngineBench(workers=3, queues=queues) as bench:
        serve(bench, family, "full-nat")
        for sport in range(2000, 2024):
            bench.put(request(family, sport), worker=sport % 3)
        settled(bench)
        before = owners(bench)

        def change(worker: Any) -> None:
            [service] = services(Balancer(worker.balancer))
            change_method(Balancer(worker.balancer), service.servers[0].index, "nat")

        bench.everywhere(change)
        for sport in range(2000, 2024):
            bench.put(request(family, sport), worker=sport % 3)  # a device's hash stays the same
        settled(bench)
        assert owners(bench) == before
        assert {j.Ether(frame)[j.UDP].dport for frame in bench.sent(1)} == {8080}
        bench.put(request(family, 3000))
        settled(bench)
        bench.put(reply(family, 3000), port=1, worker=2)
        settled(bench)
        assert len(bench.sent(0)) == 1, "new connections are NAT's"
