"""Unsegmented frames cut into segments; scapy builds the frame and judges the pieces."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet as Scapy
from scapy.packet import Raw

from pronghorn.compiled import hot
from pronghorn.ports.offload import complete_checksum, unfinish_checksum
from pronghorn.ports.segment import segment
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED, Packet
from pronghorn.state.packets import allocate, allocate_large, release
from pronghorn.state.port import BURST
from pronghorn.state.worker import Worker
from tests.ports.support import Bench

OPTIONS = [("Timestamp", (1, 2)), ("NOP", None), ("NOP", None)]
HEADERS = {
    "tcp4": Ether()
    / IP(src="10.0.0.1", dst="10.0.0.2", id=65534)
    / TCP(seq=2**32 - 1000, flags="FPAC", options=OPTIONS),
    "tcp6": Ether() / IPv6(src="fd00::1", dst="fd00::2") / TCP(seq=7, flags="PA"),
    "tagged": Ether() / Dot1Q(vlan=5) / IP(src="10.0.0.1", dst="10.0.0.2", options=[b"\x94\x04\0\0"]) / TCP(flags="A"),
    "extended": Ether() / IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrHopByHop() / TCP(seq=7, flags="A"),
    "udp4": Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2),
    "udp6": Ether() / IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=1, dport=2),
}


@hot
def take_large(worker: Worker) -> Packet:
    return allocate_large(worker)


@hot
def take(worker: Worker) -> Packet:
    return allocate(worker)


@hot
def free(worker: Worker, packet: Packet) -> None:
    release(worker, packet)


@pytest.fixture
def one() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def unsegmented(one: Bench, octets: bytes, size: int) -> Packet:
    packet = take_large(one.workers[0])
    ctypes.memmove(packet.data, octets, len(octets))
    packet.length, packet.gso_size, packet.flags = len(octets), size, UNSEGMENTED | CHECKSUM_PARTIAL
    unfinish_checksum(packet.data, packet.length)
    return packet


def pieces_of(one: Bench, packet: Packet, room: int = BURST) -> list[Scapy]:
    """Cut it, finish the checksums, and parse what came out."""
    worker = one.workers[0]
    found: list[Scapy] = []
    for place in range(segment(worker, packet, worker.burst, room)):
        piece = Packet(worker.burst[place])
        assert piece.flags == CHECKSUM_PARTIAL
        complete_checksum(piece.data, piece.length)
        found.append(Ether(ctypes.string_at(piece.data, piece.length)))
        free(worker, piece)
    free(worker, packet)
    return found


def rebuilt(piece: Scapy) -> bytes:
    """The same frame with lengths and checksums as scapy computes them."""
    fresh = piece.copy()
    for layer in fresh.layers():
        for name in ("len", "plen", "chksum"):
            if name in fresh[layer].fields:
                delattr(fresh[layer], name)
    return bytes(fresh)


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(("octets", "size"), [(1448, 1448), (1449, 1448), (20000, 1448), (5, 2), (20000, 8948)])
def test_pieces(one: Bench, name: str, octets: int, size: int) -> None:
    payload = bytes(number * 7 % 256 for number in range(octets))
    whole = HEADERS[name] / Raw(payload)
    pieces = pieces_of(one, unsegmented(one, bytes(whole), size))
    assert len(pieces) == -(-octets // size)
    assert b"".join(bytes(piece[Raw].load) for piece in pieces) == payload
    for number, piece in enumerate(pieces):
        assert rebuilt(piece) == bytes(piece), "lengths and checksums"
        first, last = number == 0, number == len(pieces) - 1
        if IP in piece:
            assert piece[IP].id == (whole[IP].id + number) % 65536
        if TCP in piece:
            assert piece[TCP].seq == (whole[TCP].seq + number * size) % 2**32
            kept = set(str(whole[TCP].flags)) - (set() if last else {"F", "P"}) - (set() if first else {"C"})
            assert set(str(piece[TCP].flags)) == kept
            assert piece[TCP].options == whole[TCP].options or not whole[TCP].options


def test_what_cannot_be_cut(one: Bench) -> None:
    """Nothing comes out and nothing is lost: too many pieces, no size, no layer 4, no chunks."""
    octets = bytes(HEADERS["tcp4"] / Raw(bytes(3000)))
    assert not pieces_of(one, unsegmented(one, octets, 100), room=5)
    assert not pieces_of(one, unsegmented(one, octets, 0))
    assert not pieces_of(one, unsegmented(one, bytes(Ether() / IP(proto=1) / Raw(bytes(3000))), 1000))
    worker = one.workers[0]
    taken = []
    while one.free[0] > 2:
        taken.append(take(worker))
    assert not pieces_of(one, unsegmented(one, octets, 1000))
    assert one.free[0] == 2
    for packet in taken:
        free(worker, packet)
