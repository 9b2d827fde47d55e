"""An engine under attack: every segment is written by the test, octet by octet, and its verdict is seen.

    with Victim(family) as victim:
        peer = victim.peer()                               # an honest handshake with a listener at port 80
        assert peer.send(b"hello") == "delivered"          # or seq=, ack=, flags=, options=, window= of one's own
        peer.heard()                                       # what the engine has sent to it
        victim.end()                                       # everything closed: nothing is left, the counts are right

Sequence numbers of `send` count from what the peer would send next.
"""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import count
from typing import Any

from pronghorn.engine.transports import Limits, create_transports
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.wheel import Wheel
from pronghorn.net.state import MAPPED
from pronghorn.state.endpoints import Address, Endpoints, endpoints_of
from pronghorn.state.mib import COUNTERS
from pronghorn.state.worker import Worker
from pronghorn.tcp import calls
from pronghorn.tcp.tcb import FREE, Tcb, Tcp, tcp_of
from pronghorn.wire.tcp import ACK, SYN
from tests.support.feed import CLIENT, OWN, OWN4, OWN6, ROUTER, EngineBench

MASK = 0xFFFF_FFFF
ROOM = 1 << 17
ISN = 0xFFFF_F000
"""The peer's first sequence number: it wraps soon."""
TIMESTAMPS = b"\x01\x01\x08\x0a"
SACK_OK = b"\x01\x01\x04\x02"
MSS_1400 = b"\x02\x04\x05\x78"
SCALE_7 = b"\x01\x03\x03\x07"


def stamps(value: int, echo: int) -> bytes:
    """The timestamps option."""
    return TIMESTAMPS + struct.pack("!II", value & MASK, echo & MASK)


def sacks(*blocks: tuple[int, int]) -> bytes:
    """The SACK option."""
    edges = b"".join(struct.pack("!II", left & MASK, right & MASK) for left, right in blocks)
    return bytes((1, 1, 5, 2 + len(edges))) + edges


def summed(octets: bytes) -> int:
    """The Internet checksum."""
    octets += bytes(len(octets) % 2)
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def packet(src: str, dst: str, protocol: int, layer4: bytes) -> bytes:
    """A frame from the router of port 0 with this packet in it."""
    one, two = ip_address(src), ip_address(dst)
    if one.version == 4:
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(layer4), 1, 0x4000, 64, protocol, 0)
        header += one.packed + two.packed
        header = header[:10] + struct.pack("!H", summed(header)) + header[12:]
    else:
        header = struct.pack("!IHBB", 6 << 28, len(layer4), protocol, 64) + one.packed + two.packed
    ethertype = b"\x08\x00" if one.version == 4 else b"\x86\xdd"
    return bytes.fromhex(OWN[0].replace(":", "") + ROUTER.replace(":", "")) + ethertype + header + layer4


def with_checksum(src: str, dst: str, protocol: int, layer4: bytes, place: int) -> bytes:
    """The same octets with the checksum at `place` right."""
    pseudo = ip_address(src).packed + ip_address(dst).packed + struct.pack("!II", len(layer4), protocol)
    layer4 = layer4[:place] + b"\0\0" + layer4[place + 2 :]
    found = summed(pseudo + layer4) if protocol != 1 else summed(layer4)
    return layer4[:place] + struct.pack("!H", found) + layer4[place + 2 :]


@dataclass
class Heard:
    """A segment that the engine has sent."""

    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    options: bytes
    payload: bytes


def parse(frame: bytes) -> Heard | None:
    """None when it is no TCP segment."""
    at = 34 if frame[12:14] == b"\x08\x00" else 54
    if frame[23 if at == 34 else 20] != 6 or frame[12:14] not in (b"\x08\x00", b"\x86\xdd"):
        return None
    sport, dport, seq, ack, offset, flags, window = struct.unpack_from("!HHIIBBH", frame, at)
    header = offset >> 4 << 2
    return Heard(sport, dport, seq, ack, flags, window, frame[at + 20 : at + header], frame[at + header :])


class Victim(EngineBench):
    """See the module."""

    def __init__(self, family: int = 4, conns: int = 512, buffers: int = 1 << 24, **options: Any) -> None:
        super().__init__(**options)
        self.family = family
        self.own = OWN4[0] if family == 4 else OWN6[0]
        self.worker: Worker = self.engine.workers[0]
        create_transports(self.engine.arena, self.worker, Limits(512, 16, conns, buffers))
        self.room = self.engine.arena.table("application", Address, ROOM // Address.SIZE).address
        self.name: Address = self.engine.arena.table("name", Address, 1)[0]
        self.ports = count(1024)
        self.listener = -1
        self.sockets: list[int] = []

    def __enter__(self) -> Victim:
        return self

    @property
    def tcp(self) -> Tcp:
        return tcp_of(self.worker)

    @property
    def endpoints(self) -> Endpoints:
        return endpoints_of(self.worker)

    @property
    def memory(self) -> int:
        """Octets of buffers in use."""
        return Buddy(self.endpoints.buddy).used

    def counter(self, name: str) -> int:
        return self.endpoints.mib[next(place for place, (_, known) in enumerate(COUNTERS) if known == name)]

    def address(self, text: str, port: int) -> Address:
        number, where = int(ip_address(text)), self.name
        where.port, where.family, where.interface = port, self.family, 0
        where.hi, where.lo = (0, MAPPED | number) if self.family == 4 else (number >> 64, number & (1 << 64) - 1)
        return where

    def listen(self, port: int = 80, backlog: int = 16) -> int:
        number = calls.tcp_open(self.worker, self.family)
        assert calls.tcp_bind(self.worker, number, self.address(self.own, port)) == 0
        assert calls.tcp_listen(self.worker, number, backlog) == 0
        self.listener = number
        self.sockets.append(number)
        return number

    def accept(self) -> int:
        number = calls.tcp_accept(self.worker, self.listener, self.name)
        assert number >= 0, number
        self.sockets.append(number)
        return number

    def write(self, number: int, octets: int) -> int:
        """Let the application send so many."""
        self.worker.now = self.now
        return calls.tcp_send(self.worker, number, self.room, octets, 0)

    def read(self, number: int, octets: int = ROOM) -> bytes | int:
        self.worker.now = self.now
        taken = calls.tcp_receive(self.worker, number, self.room, octets, 0)
        return ctypes.string_at(self.room, taken) if taken >= 0 else taken

    def verdict(self, frame: bytes) -> str:
        """How the frame ended; what was sent because of it does not count."""
        found = self.hear(frame)
        found.pop("transmitted", None)
        assert sum(found.values()) == 1, found
        return next(iter(found))

    def close_socket(self, number: int) -> None:
        self.worker.now = self.now
        self.sockets.remove(number)
        assert calls.tcp_close(self.worker, number) == 0

    def peer(self, src: str = "", options: bytes = MSS_1400 + SACK_OK, **fields: Any) -> Peer:
        """A client whose connection is accepted."""
        if self.listener < 0:
            self.listen()
        peer = Peer(self, src, **fields)
        peer.connect(options)
        return peer

    def in_use(self) -> list[int]:
        """States of the records that are not free."""
        tcp = self.tcp
        return [tcp.tcbs[place].state for place in range(tcp.fresh) if tcp.tcbs[place].state != FREE]

    def end(self, seconds: int = 4000) -> None:
        """Close everything and let time pass: nothing is left of it."""
        for number in list(self.sockets):
            self.close_socket(number)
        self.wait(seconds, 60)
        self.check()
        assert self.in_use() == []
        assert (self.memory, Wheel(self.tcp.wheel).count) == (0, 0)
        assert (self.tcp.count, self.tcp.waiting_count, self.tcp.pending_count) == (0, 0, 0)
        assert self.endpoints.socket_count == 0
        self.listener, self.tcp.challenge_limit = -1, 1000
        for place in range(len(COUNTERS)):
            self.endpoints.mib[place] = 0
        self.sent(0)


class Peer:
    """One client, honest until told otherwise."""

    def __init__(self, victim: Victim, src: str = "", port: int = 80, isn: int = ISN) -> None:
        self.victim, self.src = victim, src or CLIENT[victim.family]
        self.sport, self.dport = next(victim.ports), port
        self.next, self.wants = isn, 0
        self.number = -1
        self.tail = b""  # options of every segment

    def frame(
        self,
        payload: bytes = b"",
        seq: int = 0,
        ack: int = 0,
        flags: int = ACK,
        window: int = 60_000,
        options: bytes | None = None,
        urgent: int = 0,
        offset: int = 0,
    ) -> bytes:
        """A segment; `seq` and `ack` count from where the peer stands."""
        tail = self.tail if options is None else options
        words = 5 + len(tail) // 4
        header = struct.pack("!HHII", self.sport, self.dport, self.next + seq & MASK, self.wants + ack & MASK)
        header += struct.pack("!BBHHH", (offset or words) << 4, flags, window, 0, urgent)
        own = self.victim.own
        return packet(self.src, own, 6, with_checksum(self.src, own, 6, header + tail + payload, 16))

    def send(self, payload: bytes = b"", **fields: Any) -> str:
        """The verdict of a segment."""
        return self.victim.verdict(self.frame(payload, **fields))

    def heard(self) -> list[Heard]:
        """What has been sent to this peer since anybody asked."""
        found = [parse(frame) for frame in self.victim.sent(0)]
        return [one for one in found if one is not None and one.dport == self.sport]

    def connect(self, options: bytes = b"") -> None:
        """Shake hands, and be accepted."""
        assert self.send(flags=SYN, options=options) == "delivered"
        answer = self.heard()[-1]
        assert answer.flags & (SYN | ACK) == SYN | ACK
        self.next, self.wants = self.next + 1 & MASK, answer.seq + 1 & MASK
        assert self.send() == "delivered"
        self.number = self.victim.accept()

    @property
    def tcb(self) -> Tcb:
        return self.victim.tcp.tcbs[self.victim.endpoints.sockets[self.number].record]
