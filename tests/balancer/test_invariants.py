"""Any packets in any order while services, servers and addresses come and go: counts agree with the tables, always."""

from __future__ import annotations

import functools
from collections import Counter
from ipaddress import ip_address

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pronghorn.balancer.configure import (
    ConfigureError,
    add_local_address,
    add_server,
    change_scheduler,
    change_state,
    change_weight,
    find_server,
    find_service,
    rebuild_lookups,
    remove_local_address,
    remove_server,
    remove_service,
)
from pronghorn.balancer.schedulers import SCHEDULERS as NAMES
from pronghorn.balancer.show import connections, services
from pronghorn.balancer.tables import SERVER_FREE, server_of
from pronghorn.balancer.tcp_state import is_open
from pronghorn.compiled import mode
from pronghorn.memory.hashtable import HashIndex
from pronghorn.memory.wheel import Wheel
from pronghorn.state.verdicts import QUEUED
from tests.balancer.frames import CLIENT, LOCAL, SERVICE, Seen, frame
from tests.balancer.gateway import CLIENTS, SERVERS, Gateway

FAMILY = st.sampled_from([4, 6])
FLAGS = st.sampled_from(["S", "SA", "A", "PA", "FA", "F", "R", "RA", "SF", "", "", ""])
HOSTS = {4: ("192.0.2.80", "192.0.2.81"), 6: ("2001:db8:2::80", "2001:db8:2::81")}
SECOND_LOCAL = {4: "192.0.2.11", 6: "2001:db8:2::11"}
SCHEDULERS = st.sampled_from(list(NAMES))

cached_frame = functools.lru_cache(10_000)(frame)


class Anything(RuleBasedStateMachine):
    """Two services of each family, few clients, few ports: everything meets everything."""

    def __init__(self) -> None:
        super().__init__()
        self.gateway = Gateway(conns=12)
        self.balancer = self.gateway.balancer
        self.locals: dict[int, list[tuple[str, int]]] = {4: [], 6: []}  # local endpoints that were ever used

    @initialize(scheduler=SCHEDULERS)
    def begin(self, scheduler: str) -> None:
        for family in (4, 6):
            for protocol in ("tcp", "udp"):
                self.gateway.service(protocol, SERVICE[family], 80, HOSTS[family], scheduler)

    def teardown(self) -> None:
        self.gateway.check()
        self.gateway.arena.close()

    # --- packets ------------------------------------------------------------------------------------------------------

    @rule(family=FAMILY, sport=st.integers(1, 6), flags=FLAGS, ttl=st.sampled_from([64, 64, 64, 1]))
    def request(self, family: int, sport: int, flags: str, ttl: int) -> None:
        self.put(cached_frame(CLIENT[family], sport, SERVICE[family], 80, flags, ttl=ttl), CLIENTS)

    @rule(family=FAMILY, flags=FLAGS, host=st.integers(0, 1), data=st.data())
    def reply(self, family: int, flags: str, host: int, data: st.DataObject) -> None:
        local = data.draw(st.sampled_from(self.locals[family] or [(LOCAL[family], 2000)]))
        self.put(cached_frame(HOSTS[family][host], 8080, *local, flags, port=SERVERS), SERVERS)

    def put(self, data: bytes, port: int) -> None:
        verdict = self.gateway.put(data, port)
        sent = self.gateway.taken()  # an ICMP error, or the packet itself
        if verdict == QUEUED:
            [(out, result)] = sent
            seen = Seen(result)  # its checksums are right
            if out == SERVERS:
                ends = self.locals[4 if "." in seen.source[0] else 6]
                if seen.source not in ends:
                    ends.append(seen.source)

    @rule(seconds=st.sampled_from([1, 11, 61, 130]))
    def wait(self, seconds: int) -> None:
        self.gateway.wait(seconds)

    # --- control ------------------------------------------------------------------------------------------------------

    @rule(family=FAMILY, protocol=st.sampled_from(["tcp", "udp"]), host=st.integers(0, 1), what=st.integers(0, 5))
    def change_server(self, family: int, protocol: str, host: int, what: int) -> None:
        service = find_service(self.balancer, protocol, ip_address(SERVICE[family]), 80)
        if service < 0:
            return
        address = ip_address(HOSTS[family][host])
        server = find_server(self.balancer, service, address, 8080)
        if server < 0:
            add_server(self.balancer, service, address, 8080, what)
        elif what == 0:
            remove_server(self.balancer, server)
        elif what == 1:
            change_state(self.balancer, server, "drain")
        elif what == 2:
            change_state(self.balancer, server, "up")
        else:
            change_weight(self.balancer, server, what - 3)

    @rule(family=FAMILY, protocol=st.sampled_from(["tcp", "udp"]), scheduler=SCHEDULERS)
    def change_service(self, family: int, protocol: str, scheduler: str) -> None:
        service = find_service(self.balancer, protocol, ip_address(SERVICE[family]), 80)
        if service < 0:
            self.gateway.service(protocol, SERVICE[family], 80, HOSTS[family], scheduler)
        elif protocol == "udp" and scheduler == "rr":
            remove_service(self.balancer, service)
        else:
            change_scheduler(self.balancer, service, scheduler)

    @rule(family=FAMILY, second=st.booleans())
    def change_local(self, family: int, second: bool) -> None:
        address = ip_address((SECOND_LOCAL if second else LOCAL)[family])
        try:
            add_local_address(self.balancer, address)
        except ConfigureError:
            remove_local_address(self.balancer, address)

    @rule()
    def rebuild(self) -> None:
        rebuild_lookups(self.balancer)

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def counts_agree(self) -> None:
        balancer = self.balancer
        numbers = [number for number in range(balancer.conn_limit) if balancer.records[number].state]
        used = [(server_of(balancer.conns[number]), balancer.records[number]) for number in numbers]
        assert balancer.count == len(used) == Wheel(balancer.wheel).count
        assert HashIndex(balancer.index).count == 2 * len(used)
        conns = Counter(server for server, _ in used)
        active = Counter(server for server, record in used if is_open(record.state))
        for number in range(balancer.server_limit):
            server = balancer.servers[number]
            assert (server.conns, server.active) == (conns[number], active[number])
            assert server.state != SERVER_FREE or not conns[number]
        local = Counter(record.local for _, record in used)
        assert all(balancer.locals[number].conns == local[number] for number in range(8))

    @invariant()
    def rows_agree(self) -> None:
        rows, _ = connections(self.balancer, self.gateway.worker, 0, 100)
        assert len(rows) == self.balancer.count
        assert len({(row.protocol, row.client, row.virtual) for row in rows}) == len(rows)
        assert len({(row.protocol, row.local, row.server) for row in rows}) == len(rows)
        ours = sum(server.active + server.inactive for service in services(self.balancer) for server in service.servers)
        assert ours <= len(rows)


Anything.TestCase.settings = settings(
    max_examples=8 if mode() == "interpreted" else 25, stateful_step_count=30 if mode() == "interpreted" else 50
)
TestAnything = Anything.TestCase
