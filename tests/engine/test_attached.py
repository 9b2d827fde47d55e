"""Programs with engines of their own: the link, both families, sleep, themselves, and what cannot be true."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from pronghorn.compiled import bounds
from pronghorn.engine.amounts import unfinished
from pronghorn.engine.attached import BAD_WELCOME, engine_doze, engine_linked, engine_poll, engine_untaken
from pronghorn.engine.calls import (
    accept,
    bind,
    close_socket,
    connect,
    listen,
    receive,
    receive_from,
    send,
    send_to,
    shutdown,
    socket,
)
from pronghorn.engine.embedded import BAD_VALUE
from pronghorn.state import linux
from pronghorn.state.attach import SHARED_ADDRESSES, Own, Welcome
from pronghorn.state.endpoints import DATAGRAM, STREAM, Address
from tests.engine.links import Link, Pair, Program, octets_at

pytestmark = pytest.mark.skipif(bounds.ENABLED, reason="an attached engine's memory is not known to the bounds check")


@pytest.fixture
def pair() -> Iterator[Pair]:
    with Pair() as made:
        yield made


def listening(program: Program, address: str, port: int, family: int) -> int:
    handle = socket(program.worker, family, STREAM)
    assert bind(program.worker, handle, program.room.address(address, port)) == 0
    assert listen(program.worker, handle, 8) == 0
    return handle


def accepted(pair: Pair, program: Program, handle: int) -> int:
    found: list[int] = []

    def look() -> bool:
        made = accept(program.worker, handle, Address(0))
        found.append(made)
        return made > 0

    pair.until(look)
    return found[-1]


def connected(pair: Pair, client: Program, server: Program, address: str, port: int = 80) -> tuple[int, int]:
    """A connection over the link, or within one program: the handles of both sides."""
    family = 6 if ":" in address else 4
    handle = listening(server, address, port, family)
    made = socket(client.worker, family, STREAM)
    assert connect(client.worker, made, client.room.address(address, port)) == -errno.EINPROGRESS
    other = accepted(pair, server, handle)
    return made, other


def pass_octets(pair: Pair, sender: Program, source: int, taker: Program, target: int, content: bytes) -> bytes:
    data, room, taken, sent = sender.room.octets(content), taker.room.octets(1 << 16), b"", 0

    def step() -> bool:
        nonlocal sent, taken
        if sent < len(content):
            sent += max(send(sender.worker, source, data + sent, len(content) - sent, 0), 0)
        got = receive(taker.worker, target, room, 1 << 16, 0)
        taken += octets_at(room, max(got, 0))
        return len(taken) >= len(content)

    pair.until(step)
    return taken


@pytest.mark.parametrize("address", ["192.0.2.2", "2001:db8::2"])
def test_octets_pass_both_ways(pair: Pair, address: str) -> None:
    client, server = pair.programs
    here, there = connected(pair, client, server, address)
    content = bytes(range(256)) * 1000
    assert pass_octets(pair, client, here, server, there, content) == content
    assert pass_octets(pair, server, there, client, here, content) == content
    own = client.worker.queues[0]
    assert own.tx_packets < 100, "segments of 64 KB pass as they are"


@pytest.mark.parametrize("queues", [2, 5])
def test_several_queues(queues: int) -> None:
    with Pair(queues) as pair:
        client, server = pair.programs
        for port in range(4):
            here, there = connected(pair, client, server, "192.0.2.2", 80 + port)
            assert pass_octets(pair, client, here, server, there, b"x" * 5000) == b"x" * 5000


def test_an_end_is_unfinished_until_the_other_side_has_it(pair: Pair) -> None:
    """A program that exits waits for as long: its link takes back what the other side has not read."""
    client, server = pair.programs
    here, there = connected(pair, client, server, "192.0.2.2")
    pair.until(lambda: unfinished(server.worker) == 0)
    assert shutdown(server.worker, there, linux.SHUT_WR) == 0
    assert unfinished(server.worker) == 1
    assert close_socket(server.worker, there) == 0
    for _ in range(3):
        engine_poll(server.worker)
    assert unfinished(server.worker) == 1
    pair.until(lambda: unfinished(server.worker) == 0)
    assert receive(client.worker, here, client.room.octets(8), 8, 0) == 0


def test_a_frame_is_untaken_until_the_other_side_has_it(pair: Pair) -> None:
    client, server = pair.programs
    handle = socket(client.worker, 4, DATAGRAM)
    assert engine_untaken(client.worker) == 0
    where = client.room.address("192.0.2.2", 9)
    assert send_to(client.worker, handle, client.room.octets(b"x"), 1, 0, where) == 1
    engine_poll(client.worker)
    assert engine_untaken(client.worker) == 1
    engine_poll(server.worker)
    assert engine_untaken(client.worker) == 0


def test_ports_are_those_of_the_welcome(pair: Pair) -> None:
    client, server = pair.programs
    handle = listening(server, "192.0.2.2", 80, 4)
    peer = server.room.address("0.0.0.1", 0)
    for _ in range(20):
        made = socket(client.worker, 4, STREAM)
        connect(client.worker, made, client.room.address("192.0.2.2", 80))
    pair.until(lambda: accept(server.worker, handle, peer) > 0)
    assert 20_000 <= peer.port <= 29_999


def test_nobody_takes_it(pair: Pair) -> None:
    client = pair.programs[0]
    made = socket(client.worker, 4, STREAM)
    connect(client.worker, made, client.room.address("192.0.2.2", 81))
    pair.until(lambda: send(client.worker, made, client.room.octets(b"x"), 1, 0) == -errno.ECONNREFUSED)


def test_datagrams(pair: Pair) -> None:
    client, server = pair.programs
    for family, address in ((4, "192.0.2.2"), (6, "2001:db8::2")):
        taker, sender = socket(server.worker, family, DATAGRAM), socket(client.worker, family, DATAGRAM)
        assert bind(server.worker, taker, server.room.address(address, 53)) == 0
        where = client.room.address(address, 53)
        assert send_to(client.worker, sender, client.room.octets(b"hello"), 5, 0, where) == 5
        room, peer = server.room.octets(64), server.room.address("0.0.0.1", 0)
        look = partial(receive_from, server.worker, taker, room, 64, 0, peer)
        pair.until(lambda look=look: look() == 5)  # type: ignore[misc]
        assert octets_at(room, 5) == b"hello"
        assert 20_000 <= peer.port <= 29_999


# --- sleep --------------------------------------------------------------------------------------------------------


def test_who_sleeps_is_woken(pair: Pair) -> None:
    client, server = pair.programs
    here, there = connected(pair, client, server, "192.0.2.2")
    while engine_doze(server.worker) == 0:
        for program in pair.programs:
            engine_poll(program.worker)
    send(client.worker, here, client.room.octets(b"x"), 1, 0)
    engine_poll(client.worker)
    assert server.wait(2_000_000_000), "a frame came before it slept, or while it did"
    room = server.room.octets(8)
    engine_poll(server.worker)
    assert receive(server.worker, there, room, 8, 0) == 1


def test_nobody_wakes_who_does_not_sleep(pair: Pair) -> None:
    client, server = pair.programs
    here, there = connected(pair, client, server, "192.0.2.2")
    pair.until(lambda: server.wait(1) is False)
    assert pass_octets(pair, client, here, server, there, b"x" * 100_000) == b"x" * 100_000
    pair.until(lambda: not server.wait(1))  # pipes are empty again


def test_a_doze_lasts_until_the_next_timer(pair: Pair) -> None:
    client, server = pair.programs
    pair.until(lambda: client.wait(1) is False)
    assert engine_doze(client.worker) > 900_000_000
    server.detach()
    made = socket(client.worker, 4, STREAM)
    connect(client.worker, made, client.room.address("192.0.2.2", 80))
    while (left := engine_doze(client.worker)) == 0:
        engine_poll(client.worker)
    assert 500_000_000 < left < 1_001_000_000, "the SYN is sent again after a second"


def test_who_goes_is_seen_to_go_and_may_come_back(pair: Pair) -> None:
    client, server = pair.programs
    server.detach()
    assert client.wait(1_000_000_000), "the other side said so"
    engine_poll(client.worker)
    assert engine_linked(client.worker) == 0
    assert server.attach().address != 0
    pair.until(lambda: engine_linked(client.worker) == engine_linked(server.worker) == 1)
    here, there = connected(pair, client, server, "2001:db8::2")
    assert pass_octets(pair, client, here, server, there, b"again") == b"again"


# --- to oneself ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [0, SHARED_ADDRESSES])
@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_a_program_talks_to_itself(flags: int, address: str) -> None:
    with Pair(flags=flags) as pair:
        program = pair.programs[0]
        before = program.worker.queues[0].tx_packets
        here, there = connected(pair, program, program, address)
        content = bytes(range(256)) * 500
        assert pass_octets(pair, program, here, program, there, content) == content
        assert pass_octets(pair, program, there, program, here, content) == content
        assert program.worker.queues[0].tx_packets == before, "nothing left by the link"


SAME = (("192.0.2.1/24", "2001:db8::1/64"), ("192.0.2.1/24", "2001:db8::1/64"))


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_what_nobody_here_takes_leaves_where_addresses_are_shared(address: str) -> None:
    """Two processes with one address, the link standing for the gateway that dispatches between them."""
    with Pair(flags=SHARED_ADDRESSES, addresses=SAME) as pair:
        client, server = pair.programs
        client.welcome.port_low = 20_000
        here, there = connected(pair, client, server, address)
        assert pass_octets(pair, client, here, server, there, b"x" * 9000) == b"x" * 9000
        assert pass_octets(pair, server, there, client, here, b"y" * 9000) == b"y" * 9000
        family = 6 if ":" in address else 4
        taker, sender = socket(server.worker, family, DATAGRAM), socket(client.worker, family, DATAGRAM)
        assert bind(server.worker, taker, server.room.address(address, 53)) == 0
        send_to(client.worker, sender, client.room.octets(b"z"), 1, 0, client.room.address(address, 53))
        pair.until(lambda: receive(server.worker, taker, server.room.octets(8), 8, 0) == 1)
        own = socket(client.worker, family, DATAGRAM)
        assert bind(client.worker, own, client.room.address(address, 53)) == 0
        send_to(client.worker, sender, client.room.octets(b"z"), 1, 0, client.room.address(address, 53))
        pair.until(lambda: receive(client.worker, own, client.room.octets(8), 8, 0) == 1)


def test_without_sharing_nobody_there_is_nobody(pair: Pair) -> None:
    client = pair.programs[0]
    made = socket(client.worker, 4, STREAM)
    connect(client.worker, made, client.room.address("192.0.2.1", 81))
    pair.until(lambda: send(client.worker, made, client.room.octets(b"x"), 1, 0) == -errno.ECONNREFUSED)
    close_socket(client.worker, made)


# --- what cannot be true ------------------------------------------------------------------------------------------

WRONG: list[tuple[str, Any]] = [
    ("magic", 1),
    ("version", 99),
    ("error", errno.EACCES),
    ("end", 2),
    ("queues", 0),
    ("queues", 2),
    ("queues", 65),
    ("queues", 0xFFFFFFFF),
    ("mtu", 1279),
    ("mtu", 65536),
    ("session", 0),
    ("port_low", 0),
    ("port_low", 30_000),
    ("count", 0),
    ("count", 17),
    ("count", 0xFFFFFFFF),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_welcome_that_cannot_be(field: str, value: int) -> None:
    link = Link()
    program = Program(link, 0, "192.0.2.1/24")
    setattr(program.welcome, field, value)
    assert program.attach().address == 0
    assert (program.configuration.error, program.configuration.wrong) == (BAD_WELCOME, Welcome.offset(field))
    link.close()


@pytest.mark.parametrize(
    "change", [{"family": 5}, {"length": 33}, {"hi": 1}, {"lo": 0xFFFF_7F00_0001}, {"lo": 0xFFFF_E000_0001}]
)
def test_an_address_that_cannot_be(change: dict[str, int]) -> None:
    link = Link()
    program = Program(link, 0, "2001:db8::1/64", "192.0.2.1/24")
    for name, value in change.items():
        setattr(program.welcome.addresses[1], name, value)
    assert program.attach().address == 0
    assert program.configuration.error == BAD_WELCOME
    assert program.configuration.wrong == Welcome.offset("addresses") + Own.SIZE
    link.close()


def test_memory_that_is_too_short() -> None:
    link = Link()
    program = Program(link, 0, "192.0.2.1/24")
    link.octets -= 1
    assert program.attach().address == 0
    assert program.configuration.wrong == Welcome.offset("queues")
    link.close()


def test_a_configuration_that_cannot_be() -> None:
    link = Link()
    program = Program(link, 0, "192.0.2.1/24", packets=1)
    assert program.attach().address == 0
    assert program.configuration.error == BAD_VALUE
    link.close()


def test_all_sixteen_addresses() -> None:
    many = [f"192.0.2.{number}/32" for number in range(1, 9)] + [f"2001:db8::{number:x}/128" for number in range(1, 9)]
    with Pair(addresses=(many, ("198.51.100.1/32", "2001:db8:1::1/128"))) as pair:
        client, server = pair.programs
        for address in ("192.0.2.8", "2001:db8::8"):
            here, there = connected(pair, server, client, address)
            assert pass_octets(pair, server, here, client, there, b"hello") == b"hello"


def spoil(link: Link, value: int) -> None:
    """The other side writes everywhere."""
    link.memory[: link.octets] = bytes([value]) * link.octets


@pytest.mark.parametrize("value", [0, 1, 0x7F, 0xFF])
def test_whatever_the_other_side_writes(pair: Pair, value: int) -> None:
    client, server = pair.programs
    here, _ = connected(pair, client, server, "192.0.2.2")
    data = client.room.octets(b"x" * 1000)
    for _ in range(3):
        spoil(pair.link, value)
        send(client.worker, here, data, 1000, 0)
        for program in pair.programs:
            engine_poll(program.worker)
            engine_doze(program.worker)
