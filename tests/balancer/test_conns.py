"""The table of connections: against a dict, when hashes collide, when it is full, and when ports run out."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pronghorn.balancer import balancer_timers
from pronghorn.balancer.configure import (
    add_local_address,
    add_server,
    change_local_ports,
    change_state,
    change_timeouts,
    change_weight,
    remove_local_address,
    remove_server,
    remove_service,
)
from pronghorn.balancer.conns import end_conn
from pronghorn.balancer.local_ports import steer_reply
from pronghorn.balancer.lookup import flow_hash
from pronghorn.balancer.show import connections
from pronghorn.balancer.tables import EXPIRED
from pronghorn.compiled import mode
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_remove
from pronghorn.state.verdicts import (
    CONN_TABLE_FULL,
    CONTINUE,
    LOCAL_PORTS_EXHAUSTED,
    QUEUED,
    SERVICE_NO_SERVER,
    SERVICE_REMOVED,
)
from tests.balancer.frames import CLIENT, LOCAL, SERVER, SERVICE, Seen, frame
from tests.balancer.gateway import SECOND, SERVERS, Gateway

FAMILIES = pytest.mark.parametrize("family", [4, 6])


def udp(family: int, sport: int, payload: bytes = b"") -> bytes:
    return frame(CLIENT[family], sport, SERVICE[family], 80, payload=payload)


def back(family: int, local: tuple[str, int]) -> bytes:
    return frame(SERVER[family], 8080, *local, port=SERVERS)


@FAMILIES
def test_the_table_is_full_and_then_has_room_again(family: int) -> None:
    with Gateway(conns=10) as gateway:
        gateway.service("udp", SERVICE[family], 80, (SERVER[family],))
        for sport in range(1, 11):
            gateway.forward(udp(family, sport))
        assert gateway.put(udp(family, 11)) == CONN_TABLE_FULL
        assert gateway.balancer.services[0].no_room == 1
        gateway.forward(udp(family, 5))
        gateway.wait(301)
        assert gateway.balancer.count == 0
        for sport in range(20, 30):
            gateway.forward(udp(family, sport))
        assert HashIndex(gateway.balancer.index).count == 20


@FAMILIES
def test_local_ports_run_out_for_one_server_and_not_for_another(family: int) -> None:
    with Gateway(conns=64) as gateway:
        change_local_ports(gateway.balancer, gateway.worker, 2000, 2009)
        add_local_address(gateway.balancer, ip_address("192.0.2.11" if family == 4 else "2001:db8:2::11"))
        number = gateway.service("udp", SERVICE[family], 80, (SERVER[family],))
        used = {Seen(gateway.forward(udp(family, sport))).source for sport in range(1, 21)}
        assert {port for _, port in used} == set(range(2000, 2010))
        assert len(used) == 20
        assert gateway.put(udp(family, 21)) == LOCAL_PORTS_EXHAUSTED
        assert (gateway.balancer.services[number].no_port, gateway.balancer.count) == (1, 20)
        other = add_server(gateway.balancer, number, ip_address(SERVER[family]), 8081)
        change_state(gateway.balancer, 0, "drain")
        again = {Seen(gateway.forward(udp(family, sport))).source for sport in range(30, 50)}
        assert again == used
        assert gateway.balancer.servers[other].conns == 20


@FAMILIES
def test_there_is_no_local_address(family: int) -> None:
    with Gateway(locals_=()) as gateway:
        gateway.service("udp", SERVICE[family], 80, (SERVER[family],))
        assert gateway.put(udp(family, 1)) == LOCAL_PORTS_EXHAUSTED


@pytest.mark.parametrize("index", range(3))
def test_replies_lead_back_to_the_worker(index: int) -> None:
    with Gateway(workers=3, index=index) as gateway:
        gateway.service("udp", SERVICE[4], 80, (SERVER[4],))
        ports = {Seen(gateway.forward(udp(4, sport))).source[1] for sport in range(1, 40)}
        assert {steer_reply(gateway.worker, port) for port in ports} == {index}
        assert len(ports) == 39
        assert min(ports) >= 1025


@FAMILIES
def test_collisions_in_the_index_are_harmless(family: int) -> None:
    """Flows whose 32 bits of hash are equal are told apart by their addresses and ports."""
    with Gateway(conns=16) as gateway:
        gateway.service("udp", SERVICE[family], 80, (SERVER[family],))
        seen = {sport: Seen(gateway.forward(udp(family, sport))).source for sport in range(1, 9)}
        numbers = [number for number in range(16) if gateway.balancer.records[number].state]
        assert numbers == (list(range(8)) if family == 4 else list(range(8, 16)))
        by_age = numbers if family == 4 else numbers[::-1]
        for number in numbers:
            move(gateway, number, None, 0x12345678)
        for sport, local in seen.items():
            assert find(gateway, udp(family, sport), 0x12345678).source == local
            assert find(gateway, back(family, local), 0x12345678).destination == (CLIENT[family], sport)
        for number in by_age[::2]:
            move(gateway, number, 0x12345678, None)
            end_conn(gateway.balancer, number)
        for sport, local in list(seen.items())[1::2]:
            assert find(gateway, udp(family, sport), 0x12345678).source == local
        for number in by_age[1::2]:
            move(gateway, number, 0x12345678, None)
            end_conn(gateway.balancer, number)
        assert HashIndex(gateway.balancer.index).count == 0


def move(gateway: Gateway, number: int, old: int | None, new: int | None) -> None:
    """Put a connection's flows into the index under another hash; None: their own."""
    index = HashIndex(gateway.balancer.index)
    for flow in (2 * number, 2 * number + 1):
        own = flow_hash(gateway.balancer, flow, index.secret)
        assert hash_remove(index, own if old is None else old, flow)
        assert hash_add(index, own if new is None else new, flow)


def find(gateway: Gateway, data: bytes, hash: int) -> Seen:
    """What becomes of a frame whose hash would be this one."""
    return Seen(gateway.forward(data, SERVERS if data[6:12] == b"\x02\x00\x00\x00\x0b\x01" else 0, hash=hash))


# --- servers that go ----------------------------------------------------------------------------------------------


@FAMILIES
@pytest.mark.parametrize("how", ["drain", "weight 0"])
def test_a_draining_server_keeps_its_connections(family: int, how: str) -> None:
    with Gateway() as gateway:
        second = "192.0.2.81" if family == 4 else "2001:db8:2::81"
        gateway.service("udp", SERVICE[family], 80, (SERVER[family], second))
        first = {sport: Seen(gateway.forward(udp(family, sport))) for sport in range(1, 9)}
        if how == "drain":
            change_state(gateway.balancer, 0, "drain")
        else:
            change_weight(gateway.balancer, 0, 0)
        for sport, seen in first.items():
            assert Seen(gateway.forward(udp(family, sport))).destination == seen.destination
        for sport in range(20, 30):
            assert Seen(gateway.forward(udp(family, sport))).destination[0] == second
        assert (gateway.balancer.servers[0].conns, gateway.balancer.servers[1].conns) == (4, 14)
        change_state(gateway.balancer, 1, "drain")
        change_weight(gateway.balancer, 0, 0)
        assert gateway.put(udp(family, 40)) == SERVICE_NO_SERVER
        assert gateway.balancer.services[0].no_server == 1


@FAMILIES
def test_connections_of_a_removed_server_end(family: int) -> None:
    with Gateway() as gateway:
        number = gateway.service("udp", SERVICE[family], 80, (SERVER[family],))
        local = [Seen(gateway.forward(udp(family, sport))).source for sport in range(1, 9)]
        remove_server(gateway.balancer, 0)
        assert gateway.put(udp(family, 1)) == SERVICE_REMOVED
        assert gateway.put(back(family, local[1]), SERVERS) == SERVICE_REMOVED
        assert gateway.put(udp(family, 1)) == SERVICE_NO_SERVER
        assert gateway.balancer.count == 6
        gateway.wait(1)
        assert gateway.balancer.count == 0
        assert gateway.put(back(family, local[2]), SERVERS) == CONTINUE
        assert gateway.balancer.services[number].removed[0] == 8
        assert add_server(gateway.balancer, number, ip_address(SERVER[family]), 8080) == 0  # the place is free again
        assert gateway.put(udp(family, 1)) == QUEUED


def test_a_removed_servers_place_is_not_used_before_its_connections_have_ended() -> None:
    with Gateway() as gateway:
        number = gateway.service("udp", SERVICE[4], 80, (SERVER[4],))
        gateway.forward(udp(4, 1))
        remove_server(gateway.balancer, 0)
        assert add_server(gateway.balancer, number, ip_address(SERVER[4]), 8080) == 1
        assert gateway.put(udp(4, 1)) == SERVICE_REMOVED
        assert gateway.put(udp(4, 1)) == QUEUED


def test_a_removed_service_is_none_of_ours_any_more() -> None:
    with Gateway() as gateway:
        number = gateway.service("udp", SERVICE[4], 80, (SERVER[4], "192.0.2.81"))
        gateway.forward(udp(4, 1))
        remove_service(gateway.balancer, number)
        assert gateway.put(udp(4, 1)) == SERVICE_REMOVED
        assert gateway.put(udp(4, 1)) == CONTINUE


def test_connections_from_a_removed_local_address_end() -> None:
    with Gateway() as gateway:
        gateway.service("udp", SERVICE[4], 80, (SERVER[4],))
        for sport in range(1, 9):
            gateway.forward(udp(4, sport))
        add_local_address(gateway.balancer, ip_address("192.0.2.11"))
        remove_local_address(gateway.balancer, ip_address(LOCAL[4]))
        assert Seen(gateway.forward(udp(4, 9))).source[0] == "192.0.2.11"
        gateway.wait(1)
        assert gateway.balancer.count == 1


def test_connections_are_shown_in_pages() -> None:
    with Gateway(conns=16) as gateway:
        gateway.service("udp", SERVICE[4], 80, (SERVER[4],))
        for sport in range(1, 11):
            gateway.forward(udp(4, sport))
        ports, start, pages = set(), 0, 0
        while start >= 0:
            rows, start = connections(gateway.balancer, gateway.worker, start, 3)
            ports |= {row.client[1] for row in rows}
            pages += 1
        assert (ports, pages) == (set(range(1, 11)), 4)


# --- against a dict -----------------------------------------------------------------------------------------------

CONNS = 12
TIMEOUT = 20


class Connections(RuleBasedStateMachine):
    """UDP clients come, go quiet and come back; a dict remembers what the table should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.gateway = Gateway(conns=CONNS)
        change_timeouts(self.gateway.balancer, {"udp": TIMEOUT})
        for family in (4, 6):
            self.gateway.service("udp", SERVICE[family], 80, (SERVER[family],))
        self.model: dict[tuple[int, int], list[float]] = {}  # client: local port, idle seconds

    def teardown(self) -> None:
        self.gateway.check()
        self.gateway.arena.close()

    @rule(family=st.sampled_from([4, 6]), sport=st.integers(1, 9))
    def request(self, family: int, sport: int) -> None:
        verdict = self.gateway.put(udp(family, sport, b"?"))
        known = self.model.get((family, sport))
        if known is None and len(self.model) == CONNS:
            assert verdict == CONN_TABLE_FULL
            return
        assert verdict == QUEUED
        [(_, data)] = self.gateway.taken()
        seen = Seen(data)
        assert (seen.source[0], seen.destination) == (LOCAL[family], (SERVER[family], 8080))
        if known is not None:
            assert seen.source[1] == known[0]
        self.model[family, sport] = [seen.source[1], 0]

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def reply(self, data: st.DataObject) -> None:
        family, sport = data.draw(st.sampled_from(sorted(self.model)))
        known = self.model[family, sport]
        seen = Seen(self.gateway.forward(back(family, (LOCAL[family], int(known[0]))), SERVERS))
        assert (seen.source, seen.destination) == ((SERVICE[family], 80), (CLIENT[family], sport))
        known[1] = 0

    @rule(family=st.sampled_from([4, 6]), port=st.integers(1025, 65535))
    def stray_reply(self, family: int, port: int) -> None:
        if all((family, port) != (other, known[0]) for (other, _), known in self.model.items()):
            assert self.gateway.put(back(family, (LOCAL[family], port)), SERVERS) == CONTINUE

    @rule(seconds=st.sampled_from([3, 9, 15]))
    def wait(self, seconds: int) -> None:
        self.gateway.wait(seconds)
        for client, known in list(self.model.items()):
            known[1] += seconds
            if known[1] > TIMEOUT:
                del self.model[client]
        # seconds add up to multiples of 3: nobody is ever within a tick of TIMEOUT

    @invariant()
    def same_count(self) -> None:
        balancer = self.gateway.balancer
        assert balancer.count == len(self.model)
        assert HashIndex(balancer.index).count == 2 * len(self.model)
        assert balancer.servers[0].conns + balancer.servers[1].conns == len(self.model)


Connections.TestCase.settings = settings(
    max_examples=8 if mode() == "interpreted" else 20, stateful_step_count=25 if mode() == "interpreted" else 40
)
TestConnections = Connections.TestCase


def test_many_that_expire_at_once_keep_the_worker_awake() -> None:
    # An idle worker's turns are 50 ms apart: with so many ends in a turn and no more, a flood would stay for minutes.
    with Gateway(conns=4 * EXPIRED) as gateway:
        gateway.service("udp", SERVICE[4], 80, (SERVER[4],))
        for sport in range(1, 3 * EXPIRED + 1):
            gateway.forward(udp(4, sport))
        gateway.worker.now += 400 * SECOND
        turns = 1
        while balancer_timers(gateway.worker) != 0:
            turns += 1
        assert gateway.balancer.count == 0
        assert 3 <= turns <= 32
