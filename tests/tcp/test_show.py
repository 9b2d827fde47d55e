"""What `pronghorn show` reads of TCP and UDP: two hosts whose connections are known, and Linux's names of counters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from ipaddress import ip_network
from pathlib import Path

import pytest

from pronghorn.control.filter import STATES, Filter
from pronghorn.control.native_snmp import FROM_VERDICTS, GROUPS, OWN, snmp
from pronghorn.control.native_socket_views import RECOVERY, TIMERS, SocketViews
from pronghorn.memory.arena import Arena
from pronghorn.ports.wire_port import Impairment
from pronghorn.state.endpoints import DATAGRAM
from pronghorn.state.mib import COUNTERS
from pronghorn.state.worker import Worker
from pronghorn.tcp import tcb as numbers
from pronghorn.tcp.show import show_connections, show_listeners, show_waiting
from pronghorn.udp.calls import udp_bind, udp_open
from pronghorn.udp.show import show_datagram_sockets
from tests.tcp.ends import End, Pair


@pytest.fixture(params=[4, 6])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    pair = Pair(request.param)
    yield pair
    pair.network.close()


@cache
def reader() -> SocketViews:
    """Copies lie in memory of its own, so one will do for all hosts."""
    return SocketViews(Arena.create())


def workers(end: End) -> list[Worker]:
    return [end.host.worker]


def counters(end: End) -> dict[str, int]:
    return {view.group + view.name: view.value for view in snmp(workers(end), [0])}


def test_a_connection_is_shown_from_both_ends(pair: Pair) -> None:
    pair.run(0.1)  # the wires become what they are
    client, server = pair.connected()
    pair.carry(pair.client, client, pair.server, server, b"x" * 5_000)
    pair.server.send(server, b"answer")
    pair.run(0.1)
    (near,), (far,) = (reader().tcp(workers(end), Filter()) for end in (pair.client, pair.server))
    assert (near.local, near.remote) == (far.remote, far.local)
    assert near.remote is not None
    assert near.remote.endswith(":80")
    assert (near.state, near.worker, near.congestion, near.recovery) == ("established", 0, "cubic", "open")
    assert (near.receive_queue, near.send_queue, far.receive_queue) == (6, 0, 0)
    assert (near.octets_in, near.octets_out, far.octets_in, far.octets_out) == (6, 5_000, 5_000, 6)
    assert near.mss == 1500 - (40 if near.family == 4 else 60) - 12
    assert near.cwnd >= 10 * near.mss
    assert near.ssthresh is None
    assert 20 <= near.srtt <= 25
    assert 20 <= near.min_rtt <= 21
    assert 220 <= near.rto <= 260
    assert near.send_window > 60_000
    assert far.receive_window > 60_000
    assert set(near.options) == {"ts", "sack", "wscale"}
    assert near.segments_in == far.segments_out >= 3
    assert near.segments_out - 1 <= far.segments_in <= near.segments_out  # the first SYN belongs to the listener
    assert (near.retransmits, near.timer) == (0, None)


def test_what_was_lost_and_what_is_due_is_shown() -> None:
    pair = Pair(4)
    client, _ = pair.connected()
    pair.link.drivers[0].impair(Impairment(loss=1_000_000))
    pair.client.send(client, b"x" * 1000)
    pair.run(0.01)
    (view,) = reader().tcp(workers(pair.client), Filter())
    assert (view.send_queue, view.in_flight, view.timer) == (1000, 1000, "probe")
    assert 0 < view.timer_left < 0.3
    pair.run(3)
    (view,) = reader().tcp(workers(pair.client), Filter())
    assert (view.recovery, view.timer) == ("loss", "on")
    assert view.backoff >= 2
    assert view.retransmits >= 2
    assert view.rto >= 800
    assert counters(pair.client)["TcpExtTCPTimeouts"] >= 2
    pair.network.close()


def test_listeners_have_their_queues(pair: Pair) -> None:
    pair.server.listen(pair.address, 80, 5)
    pair.client.connect(pair.address, 80)
    pair.run()
    wanted = Filter(listening=True)
    (view,) = reader().tcp(workers(pair.server), wanted)
    assert view.local.endswith(":80")
    assert (view.state, view.remote, view.receive_queue, view.send_queue) == ("listening", None, 1, 5)
    assert reader().tcp(workers(pair.client), wanted) == []
    assert reader().tcp(workers(pair.server), Filter(listening=True, port=81)) == []


def test_filters_and_limits(pair: Pair) -> None:
    pair.server.listen(pair.address, 80, 64)
    pair.server.listen(pair.address, 81, 64)
    sockets = [pair.client.connect(pair.address, 80 + number % 2) for number in range(40)]
    pair.run()
    for socket in sockets[:10]:
        pair.client.close(socket)
    pair.run()

    def found(**what: object) -> int:
        return len(reader().tcp(workers(pair.client), Filter(**what)))  # type: ignore[arg-type]

    assert found() == 40
    assert found(states=("established",)) == 30
    assert found(states=("established", "fin-wait-2")) == 40
    assert found(states=("time-wait",)) == 0
    assert found(port=81) == 20
    assert found(limit=7) == 7
    assert found(limit=0) == 0
    assert found(address=ip_network(pair.address)) == 40
    assert found(address=ip_network("198.51.100.0/24")) == 0
    assert found(address=ip_network("2001:db8:ffff::/48")) == 0
    assert found(address=ip_network("0.0.0.0/0" if ":" not in pair.address else "::/0")) == 40


def test_time_wait_is_shown_by_what_is_left(pair: Pair) -> None:
    client, server = pair.connected()
    pair.client.close(client)
    pair.run()
    pair.server.close(server)
    pair.run()
    (view,) = reader().tcp(workers(pair.client), Filter())
    assert (view.state, view.timer, view.worker) == ("time-wait", "time-wait", 0)
    assert view.remote is not None
    assert view.remote.endswith(":80")
    assert 55 < view.timer_left <= 60
    assert reader().tcp(workers(pair.client), Filter(states=("time-wait",), port=80)) == [view]
    assert reader().tcp(workers(pair.client), Filter(states=("established", "closed"))) == []
    assert reader().tcp(workers(pair.client), Filter(limit=0)) == []
    pair.run(61)
    assert reader().tcp(workers(pair.client), Filter()) == []


def test_datagram_sockets_are_shown(pair: Pair) -> None:
    end = pair.server
    number = udp_open(end.worker, 10, DATAGRAM)
    assert udp_bind(end.worker, number, end.address("::", 5353)) == 0
    udp_open(end.worker, 4, DATAGRAM)  # not bound: it cannot receive
    (view,) = reader().udp(workers(end), Filter())
    assert (view.protocol, view.local, view.remote, view.family) == ("udp", "*:5353", None, 10)
    assert (view.receive_queue, view.receive_limit, view.drops) == (0, 212_992, 0)
    assert reader().udp(workers(end), Filter(port=53)) == []


def test_a_table_of_any_length_is_read_in_pieces(pair: Pair) -> None:
    """The compiled side stops when its room is used or when it has looked at enough; the reader goes on."""
    for number in range(20):
        pair.client.connect(pair.address, 1 + number)
    pages = reader()
    selection, rows, seen, calls = pages._selection, pages._tcbs, set(), 0
    pages._select(Filter())
    while not selection.done:
        count = show_connections(pair.client.host.worker, selection, rows, 3)
        assert count <= 3
        seen |= {rows[place].remote_port for place in range(count)}
        calls += 1
    assert seen == set(range(1, 21))
    assert calls == 7


def test_counters_count_what_happened(pair: Pair) -> None:
    before = counters(pair.client)
    client, server = pair.connected()
    pair.carry(pair.client, client, pair.server, server, b"x" * 20_000)
    pair.client.connect(pair.address, 81)
    pair.run()
    after = counters(pair.client)
    grown = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert grown["TcpActiveOpens"] == 2
    assert grown["TcpAttemptFails"] == 1
    assert after["TcpCurrEstab"] == 1
    assert grown["TcpOutSegs"] >= 15
    assert grown["IpInReceives"] >= grown["TcpInSegs"] > 5
    assert counters(pair.server)["TcpPassiveOpens"] == 1
    assert after["TcpMaxConn"] == pair.client.tcp.limit


def test_linux_has_the_same_names() -> None:
    """But for those that say so, every name is one of this kernel's /proc/net/snmp, snmp6 or netstat."""
    known = {("Icmp6", name) for name in ("InErrors", "InCsumErrors")}
    for file in ("snmp", "netstat"):
        for line in Path("/proc/net", file).read_text().splitlines():
            group, _, words = line.partition(": ")
            known |= {(group, word) for word in words.split() if not word.lstrip("-").isdigit()}
    pair = Pair(4)
    shown = {(view.group, view.name) for view in snmp(workers(pair.client), [])}
    pair.network.close()
    missing = {name for name in shown - known if name not in OWN}
    old = {("Ip", "OutTransmits")}  # since Linux 6.5
    assert not missing - old
    assert shown >= set(COUNTERS) | set(FROM_VERDICTS)
    assert {group for group, _ in shown} == set(GROUPS)
    assert all(FROM_VERDICTS.values())


def test_numbers_and_names_agree() -> None:
    states = {
        name.lower().replace("_", "-"): value
        for name, value in vars(numbers).items()
        if name in ("FREE", "ESTABLISHED", "SYN_SENT", "FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT", "CLOSED", "CLOSE_WAIT",
                    "LAST_ACK", "CLOSING")
    }  # fmt: skip
    assert {name: STATES.index(name) for name in states} == states
    assert STATES.index("syn-recv") == numbers.SYN_RECEIVED
    assert STATES.index("listening") == numbers.LISTEN
    assert len(RECOVERY) == numbers.LOSS + 1
    assert len(TIMERS) == 4


@pytest.mark.parametrize("function", [show_connections, show_listeners, show_waiting, show_datagram_sockets])
def test_what_walks_long_tables_is_compiled(function: object) -> None:
    assert getattr(function, "role", "entry") == "entry"
