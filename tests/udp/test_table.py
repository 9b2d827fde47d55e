"""Which socket a datagram is for: Linux's order, sharing of ports, and what is in the way of a bind."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator

import pytest

from pronghorn.state import linux
from pronghorn.state.endpoints import ONLY_V6, REUSE_ADDRESS, REUSE_PORT
from pronghorn.udp.bind import choose_port
from pronghorn.wire.numbers import PROTOCOL_UDP
from tests.support.feed import OWN4
from tests.udp.bench import UdpBench
from tests.udp.frames import HERE, PEER, incoming

SHARED = REUSE_ADDRESS


@pytest.fixture(scope="module")
def shared() -> Iterator[UdpBench]:
    with UdpBench() as bench:
        yield bench


def taker(bench: UdpBench, numbers: list[int]) -> int:
    """Place of the socket that has got one datagram more; it is read."""
    for place, number in enumerate(numbers):
        if number >= 0 and bench.endpoint(number).waiting:
            bench.receive(number)
            return place
    return -1


@pytest.mark.parametrize("family", [4, 6])
def test_the_order(family: int) -> None:
    """Connected, before bound to the address, before bound to any; before a dual-stack socket."""
    anywhere = "0.0.0.0" if family == 4 else "::"
    with UdpBench() as bench:
        both = bench.open(10, 7, options=SHARED)
        single = bench.open(family, 7, anywhere, options=SHARED)
        bound = bench.open(family, 7, HERE[family], options=SHARED)
        connected = bench.open(family, 7, HERE[family], options=SHARED)
        assert bench.connect(connected, PEER[family], 4000) == 0
        numbers = [connected, bound, single, both]
        for closed in range(4):
            assert bench.hear(incoming(family, 7, b"x")) == {"delivered": 1}
            assert taker(bench, numbers) == closed
            bench.close_socket(numbers[closed])
            numbers[closed] = -1
        assert "no_listener" in bench.hear(incoming(family, 7, b"x"))


def test_the_latest_of_several_takes_it() -> None:
    with UdpBench() as bench:
        numbers = [bench.open(4, 7, options=SHARED) for _ in range(3)]
        bench.hear(incoming(4, 7, b"x"))
        assert taker(bench, numbers) == 2
        bench.close_socket(numbers.pop(1))
        bench.hear(incoming(4, 7, b"x"))
        assert taker(bench, numbers) == 1
        bench.close_socket(numbers.pop(1))
        bench.hear(incoming(4, 7, b"x"))
        assert taker(bench, numbers) == 0


def test_flows_spread_over_a_group_and_stay() -> None:
    with UdpBench() as bench:
        numbers = [bench.open(4, 7, options=REUSE_PORT) for _ in range(4)]
        places = {}
        for sport in range(1000, 1100):
            bench.hear(incoming(4, 7, b"x", sport=sport))
            places[sport] = taker(bench, numbers)
        shares = Counter(places.values())
        assert set(shares) == {0, 1, 2, 3}
        assert min(shares.values()) > 4
        for sport in range(1000, 1020):
            bench.hear(incoming(4, 7, b"x", sport=sport))
            assert taker(bench, numbers) == places[sport]


def test_a_group_with_more_members_than_a_bucket_has_places() -> None:
    with UdpBench(sockets=256) as bench:
        numbers = [bench.open(4, 7, options=REUSE_PORT) for _ in range(200)]
        for sport in range(1000, 1020):
            assert bench.hear(incoming(4, 7, b"x", sport=sport)) == {"delivered": 1}
        for number in numbers:
            bench.close_socket(number)
        assert "no_listener" in bench.hear(incoming(4, 7, b"x"))


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        ((4, "0.0.0.0", 0), (4, "0.0.0.0", 0), True),
        ((4, "0.0.0.0", 0), (4, OWN4[0], 0), True),
        ((4, OWN4[1], 0), (4, OWN4[0], 0), False),
        ((4, "0.0.0.0", SHARED), (4, "0.0.0.0", 0), True),
        ((4, "0.0.0.0", SHARED), (4, "0.0.0.0", SHARED), False),
        ((4, "0.0.0.0", REUSE_PORT), (4, "0.0.0.0", REUSE_PORT), False),
        ((4, "0.0.0.0", REUSE_PORT), (4, "0.0.0.0", SHARED), True),
        ((10, "::", 0), (4, "0.0.0.0", 0), True),
        ((10, "::", 0), (4, OWN4[0], 0), True),
        ((6, "::", ONLY_V6), (4, "0.0.0.0", 0), False),
        ((6, "::", 0), (6, "2001:db8:1::1", 0), True),
        ((10, "::", 0), (6, "2001:db8:1::1", 0), True),
    ],
)  # fmt: skip
def test_conflicts(shared: UdpBench, first: tuple[int, str, int], second: tuple[int, str, int], taken: bool) -> None:
    for one, two in ((first, second), (second, first)):
        numbers = [shared.open(one[0], 7, one[1], options=one[2]), shared.open(two[0], options=two[2])]
        assert shared.bind(numbers[1], two[1], 7) == (-errno.EADDRINUSE if taken else 0)
        for number in numbers:
            shared.close_socket(number)


def test_a_device_of_its_own() -> None:
    with UdpBench() as bench:
        numbers = [bench.open(4) for _ in range(2)]
        for place, number in enumerate(numbers):
            values = bench.parts([place + 1])
            at = values.address + 8  # the size, as an int
            assert bench.option(number, linux.SOL_SOCKET, linux.SO_BINDTOIFINDEX, at) == 0
            assert bench.bind(number, "0.0.0.0", 7) == 0
        for place in range(2):
            frame = incoming(4, 7, b"x")
            frame.dst = f"02:00:00:00:00:0{place}"
            assert bench.hear(frame, port=place) == {"delivered": 1}
            assert taker(bench, numbers) == place


def test_ports_are_drawn_at_random_and_run_out() -> None:
    with UdpBench() as bench:
        udp = bench.udp()
        drawn = [choose_port(bench.worker(), udp, PROTOCOL_UDP) for _ in range(200)]
        assert all(32768 <= port <= 60999 for port in drawn)
        assert len(set(drawn)) > 190
        assert max(drawn) - min(drawn) > 20_000
        udp.port_low, udp.port_high = 40_000, 40_003
        ports = set()
        for _ in range(4):
            number = bench.open(4)
            assert bench.bind(number, "0.0.0.0", 0) == 0
            ports.add(bench.name(number)[1])  # type: ignore[index]
        assert ports == {40_000, 40_001, 40_002, 40_003}
        assert bench.bind(bench.open(4), "0.0.0.0", 0) == -errno.EADDRINUSE
        assert bench.send(bench.open(4), b"x", (PEER[4], 9)) == -errno.EAGAIN
