"""Two attached engines in one process, joined by lanes in one mapping: for tests of what a program holds."""

from __future__ import annotations

import ctypes
import mmap
import os
import select
from collections.abc import Callable
from ipaddress import ip_address, ip_interface
from typing import Any

from pronghorn.compiled import Array, View, array_at, i32, u8
from pronghorn.engine.attached import (
    engine_attach,
    engine_detach,
    engine_doze,
    engine_linked,
    engine_now,
    engine_poll,
    engine_wake,
)
from pronghorn.engine.embedded import EngineConfiguration
from pronghorn.net.state import MAPPED
from pronghorn.ports.link_lay import lanes_octets
from pronghorn.state.attach import MAGIC, VERSION, Welcome
from pronghorn.state.endpoints import Address
from pronghorn.state.worker import Worker

PATIENCE = 5_000_000_000
"""ns that a test waits for something that takes microseconds."""


class Room:
    """Views and octets at addresses that stay."""

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def octets(self, content: bytes | int) -> int:
        """The address of a copy of the octets, or of so many zeros; a multiple of 64."""
        size = content if isinstance(content, int) else len(content)
        memory = ctypes.create_string_buffer(size + 64)
        self._kept.append(memory)
        address = -(-ctypes.addressof(memory) // 64) * 64
        if isinstance(content, bytes):
            ctypes.memmove(address, content, size)
        return address

    def view(self, kind: Any, count: int = 1) -> Any:
        """A zeroed record."""
        return kind(self.octets(kind.SIZE * count))

    def address(self, text: str, port: int) -> Address:
        """An Address."""
        made: Address = self.view(Address)
        made.hi, made.lo, made.family = halves(text)
        made.port = port
        return made


def halves(text: str) -> tuple[int, int, int]:
    """Both halves of an address, and its family."""
    address = ip_address(text)
    if address.version == 4:
        return 0, MAPPED | int(address), 4
    return int(address) >> 64, int(address) & (1 << 64) - 1, 6


class Link:
    """Shared memory with lanes, and a pipe for each end."""

    def __init__(self, queues: int = 1) -> None:
        self.queues, self.octets = queues, lanes_octets(queues)
        self.memory = mmap.mmap(-1, self.octets)
        self._start = (ctypes.c_char * self.octets).from_buffer(self.memory)
        self.address = ctypes.addressof(self._start)
        self.pipes = [os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) for _ in range(2)]

    def close(self) -> None:
        for ends in self.pipes:
            for descriptor in ends:
                os.close(descriptor)


class Program:
    """One engine at an end of a link."""

    def __init__(self, link: Link, end: int, *addresses: str, **values: int) -> None:
        self.link, self.end, self.room = link, end, Room()
        self.configuration: EngineConfiguration = self.room.view(EngineConfiguration)
        self.welcome: Welcome = self.room.view(Welcome)
        self.own_pipe, self._theirs = link.pipes[end][0], link.pipes[1 - end][1]
        self.configuration.seed = end + 1
        fill_welcome(self.welcome, link.queues, end, *addresses)
        for name, value in values.items():
            target: View = self.welcome if name in Welcome.FIELDS else self.configuration
            setattr(target, name, value)
        self.worker = Worker(0)

    def attach(self) -> Worker:
        pipes = self.room.octets(b"".join(self._theirs.to_bytes(4, "little") for _ in range(64)))
        numbers: Array[i32] = array_at(i32, pipes)
        self.worker = engine_attach(
            self.configuration, self.welcome, self.link.address, self.link.octets, self.own_pipe, numbers
        )
        return self.worker

    def detach(self) -> None:
        if self.worker.address != 0:
            engine_detach(self.worker)
        self.worker = Worker(0)

    def wait(self, nanoseconds: int) -> bool:
        """Sleep as a program does; whether it was woken."""
        left = engine_doze(self.worker)
        if left == 0:
            return True
        ready, _, _ = select.select([self.own_pipe], [], [], min(left, nanoseconds) / 1e9)
        engine_wake(self.worker)
        return bool(ready)


def fill_welcome(welcome: Welcome, queues: int, end: int, *addresses: str) -> None:
    """What a keeper says."""
    welcome.magic, welcome.version, welcome.session = MAGIC, VERSION, 77
    welcome.end, welcome.queues, welcome.mtu = end, queues, 1500
    welcome.port_low, welcome.port_high, welcome.count = 20_000, 29_999, len(addresses)
    for place, text in enumerate(addresses):
        own, interface = welcome.addresses[place], ip_interface(text)
        own.hi, own.lo, own.family = halves(str(interface.ip))
        own.length = interface.network.prefixlen


ADDRESSES = (("192.0.2.1/24", "2001:db8::1/64"), ("192.0.2.2/24", "2001:db8::2/64"))


class Pair:
    """Two programs whose link is up."""

    def __init__(self, queues: int = 1, flags: int = 0, addresses: Any = ADDRESSES, **values: int) -> None:
        self.link = Link(queues)
        self.programs = [Program(self.link, end, *addresses[end], flags=flags, **values) for end in range(2)]
        for program in self.programs:
            assert program.attach().address != 0, program.configuration.describe()
        self.until(lambda: all(engine_linked(program.worker) == 1 for program in self.programs))

    @property
    def workers(self) -> tuple[Worker, Worker]:
        return self.programs[0].worker, self.programs[1].worker

    def until(self, condition: Callable[[], Any]) -> Any:
        """Turn both until the condition holds, and return what it said."""
        end = engine_now(self.programs[0].worker) + PATIENCE
        while True:
            if found := condition():
                return found
            for program in self.programs:
                if program.worker.address != 0:
                    engine_poll(program.worker)
            assert engine_now(self.programs[0].worker or self.programs[1].worker) < end, "it never came about"

    def close(self) -> None:
        for program in self.programs:
            program.detach()
        self.link.close()

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def octets_at(address: int, count: int) -> bytes:
    """What lies there."""
    return ctypes.string_at(address, count)


__all__ = ["ADDRESSES", "Link", "Pair", "Program", "Room", "array_at", "fill_welcome", "octets_at", "u8"]
