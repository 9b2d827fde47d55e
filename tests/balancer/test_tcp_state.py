"""The TCP states of a connection, and what each is worth in time."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from pronghorn.balancer.configure import ConfigureError, change_timeouts
from pronghorn.balancer.create import TIMEOUTS
from pronghorn.balancer.show import STATES, connections
from pronghorn.balancer.tables import (
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    FIN_WAIT,
    LAST_ACK,
    REPLY,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    UDP_OPEN,
)
from pronghorn.balancer.tcp_state import next_state
from pronghorn.state.verdicts import NO_CONN, QUEUED
from pronghorn.wire.tcp import ACK, FIN, RST, SYN
from tests.balancer.frames import CLIENT, LOCAL, SERVER, SERVICE, Seen, frame
from tests.balancer.gateway import SERVERS, Gateway, number_of

REQUEST = 0
TABLE = {  # state: {(direction, flags): next}; what is not here stays
    SYN_SENT: {(REPLY, SYN | ACK): SYN_RECEIVED, (REPLY, SYN): SYN_RECEIVED},
    SYN_RECEIVED: {(REQUEST, ACK): ESTABLISHED, (REQUEST, FIN | ACK): FIN_WAIT, (REQUEST, FIN): FIN_WAIT},
    ESTABLISHED: {(d, f): FIN_WAIT if d == REQUEST else CLOSE_WAIT for d in (REQUEST, REPLY) for f in (FIN, FIN | ACK)},
    FIN_WAIT: {(REPLY, FIN): LAST_ACK, (REPLY, FIN | ACK): LAST_ACK},
    CLOSE_WAIT: {(REQUEST, FIN): LAST_ACK, (REQUEST, FIN | ACK): LAST_ACK},
    LAST_ACK: {(REQUEST, ACK): TIME_WAIT},  # the reply's FIN was second
    TIME_WAIT: {},
    CLOSED: {},
}


@pytest.mark.parametrize("state", TABLE, ids=lambda state: STATES[state])
def test_every_state_against_every_segment(state: int) -> None:
    for direction in (REQUEST, REPLY):
        for flags in (SYN, SYN | ACK, ACK, FIN, FIN | ACK):
            expected = TABLE[state].get((direction, flags), state)
            assert next_state(state, REPLY, direction, flags) == expected, (direction, flags)
        for flags in (RST, RST | ACK):
            assert next_state(state, REPLY, direction, flags) == (TIME_WAIT if state == TIME_WAIT else CLOSED)


SCRIPTS = {  # the segments that lead from the client's SYN to the state
    SYN_SENT: "",
    SYN_RECEIVED: "<SA",
    ESTABLISHED: "<SA >A",
    FIN_WAIT: "<SA >A >FA",
    CLOSE_WAIT: "<SA >A <FA",
    LAST_ACK: "<SA >A <FA >FA",
    TIME_WAIT: "<SA >A <FA >FA <A",
    CLOSED: "<SA >A <R",
    UDP_OPEN: "",
}


class Line:
    """A connection of one client, by segments."""

    def __init__(self, gateway: Gateway, protocol: str = "tcp") -> None:
        self.gateway, self.udp = gateway, protocol == "udp"
        self.local = Seen(gateway.forward(self.request("S"))).source[1]

    def request(self, flags: str) -> bytes:
        return frame(CLIENT[4], 7000, SERVICE[4], 80, "" if self.udp else flags)

    def reply(self, flags: str) -> bytes:
        return frame(SERVER[4], 8080, LOCAL[4], self.local, "" if self.udp else flags, port=SERVERS)

    def play(self, script: str) -> None:
        for step in script.split():
            if step[0] == ">":
                self.gateway.forward(self.request(step[1:]))
            else:
                self.gateway.forward(self.reply(step[1:]), SERVERS)

    @property
    def state(self) -> int:
        return self.gateway.balancer.records[number_of(self.gateway)].state


@pytest.mark.parametrize("state", SCRIPTS, ids=lambda state: STATES[state])
def test_an_idle_connection_is_kept_for_its_timeout(state: int) -> None:
    protocol = "udp" if state == UDP_OPEN else "tcp"
    with Gateway() as gateway:
        change_timeouts(gateway.balancer, {name: 10 + 3 * place for place, name in enumerate(TIMEOUTS)})
        timeout = 10 + 3 * (state - 1)
        gateway.service(protocol, SERVICE[4], 80, (SERVER[4],))
        line = Line(gateway, protocol)
        line.play(SCRIPTS[state])
        assert line.state == state
        gateway.wait(timeout - 1)
        [row], _ = connections(gateway.balancer, gateway.worker, 0, 10)
        assert row.state == STATES[state]
        assert 0.4 < row.expires <= 1.1
        gateway.wait(1.5)
        assert gateway.balancer.count == 0
        assert gateway.balancer.servers[0].conns == gateway.balancer.servers[0].active == 0
        assert gateway.put(line.request("A")) in (NO_CONN, QUEUED)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_traffic_in_either_direction_keeps_a_connection(protocol: str) -> None:
    with Gateway() as gateway:
        change_timeouts(gateway.balancer, {"established": 20, "udp": 20})
        gateway.service(protocol, SERVICE[4], 80, (SERVER[4],))
        line = Line(gateway, protocol)
        line.play("<SA >A")
        for direction in "><<<>><<<<":
            gateway.wait(15)
            line.play(f"{direction}A")
        gateway.wait(19)
        assert gateway.balancer.count == 1
        gateway.wait(2)
        assert gateway.balancer.count == 0


@pytest.mark.parametrize("state", [TIME_WAIT, CLOSED], ids=lambda state: STATES[state])
def test_a_syn_begins_a_new_connection_in_place_of_one_that_is_over(state: int) -> None:
    with Gateway() as gateway:
        gateway.service("tcp", SERVICE[4], 80, (SERVER[4], "192.0.2.81"))
        line = Line(gateway)
        line.play(SCRIPTS[state])
        again = Seen(gateway.forward(line.request("S")))
        assert again.destination[0] == "192.0.2.81"  # it is scheduled anew
        assert again.source[1] != line.local
        assert (line.state, gateway.balancer.count) == (SYN_SENT, 1)
        assert gateway.balancer.servers[0].conns == 0


@pytest.mark.parametrize("state", [SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT], ids=lambda state: STATES[state])
def test_a_syn_within_a_connection_is_forwarded(state: int) -> None:
    with Gateway() as gateway:
        gateway.service("tcp", SERVICE[4], 80, (SERVER[4], "192.0.2.81"))
        line = Line(gateway)
        line.play(SCRIPTS[state])
        assert Seen(gateway.forward(line.request("S"))).source[1] == line.local
        assert line.state == state


def test_segments_of_a_reset_connection_still_pass() -> None:
    """Whether the reset was good is known to the ends alone."""
    with Gateway() as gateway:
        gateway.service("tcp", SERVICE[4], 80, (SERVER[4],))
        line = Line(gateway)
        line.play("<SA >A <R >A <A >PA")
        assert line.state == CLOSED


def test_active_and_inactive_are_counted() -> None:
    with Gateway() as gateway:
        gateway.service("tcp", SERVICE[4], 80, (SERVER[4],))
        server = gateway.balancer.servers[0]
        line = Line(gateway)
        line.play("<SA")
        assert (server.conns, server.active) == (1, 0)
        line.play(">A")
        assert (server.conns, server.active) == (1, 1)
        line.play(">FA")
        assert (server.conns, server.active) == (1, 0)


@pytest.mark.parametrize("seconds", [{"established": 0}, {"udp": 3_000_000}, {"nothing": 1}])
def test_bad_timeouts_change_nothing(seconds: dict[str, int]) -> None:
    with Gateway() as gateway:
        before = [gateway.balancer.timeouts[state] for state in range(16)]
        with pytest.raises(ConfigureError):
            change_timeouts(gateway.balancer, {"syn_sent": 1, **seconds})
        assert before == [gateway.balancer.timeouts[state] for state in range(16)]


def test_a_connection_is_shown() -> None:
    with Gateway() as gateway:
        gateway.service("tcp", SERVICE[6], 80, (SERVER[6],))
        gateway.forward(frame(CLIENT[6], 7000, SERVICE[6], 80, "S"))
        gateway.wait(3)
        [row], end = connections(gateway.balancer, gateway.worker, 0, 10)
        assert end == -1
        assert (row.family, row.protocol, row.state, row.worker) == (6, "tcp", "syn_sent", 0)
        assert row.client == (ip_address(CLIENT[6]), 7000)
        assert row.virtual == (ip_address(SERVICE[6]), 80)
        assert row.local is not None
        assert row.local[0] == ip_address(LOCAL[6])
        assert row.server == (ip_address(SERVER[6]), 8080)
        assert row.age == pytest.approx(3, abs=0.01)
        assert row.expires == pytest.approx(117, abs=0.01)
        assert (row.packets_in, row.packets_out) == (1, 0)
