"""Servers behind a null port: their answers to segments made by scapy, which also judges the checksums."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from pronghorn.compiled import Array, array_at, u64
from pronghorn.engine.engine import Engine
from pronghorn.ports.null_server import INITIAL, WAITING, server_receive, server_transmit
from pronghorn.ports.null_server_port import NullServerPort
from pronghorn.state.packet import Packet
from pronghorn.state.packets import allocate, release

ENDS = {4: ("198.51.100.10", "192.0.2.80"), 6: ("2001:db8::10", "2001:db8::80")}


class Bench:
    """Servers of one worker."""

    def __init__(self) -> None:
        self.engine = Engine(workers=1, packets=2 * WAITING)
        self.servers = NullServerPort()
        self.index = self.engine.add_port(self.servers)
        self.worker = self.engine.workers[0]
        self.free = self.engine.free_packets()

    def send(self, frame: Any, times: int = 1) -> None:
        """A frame to the servers."""
        octets, burst = bytes(frame), (ctypes.c_uint64 * 1)()
        packets: Array[Any] = array_at(u64, ctypes.addressof(burst))
        for _ in range(times):
            packet = allocate(self.worker)
            ctypes.memmove(packet.data, octets, len(octets))
            packet.length = len(octets)
            packets[0] = packet.address
            port, queue = self.engine.ports[self.index], self.worker.queues[self.index]
            assert server_transmit(self.worker, port, queue, packets, 1) == 1

    def answers(self) -> list[Any]:
        """What the servers send."""
        found = []
        while count := server_receive(self.worker, self.engine.ports[self.index], self.worker.queues[self.index], 32):
            for place in range(count):
                packet = Packet(self.worker.burst[place])
                found.append(Ether(ctypes.string_at(packet.data, packet.length)))
                release(self.worker, packet)
        assert self.engine.free_packets() == self.free
        return found


def segment(family: int, flags: str, text: bytes = b"", **fields: Any) -> Any:
    client, server = ENDS[family]
    ip = IP(src=client, dst=server) if family == 4 else IPv6(src=client, dst=server)
    tcp = TCP(sport=4000, dport=8080, flags=flags, seq=0xFFFFFFF0, **fields)
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / ip / tcp / Raw(text)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("flags", "text", "ack", "answer", "seq", "acknowledged"),
    [
        ("S", b"", 0, "SA", INITIAL, 0xFFFFFFF1),
        ("PA", b"x" * 64, 77, "FA", 77, 48),
        ("FA", b"", 78, "A", 78, 0xFFFFFFF1),
    ],
)
def test_answers(family: int, flags: str, text: bytes, ack: int, answer: str, seq: int, acknowledged: int) -> None:
    bench = Bench()
    options = [("MSS", 1460), ("SAckOK", b"")] if flags == "S" else []
    bench.send(segment(family, flags, text, ack=ack, options=options))
    [frame] = bench.answers()
    assert (frame.src, frame.dst) == ("02:00:00:00:00:02", "02:00:00:00:00:01")
    ip, tcp = frame.payload, frame[TCP]
    assert (ip.src, ip.dst, tcp.sport, tcp.dport) == (*ENDS[family][::-1], 8080, 4000)
    assert (str(tcp.flags), tcp.seq, tcp.ack, bytes(tcp.payload)) == (answer, seq, acknowledged, text)
    again = Ether(bytes(frame))
    for layer in again.layers():
        again[layer].fields.pop("chksum", None)
    assert bytes(again) == bytes(frame), "scapy computes another checksum"


@pytest.mark.parametrize("frame", [segment(4, "A"), segment(6, "R"), Ether() / IP() / b"", Ether(type=0x88CC)])
def test_what_is_nothing_for_a_server(frame: Any) -> None:
    bench = Bench()
    bench.send(bytes(frame).ljust(60, b"\0"))
    assert bench.answers() == []
    assert bench.servers.statistics() == {"answered": 0, "ignored": 1, "dropped": 0}


def test_no_more_wait_than_there_are_places() -> None:
    bench = Bench()
    bench.send(segment(4, "S"), WAITING + 3)
    assert bench.servers.statistics() == {"answered": WAITING, "ignored": 0, "dropped": 3}
    assert len(bench.answers()) == WAITING
