"""Who may: lists of every kind, the black list, rates of sources, defences; each with its verdict and counters."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pronghorn.balancer.addresses import ConfigureError
from pronghorn.balancer.change_access import Rules, change_black_list, change_defences, change_rules
from pronghorn.balancer.configure import remove_service
from pronghorn.balancer.set_changes import Sets
from pronghorn.balancer.set_entries import read_member
from pronghorn.balancer.source_rates import WAYS, Source, create_sources, take_token
from pronghorn.balancer.tables import Balancer
from pronghorn.state.packet import REDIRECTED
from pronghorn.state.verdicts import (
    ACL_BLACKLISTED,
    ACL_DENIED,
    ACL_NOT_ALLOWED,
    CONTINUE,
    DEFENCE_TCP_DROP,
    DEFENCE_UDP_DROP,
    QUEUED,
    RATE_LIMITED_SOURCE,
)
from pronghorn.state.worker import Worker
from tests.balancer.frames import CLIENT, LOCAL, SERVER, SERVICE, Seen, frame
from tests.balancer.gateway import CLIENTS, PEER_MAC, SECOND, SERVERS, Gateway, mac
from tests.support.feed import OWN, ROUTER, EngineBench

FAMILIES = pytest.mark.parametrize("family", [4, 6])


class Guarded(Gateway):
    """A gateway with sets and a service of each family and protocol at port 80."""

    def __init__(self, sources: int = 64) -> None:
        super().__init__()
        self.sets = Sets(self.arena, 1, lambda: int(self.worker.now), lambda: None, lambda name: {"wan": 0}.get(name))
        self.balancer.sources = create_sources(self.arena, 7, sources).address
        self.numbers = {
            (protocol, family): self.service(protocol, SERVICE[family], 80, (SERVER[family],))
            for protocol in ("tcp", "udp")
            for family in (4, 6)
        }

    def __enter__(self) -> Guarded:
        return self

    def fill(self, name: str, kind: str, *texts: str) -> int:
        """Make the set if it is not there, add these; returns its address."""
        if name not in self.sets.sets:
            self.sets.create(name, kind)
        self.sets.add(name, [read_member(kind, text) for text in texts])
        return self.sets.address(name)

    def rules(self, rules: Rules) -> None:
        for number in self.numbers.values():
            change_rules(self.balancer, number, rules)

    def ask(
        self, family: int = 4, sport: int = 4000, src: str | None = None, udp: bool = False, flags: str = "S"
    ) -> int:
        """A packet from the client to the service; its verdict."""
        source = src or CLIENT[family]
        return self.put(frame(source, sport, SERVICE[family], 80, "" if udp else flags))

    def met(self, name: str) -> dict[str, tuple[int, int]]:
        """Packets and octets that each entry of the set has met, where it has met any."""
        return {shown.text: (shown.packets, shown.octets) for shown in self.sets.entries(name) if shown.packets}


HITS = {
    "ip": {4: CLIENT[4], 6: CLIENT[6]},
    "net": {4: "100.64.0.0/10", 6: "2001:db8:9::/48"},
    "ip:port": {4: f"{CLIENT[4]},80", 6: f"{CLIENT[6]},80"},
    "net:port": {4: "0.0.0.0/0,80", 6: "::/0,80"},
    "mac": dict.fromkeys((4, 6), mac(PEER_MAC[CLIENTS])),
    "port": dict.fromkeys((4, 6), "80"),
    "interface": dict.fromkeys((4, 6), "wan"),
}
MISSES = {
    "ip": {4: "100.64.0.78", 6: "2001:db8:9::78"},
    "net": {4: "100.65.0.0/16", 6: "2001:db8:9::/127"},
    "ip:port": {4: f"{CLIENT[4]},81", 6: f"{CLIENT[6]},udp:80"},
    "net:port": {4: "0.0.0.0/0,udp:80", 6: "::/0,4000"},
    "mac": dict.fromkeys((4, 6), mac(PEER_MAC[SERVERS])),
    "port": dict.fromkeys((4, 6), "4000"),
    "interface": dict.fromkeys((4, 6), "lan"),
}


@FAMILIES
@pytest.mark.parametrize("kind", HITS)
def test_a_deny_list_of_every_kind(kind: str, family: int) -> None:
    """What it has is dropped and counted at its entry; the rest goes on."""
    with Guarded() as gateway:
        gateway.rules(Rules(deny=gateway.fill("s", kind, MISSES[kind][family])))
        assert gateway.ask(family) == QUEUED
        assert gateway.met("s") == {}
        gateway.fill("s", kind, HITS[kind][family])
        assert gateway.ask(family, sport=4001) == ACL_DENIED
        text = read_member(kind, HITS[kind][family]).text
        assert gateway.met("s") == {text: (1, len(frame(CLIENT[family], 1, SERVICE[family], 80, "S")))}


@FAMILIES
@pytest.mark.parametrize("kind", HITS)
def test_an_allow_list_of_every_kind(kind: str, family: int) -> None:
    with Guarded() as gateway:
        gateway.rules(Rules(allow=gateway.fill("s", kind, MISSES[kind][family])))
        assert gateway.ask(family) == ACL_NOT_ALLOWED
        gateway.fill("s", kind, HITS[kind][family])
        assert gateway.ask(family) == QUEUED


def test_deny_comes_before_allow_and_lists_are_a_service_s_own() -> None:
    with Guarded() as gateway:
        both = gateway.fill("s", "ip", CLIENT[4])
        change_rules(gateway.balancer, gateway.numbers["tcp", 4], Rules(deny=both, allow=both))
        assert gateway.ask() == ACL_DENIED
        assert gateway.ask(udp=True) == QUEUED
        change_rules(gateway.balancer, gateway.numbers["tcp", 4], Rules(allow=both))
        assert gateway.ask() == QUEUED
        change_rules(gateway.balancer, gateway.numbers["tcp", 4], Rules())
        assert gateway.ask(src="100.64.0.78") == QUEUED
        assert gateway.balancer.services[gateway.numbers["tcp", 4]].asks == 0


@FAMILIES
def test_open_connections_go_on_when_an_entry_comes(family: int) -> None:
    """As in DPVS: a list is asked when a connection opens; the black list for every packet, in both directions."""
    with Guarded() as gateway:
        denied, black = gateway.fill("deny", "ip"), gateway.fill("black", "net")
        gateway.rules(Rules(deny=denied))
        change_black_list(gateway.balancer, [gateway.fill("other", "port", "9"), black])
        assert gateway.ask(family) == QUEUED
        gateway.fill("deny", "ip", CLIENT[family])
        assert gateway.ask(family, flags="A") == QUEUED
        assert gateway.ask(family, sport=4001) == ACL_DENIED
        gateway.fill("black", "net", f"{CLIENT[family]}/{32 if family == 4 else 128}")
        assert gateway.ask(family, flags="A") == ACL_BLACKLISTED
        assert gateway.ask(family, sport=4001) == ACL_BLACKLISTED
        answer = frame(SERVER[family], 8080, LOCAL[family], 1025, "A", port=SERVERS)
        assert gateway.put(answer, SERVERS) == CONTINUE  # of no connection, and not in the list
        gateway.fill("black", "net", SERVER[family])
        assert gateway.put(answer, SERVERS) == ACL_BLACKLISTED
        assert (
            gateway.put(frame(SERVER[family], 9, "192.0.2.1" if family == 4 else "2001:db8:2::1", 9)) == ACL_BLACKLISTED
        )
        change_black_list(gateway.balancer, [])
        assert gateway.balancer.guards == 0
        assert gateway.ask(family, flags="A") == QUEUED


NETWORKS = st.tuples(
    st.sampled_from(["100.64.0.77", "100.64.0.78", "100.65.0.1", "0.0.0.0"]), st.sampled_from([0, 1, 15, 31, 32])
).map(lambda pair: ip_network(f"{pair[0]}/{pair[1]}", strict=False))


@settings(max_examples=15)
@given(st.lists(st.tuples(st.booleans(), NETWORKS), min_size=1, max_size=8))
def test_a_packet_is_in_a_set_when_ipaddress_says_so(changes: list[tuple[bool, IPv4Network]]) -> None:
    """After every change: with none, one and several prefix lengths in use, what the filter alone says included."""
    with Guarded() as gateway:
        change_black_list(gateway.balancer, [gateway.fill("s", "net")])
        there: set[IPv4Network] = set()
        for added, network in changes:
            if added:
                gateway.fill("s", "net", str(network))
                there.add(network)
            else:
                gateway.sets.delete("s", [read_member("net", str(network))])
                there.discard(network)
            for text in ("100.64.0.77", "100.64.0.79", "200.0.0.1"):
                inside = any(ip_address(text) in one for one in there)
                verdict = gateway.put(frame(text, 9, "203.0.113.99", 9))
                assert verdict == (ACL_BLACKLISTED if inside else CONTINUE)
        lengths = {network.prefixlen for network in there}
        assert (gateway.sets.find("s").record.only != 0) == (len(lengths) == 1)


def test_nomatch_is_an_exception() -> None:
    with Guarded() as gateway:
        gateway.rules(Rules(deny=gateway.fill("s", "net", "100.64.0.0/10", f"{CLIENT[4]} nomatch")))
        assert gateway.ask() == QUEUED
        assert gateway.ask(src="100.64.0.78") == ACL_DENIED
        assert {text: packets for text, (packets, _) in gateway.met("s").items()} == {
            f"{CLIENT[4]}/32": 1,
            "100.64.0.0/10": 1,
        }


def test_time_ends_a_denial() -> None:
    with Guarded() as gateway:
        gateway.rules(Rules(deny=gateway.fill("s", "ip", f"{CLIENT[4]} timeout 3")))
        assert gateway.ask() == ACL_DENIED
        gateway.wait(2.5)
        assert gateway.ask() == ACL_DENIED
        gateway.wait(0.5)
        assert gateway.ask() == QUEUED


def test_a_port_s_name_follows_its_number() -> None:
    with Guarded() as gateway:
        gateway.rules(Rules(deny=gateway.fill("s", "interface", "wan", "lan")))
        assert gateway.ask() == ACL_DENIED
        gateway.sets.rename_interface("wan", None)
        assert gateway.ask() == QUEUED
        gateway.sets.rename_interface("lan", 0)
        assert gateway.ask(sport=4001) == ACL_DENIED
        assert list(gateway.met("s")) == ["lan", "wan"] or list(gateway.met("s")) == ["wan", "lan"]


def test_lists_change_while_packets_flow() -> None:
    """Entries come and go between packets, the table grows under them: every answer is that of the moment."""
    with Guarded() as gateway:
        gateway.rules(Rules(deny=gateway.fill("s", "ip")))
        for n in range(200):
            address = str(IPv4Address("100.64.1.0") + n)
            assert gateway.put(frame(address, 4000, SERVICE[4], 80, "A")) != ACL_DENIED
            gateway.fill("s", "ip", address)
            assert gateway.ask(src=address) == ACL_DENIED
            if n >= 50:
                old = str(IPv4Address("100.64.1.0") + n - 50)
                gateway.sets.delete("s", [read_member("ip", old)])
                if n < 60:
                    assert gateway.ask(src=old) == QUEUED
                    gateway.taken()
        assert gateway.sets.find("s").count == 50


# --- rates --------------------------------------------------------------------------------------------------------


@FAMILIES
@pytest.mark.parametrize("udp", [False, True])
def test_connections_of_a_source(udp: bool, family: int) -> None:
    """Two at once and then one a second; packets of open ones are free, other sources have their own."""
    with Guarded() as gateway:
        gateway.rules(Rules(connections=1, connections_burst=2))
        verdicts = [gateway.ask(family, 4000 + n, udp=udp) for n in range(4)]
        assert verdicts == [QUEUED, QUEUED, RATE_LIMITED_SOURCE, RATE_LIMITED_SOURCE]
        gateway.taken()
        assert gateway.ask(family, 4000, udp=udp, flags="A") == QUEUED
        assert gateway.ask(family, src="100.64.0.78" if family == 4 else "2001:db8:9:1::77", udp=udp) == QUEUED
        gateway.wait(1)
        assert [gateway.ask(family, 4010 + n, udp=udp) for n in range(2)] == [QUEUED, RATE_LIMITED_SOURCE]
        gateway.taken()
        gateway.wait(60)
        assert [gateway.ask(family, 4020 + n, udp=udp) for n in range(3)] == [QUEUED, QUEUED, RATE_LIMITED_SOURCE]


def test_a_source_of_ipv6_is_a_64() -> None:
    with Guarded() as gateway:
        gateway.rules(Rules(connections=1))
        assert gateway.ask(6) == QUEUED
        assert gateway.ask(6, src="2001:db8:9::78") == RATE_LIMITED_SOURCE


@FAMILIES
def test_packets_of_a_source(family: int) -> None:
    """Those of open connections count; answers of servers do not."""
    with Guarded() as gateway:
        gateway.rules(Rules(packets=10, packets_burst=3))
        assert [gateway.ask(family, flags=flags) for flags in "SAAA"] == [QUEUED, QUEUED, QUEUED, RATE_LIMITED_SOURCE]
        local = Seen(gateway.taken()[0][1]).source
        answer = frame(SERVER[family], 8080, *local, "A", port=SERVERS)
        assert [gateway.put(answer, SERVERS) for _ in range(5)] == 5 * [QUEUED]
        gateway.taken()
        gateway.wait(0.1)
        assert gateway.ask(family, flags="A") == QUEUED
        gateway.rules(Rules())
        assert gateway.balancer.guards == 0
        assert gateway.ask(family, flags="A") == QUEUED


def test_limits_end_with_their_service() -> None:
    with Guarded() as gateway:
        gateway.rules(Rules(connections=1, packets=1))
        number = gateway.numbers["tcp", 4]
        remove_service(gateway.balancer, number)
        again = gateway.service("tcp", SERVICE[4], 80, (SERVER[4],))
        assert gateway.balancer.services[again].asks == 0
        assert [gateway.ask(sport=4000 + n) for n in range(2)] == [QUEUED, QUEUED]


def test_the_table_of_sources_is_bounded() -> None:
    """More sources than places: the one that was silent the longest makes room, whoever it is."""
    with Guarded(sources=WAYS) as gateway:
        gateway.rules(Rules(connections=1))
        for n in range(WAYS):
            gateway.worker.now += 1000
            assert gateway.ask(src=f"100.64.1.{n}", udp=True) == QUEUED
        gateway.worker.now += 1000
        assert gateway.ask(src="100.64.1.0", sport=1, udp=True) == RATE_LIMITED_SOURCE  # no longer the most silent
        gateway.worker.now += 1000
        assert gateway.ask(src="100.64.2.1", udp=True) == QUEUED
        assert gateway.ask(src="100.64.1.0", sport=2, udp=True) == RATE_LIMITED_SOURCE
        assert gateway.ask(src="100.64.1.1", sport=2, udp=True) == QUEUED  # forgotten


def test_a_source_has_one_bucket_on_all_workers() -> None:
    """The second connection is one too many, whichever worker it comes to; so is the set asked by both."""
    with EngineBench(workers=2) as bench:
        bench.service("udp", 4)
        sources = create_sources(bench.engine.arena, 7, 64).address
        link = bytes.fromhex((OWN[0] + ROUTER).replace(":", "")) + b"\x08\x00"

        def limit(worker: Worker) -> None:
            Balancer(worker.balancer).sources = sources
            change_rules(Balancer(worker.balancer), 0, Rules(connections=1))

        bench.everywhere(limit)
        for worker in range(2):
            bench.put(link + frame("100.64.0.77", 4000 + worker, SERVICE[4], 80)[14:], worker=worker, flags=REDIRECTED)
        bench.turn()
        assert bench.counts()["rate_limited_source"] == 1
        assert sum(Balancer(bench.engine.workers[n].balancer).count for n in range(2)) == 1


def test_a_bucket() -> None:
    """The rate holds over any time, and the burst is never more than was asked for."""
    with Guarded() as gateway:
        record = gateway.arena.table("one", Source, 1)[0]
        interval = SECOND // 100
        times = range(0, SECOND, SECOND // 1000)
        assert sum(take_token(record.address + 8, now, interval, 4 * interval) for now in times) == 5 + 99


def test_rates_need_a_table() -> None:
    with Guarded() as gateway:
        gateway.balancer.sources = 0
        with pytest.raises(ConfigureError, match="no table"):
            gateway.rules(Rules(packets=1))


# --- defences -----------------------------------------------------------------------------------------------------


@FAMILIES
def test_defences(family: int) -> None:
    with Guarded() as gateway:
        own = gateway.fill("own", "ip", SERVICE[family])
        tcp = frame(CLIENT[family], 9, SERVICE[family], 81, "S")
        udp = frame(CLIENT[family], 9, SERVICE[family], 81)
        elsewhere = frame(CLIENT[family], 9, str(ip_address(SERVICE[family]) + 1), 81)
        assert gateway.put(tcp) == gateway.put(udp) == CONTINUE
        change_defences(gateway.balancer, False, True, own)
        assert (gateway.put(tcp), gateway.put(udp), gateway.put(elsewhere)) == (CONTINUE, DEFENCE_UDP_DROP, CONTINUE)
        change_defences(gateway.balancer, True, False, own)
        assert (gateway.put(tcp), gateway.put(udp)) == (DEFENCE_TCP_DROP, CONTINUE)
        assert gateway.ask(family) == QUEUED
        change_defences(gateway.balancer, False, False, own)
        assert gateway.put(tcp) == gateway.put(udp) == CONTINUE
