"""A gateway with attached programs, each an engine without a stack over the same memory, whose frames tests write.

with Gateway() as gateway:
    web = gateway.attach(1)                        # a program: a Guest
    gateway.claim(1, "tcp", 80)
    gateway.hear(syn)                              # from the network, as in EngineBench
    (frame,) = web.take()                          # what its link brought
    web.send(answer)                               # and what it says
    gateway.turn()
    frames = gateway.sent(0)
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from pronghorn.compiled import bounds
from pronghorn.engine.engine import Engine
from pronghorn.engine.programs import Limits, Programs, Tables
from pronghorn.net.configure_routes import halves
from pronghorn.net.create import Limits as NetLimits
from pronghorn.net.state import FAR_MAC
from pronghorn.ports.program_port import ProgramPort
from pronghorn.state.attach import CLAIM_BIND, CLAIM_LISTEN, CLAIM_TAKE, Claim
from tests.ports.fabric import Fabric
from tests.support.feed import OWN4, OWN6, EngineBench
from tests.support.worker import SECOND

NET = NetLimits(
    interfaces=16, addresses=32, routes=32, neighbours=64, waiting=16, paths=16, destinations=64, fragments=128
)
TABLES = Tables(programs=8, claims=64, flows=256)
FAR = "02:00:00:00:ff:ff"
PROTOCOLS = {"tcp": 6, "udp": 17}
OWN: list[IPv4Address | IPv6Address] = [ip_address(OWN4[0]), ip_address(OWN6[0])]


class GuestPort(ProgramPort):
    """The program's end."""

    end = 1


class Guest(Fabric):
    """A program. What it sends is what tests say; it has one worker per queue."""

    def __init__(self, memory: int, ours: list[int], theirs: list[int], queues: int) -> None:
        self.engine = Engine(queues, 512, 8)
        self.all = self.engine.free_packets()
        for number in range(queues):
            self.worker(number).now = 1_000 * SECOND
        self.engine.add_port(GuestPort(memory, ours, theirs, 1500, FAR_MAC))

    def say(self, *frames: Any, flags: int = 0, gso: int = 0, worker: int = 0) -> None:
        """Frames out of its link."""
        self.send(0, *(bytes(frame) for frame in frames), flags=flags, gso=gso, worker=worker)

    def hears(self, worker: int = 0) -> list[bytes]:
        """What its link has brought."""
        self.pass_time(0.001)
        return self.take(0, worker)


class Gateway(EngineBench):
    """See the module."""

    def __init__(self, workers: int = 1, tables: Tables = TABLES, **options: Any) -> None:
        super().__init__(workers=workers, limits=NET, large_packets=8, **options)
        self.programs = Programs(self.engine, tables)
        self.guests: dict[int, Guest] = {}
        self._closing = contextlib.ExitStack()
        self.free = self.engine.free_packets()

    def attach(
        self, number: int, family: int = 0, user: int = 0, limits: Limits | None = None, seal: bool = True
    ) -> Guest:
        """A program with the addresses of port 0 and 100 ports from number * 1000 on."""
        queues = self.programs.queues
        memory = os.memfd_create("link", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        ends = [os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) for _ in range(2 * queues)]
        try:
            os.ftruncate(memory, self.programs.octets)
            if seal:
                fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            ours, theirs = ends[:queues], ends[queues:]
            self.programs.add_program(
                number,
                memory,
                [read for read, _ in ours],
                [write for _, write in theirs],
                1500,
                OWN,
                (number * 1000, number * 1000 + 99),
                family or number,
                user or number,
                limits,
            )
            guest = Guest(memory, [read for read, _ in theirs], [write for _, write in ours], queues)
            self.guests[number] = guest
            for pair in ends:
                for each in pair:
                    self._closing.callback(os.close, each)
        finally:
            os.close(memory)
        self.greet(guest)
        return guest

    def greet(self, *guests: Guest) -> None:
        for _ in range(4):
            self.turn()
            for guest in guests:
                for worker in range(self.programs.queues):
                    guest.hears(worker)

    def leave(self, number: int) -> None:
        """The program has ended."""
        self.programs.remove_program(number)
        self.guests.pop(number).engine.close()

    def claim(self, number: int, protocol: str, port: int, address: str = "", flags: int = 0, family: int = 10) -> int:
        """LISTEN or BIND; returns the errno."""
        with message(protocol, port, address, flags, family) as claim:
            return self.programs.claim(number, claim)

    def release(self, number: int, protocol: str, port: int, address: str = "", family: int = 10) -> int:
        with message(protocol, port, address, 0, family) as claim:
            return self.programs.release(number, claim)

    def take_over(self, number: int, address: str, port: int, far: str, far_port: int) -> int:
        """TAKE of a TCP connection."""
        with message("tcp", port, address, 0, 6 if ":" in address else 4) as claim:
            claim.kind, claim.far_port = CLAIM_TAKE, far_port
            claim.far_hi, claim.far_lo = halves(ip_address(far))
            return self.programs.claim(number, claim)

    def take_part(self, number: int, protocol: str, port: int) -> int:
        """TAKE of the new connections of a listener."""
        with message(protocol, port, "", 0, 10) as claim:
            claim.kind = CLAIM_TAKE
            return self.programs.claim(number, claim)

    def tell(self, number: int, *frames: Any, **options: Any) -> dict[str, int]:
        """Frames from a program and two turns; how many packets ended with which verdict."""
        before = self.counts()
        self.guests[number].say(*frames, **options)
        self.turn()
        self.turn()
        return dict(self.counts() - before)

    def facts(self, number: int) -> Any:
        return next(each for each in self.programs.programs() if each.number == number)

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for guest in self.guests.values():
            guest.engine.close()
        super().__exit__(kind)
        self._closing.close()


@contextlib.contextmanager
def message(protocol: str, port: int, address: str, flags: int, family: int) -> Iterator[Claim]:
    """A Claim in memory of its own."""
    room = ctypes.create_string_buffer(Claim.SIZE + 8)
    start = -(-ctypes.addressof(room) // 8) * 8
    bounds.register(start, Claim.SIZE, Claim.SIZE, "claim")
    claim = Claim(start)
    claim.kind, claim.flags = (CLAIM_LISTEN if protocol == "tcp" else CLAIM_BIND), flags
    claim.protocol, claim.family, claim.port = PROTOCOLS[protocol], family, port
    if address:
        claim.hi, claim.lo = halves(ip_address(address))
        claim.family = (6 if ":" in address else 4) if family == 10 else family
    try:
        yield claim
    finally:
        bounds.unregister(start)
