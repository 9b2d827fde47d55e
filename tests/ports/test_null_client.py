"""Clients behind a null port: what they answer to frames of a server made by scapy, and scapy's word on it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from pronghorn.compiled import Array, array_at, u64
from pronghorn.engine.engine import Engine
from pronghorn.ports.null_client import FLOOD_PORT, REQUEST, client_receive, client_transmit
from pronghorn.ports.null_client_port import TEXT, NullClientPort
from pronghorn.state.packet import Packet
from pronghorn.state.packets import allocate, release

SERVERS: dict[int, IPv4Address | IPv6Address] = {4: IPv4Address("198.19.0.1"), 6: IPv6Address("2001:2:0:2::1")}
NOW = 5_000_000_000


class Bench:
    """Clients of one worker, and a server that is this test."""

    def __init__(self, family: int, **options: Any) -> None:
        self.engine = Engine(workers=1, packets=256)
        self.server = SERVERS[family]
        self.clients = NullClientPort(self.server, **options)
        self.index = self.engine.add_port(self.clients)
        self.worker = self.engine.workers[0]
        self.worker.now = NOW
        self.queue = self.clients.queue(0)
        self.free = self.engine.free_packets()

    def frames(self, room: int = 64) -> list[Any]:
        """What the clients send now, as scapy reads it; checksums are held against scapy's own."""
        count = client_receive(self.worker, self.engine.ports[self.index], self.worker.queues[self.index], room)
        found = []
        for place in range(count):
            packet = Packet(self.worker.burst[place])
            octets = ctypes.string_at(packet.data, packet.length)
            release(self.worker, packet)
            frame = Ether(octets)
            again = Ether(octets)
            for layer in again.layers():
                again[layer].fields.pop("chksum", None)
            assert bytes(again) == octets, "scapy computes another checksum"
            found.append(frame)
        assert self.engine.free_packets() == self.free
        return found

    def send(self, *frames: Any) -> None:
        """Frames of the server's to the clients."""
        burst = (ctypes.c_uint64 * 64)()
        packets: Array[Any] = array_at(u64, ctypes.addressof(burst))
        for place, frame in enumerate(frames):
            octets = bytes(frame)
            packet = allocate(self.worker)
            ctypes.memmove(packet.data, octets, len(octets))
            packet.length = len(octets)
            packets[place] = packet.address
        port, queue = self.engine.ports[self.index], self.worker.queues[self.index]
        assert client_transmit(self.worker, port, queue, packets, len(frames)) == len(frames)
        assert self.engine.free_packets() == self.free

    def answer(self, to: Any, flags: str, seq: int, payload: bytes = b"", stamp: int | None = 77, **fields: Any) -> Any:
        """The server's segment that acknowledges everything in `to`."""
        taken = len(to[TCP].payload) + ("S" in to[TCP].flags) + ("F" in to[TCP].flags)
        options: list[Any] = [] if stamp is None else [("NOP", None), ("NOP", None), ("Timestamp", (stamp, 0))]
        if "S" in flags:
            options = [("MSS", 1460), ("SAckOK", b""), *options, ("NOP", None), ("WScale", 7)]
        where = {"src": str(self.server), "dst": to[1].src}
        network = IP(**where) if self.server.version == 4 else IPv6(**where)
        segment = {"sport": 80, "dport": to[TCP].sport, "seq": seq, "ack": to[TCP].seq + taken & 0xFFFF_FFFF}
        return (
            Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
            / network
            / TCP(**(segment | fields), flags=flags, options=options)
            / payload
        )

    def counts(self) -> dict[str, int | str]:
        return {name: value for name, value in self.clients.statistics().items() if value}


@pytest.fixture(params=[4, 6])
def family(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def opened() -> Iterator[list[Bench]]:
    benches: list[Bench] = []
    yield benches
    for bench in benches:
        bench.engine.close()


def options_of(frame: Any) -> dict[str, Any]:
    return dict(frame[TCP].options)


def test_a_connection_is_kept_alive(family: int, opened: list[Bench]) -> None:
    bench = Bench(family, connections=3, open_burst=2, verify=True, response=100)
    opened.append(bench)
    syns = [*bench.frames(), *bench.frames()]
    assert [str(frame[TCP].flags) for frame in syns] == ["S"] * 3
    assert len({(frame[1].src, frame[TCP].sport) for frame in syns}) == 3
    assert options_of(syns[0]) == {
        "MSS": 1460, "SAckOK": b"", "Timestamp": (NOW // 1_000_000, 0), "NOP": None, "WScale": 7,
    }  # fmt: skip
    bench.send(bench.answer(syns[1], "SA", 1000))
    ack, request = bench.frames()
    for frame in (ack, request):
        assert (frame[TCP].seq, frame[TCP].ack) == (syns[1][TCP].seq + 1, 1001)
        assert options_of(frame)["Timestamp"] == (NOW // 1_000_000, 77)
    assert (len(ack[TCP].payload), bytes(request[TCP].payload)) == (0, TEXT)
    assert TEXT.startswith(b"GET / HTTP/1.1\r\n")
    assert TEXT.endswith(b"\r\n\r\n")
    assert len(TEXT) == REQUEST
    bench.send(bench.answer(request, "PA", 1001, b"x" * 100, stamp=78))
    (following,) = bench.frames()
    assert (following[TCP].seq, following[TCP].ack) == (request[TCP].seq + REQUEST, 1101)
    assert options_of(following)["Timestamp"][1] == 78
    bench.send(bench.answer(following, "A", 1101))
    assert bench.frames() == []
    assert bench.counts() == {"begun": 3, "established": 1, "requests": 2, "responses": 1, "acks": 1}


@pytest.mark.parametrize("fin_rides", [True, False])
def test_a_closing_connection_is_followed_by_the_next(family: int, fin_rides: bool, opened: list[Bench]) -> None:
    bench = Bench(family, connections=1, closing=True, separate=False, stamps=False, verify=True)
    opened.append(bench)
    (syn,) = bench.frames()
    assert "Timestamp" not in options_of(syn)
    bench.send(bench.answer(syn, "SA", 0xFFFF_FFF0, stamp=None))
    (request,) = bench.frames()
    assert (request[TCP].flags, request[TCP].ack) == ("PA", 0xFFFF_FFF1)
    payload = b"y" * 20
    bench.send(bench.answer(request, "FPA" if fin_rides else "PA", 0xFFFF_FFF1, payload, stamp=None))
    if not fin_rides:
        (ack,) = bench.frames()
        assert (ack[TCP].flags, ack[TCP].ack) == ("A", 5)
        bench.send(bench.answer(ack, "FA", 5, stamp=None))
    (fin,) = bench.frames()
    assert (fin[TCP].flags, fin[TCP].seq, fin[TCP].ack) == ("FA", request[TCP].seq + REQUEST, 6)
    bench.send(bench.answer(fin, "A", 6, stamp=None))
    (another,) = bench.frames()
    assert another[TCP].flags == "S"
    assert another[TCP].sport != syn[TCP].sport
    assert bench.counts() == {"begun": 2, "established": 1, "requests": 1, "responses": 1, "completed": 1}


def test_what_no_client_expects_is_counted(family: int, opened: list[Bench]) -> None:
    bench = Bench(family, connections=1, verify=True, response=10)
    opened.append(bench)
    (syn,) = bench.frames()
    good = bench.answer(syn, "SA", 1)
    bench.send(bench.answer(syn, "SA", 1, ack=syn[TCP].seq + 2), bench.answer(syn, "FA", 1))
    bench.send(
        bench.answer(syn, "R", 1),
        bench.answer(syn, "SA", 1, chksum=1),
        Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x0806) / bytes(50),
    )
    bench.send(bench.answer(syn, "SA", 1, dport=5000))
    bench.send(bench.answer(syn, "PA", 1, b"123456789"), bench.answer(syn, "PA", 1, b"1234567890", ack=7))
    assert bench.frames() == []
    bench.send(good)
    assert len(bench.frames()) == 2
    assert bench.counts() == {
        "begun": 1, "established": 1, "requests": 1, "responses": 2, "resets": 1, "odd": 4, "corrupt": 1, "ignored": 2,
    }  # fmt: skip


def test_some_stay_idle(family: int, opened: list[Bench]) -> None:
    bench = Bench(family, connections=6, active=3)
    opened.append(bench)
    syns = bench.frames()
    bench.send(*[bench.answer(syn, "SA", 5) for syn in syns])
    answers = bench.frames()
    assert [len(frame[TCP].payload) for frame in answers] == [0, REQUEST, 0, 0, 0, REQUEST, 0, 0]


def test_a_flood_comes_at_its_rate_and_is_not_answered(family: int, opened: list[Bench]) -> None:
    bench = Bench(family, connections=1, flood=1_000_000)
    opened.append(bench)
    assert len(bench.frames()) == 1
    bench.worker.now += 20_000
    syns = bench.frames()
    assert len(syns) == 20
    assert all(syn[TCP].flags == "S" and syn[TCP].sport >= FLOOD_PORT for syn in syns)
    assert len({(syn[1].src, syn[TCP].sport, syn[TCP].seq) for syn in syns}) == 20
    bench.send(*[bench.answer(syn, "SA", 9) for syn in syns])
    bench.worker.now += 1_000_000
    assert len(bench.frames()) == 32
    assert bench.counts() == {"begun": 1, "flooded": 52, "cookies": 20}


def test_clients_may_send_in_random_order(family: int, opened: list[Bench]) -> None:
    bench = Bench(family, connections=40, open_burst=40, shuffle=True, separate=False)
    opened.append(bench)
    syns = bench.frames(128)
    order = [syn[TCP].sport for syn in syns]
    assert order != sorted(order)
    assert len(set(order)) == 40
    bench.send(*[bench.answer(syn, "SA", 5) for syn in syns])
    requests = bench.frames()
    assert {frame[TCP].sport: frame[TCP].seq for frame in requests} == {
        syn[TCP].sport: syn[TCP].seq + 1 & 0xFFFF_FFFF for syn in syns
    }
    assert [frame[TCP].sport for frame in requests] != order
