"""Real stacks at both ends of two links: a server and a client of one gateway, at one address; and the server dies."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
from collections.abc import Callable
from typing import Any

import pytest

from pronghorn.compiled import bounds
from pronghorn.engine.attached import engine_linked, engine_poll
from pronghorn.engine.calls import accept, bind, connect, listen, receive, send, socket
from pronghorn.ports.link_lay import lanes_octets
from pronghorn.state.attach import SHARED_ADDRESSES
from pronghorn.state.endpoints import STREAM, Address
from tests.engine.links import Link, Program, octets_at
from tests.programs.bench import OWN, Gateway
from tests.programs.test_paths import HERE

pytestmark = pytest.mark.skipif(bounds.ENABLED, reason="an attached engine's memory is not known to the bounds check")


class SharedLink(Link):
    """What tests/engine/links.Link is, in a memfd."""

    def __init__(self, queues: int) -> None:
        self.queues, self.octets = queues, lanes_octets(queues)
        self.descriptor = os.memfd_create("link", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, self.octets)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self.memory = mmap.mmap(self.descriptor, self.octets)
        self._start = (ctypes.c_char * self.octets).from_buffer(self.memory)
        self.address = ctypes.addressof(self._start)
        self.pipes = [os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) for _ in range(2)]

    def close(self) -> None:
        for descriptor in (self.descriptor, *self.pipes[0], *self.pipes[1]):
            os.close(descriptor)


class Here:
    """A gateway whose programs have stacks."""

    def __init__(self) -> None:
        self.gateway = Gateway()
        self.links: list[SharedLink] = []
        self.programs: dict[int, Program] = {}
        for number in (1, 2):
            self.attach(number)

    def attach(self, number: int) -> Program:
        link = SharedLink(self.gateway.programs.queues)
        (ours, _), (_, theirs) = link.pipes
        ports = number * 1000, number * 1000 + 99
        self.gateway.programs.add_program(
            number, link.descriptor, [ours] * link.queues, [theirs] * link.queues, 1500, OWN, ports, number, 0
        )
        texts = [f"{HERE[4]}/24", f"{HERE[6]}/64"]
        program = Program(link, 1, *texts, flags=SHARED_ADDRESSES, port_low=ports[0], port_high=ports[1])
        assert program.attach().address
        self.links.append(link)
        self.programs[number] = program
        self.until(lambda: engine_linked(program.worker))
        return program

    def until(self, condition: Callable[[], Any]) -> Any:
        for _ in range(20_000):
            if found := condition():
                return found
            self.gateway.turn(0.00005)
            for program in self.programs.values():
                engine_poll(program.worker)
        raise AssertionError("it never came about")

    def connect(self, family: int) -> tuple[int, int]:
        """From program 2 to program 1: handles of both ends, the server's first."""
        server, client = self.programs[1], self.programs[2]
        listener = socket(server.worker, family, STREAM)
        assert bind(server.worker, listener, server.room.address("0.0.0.0" if family == 4 else "::", 80)) == 0
        assert listen(server.worker, listener, 8) == 0
        assert self.gateway.claim(1, "tcp", 80, family=family) == 0
        made = socket(client.worker, family, STREAM)
        assert connect(client.worker, made, client.room.address(HERE[family], 80)) == -errno.EINPROGRESS
        return self.until(lambda: max(accept(server.worker, listener, Address(0)), 0)), made

    def close(self) -> None:
        for program in self.programs.values():
            program.detach()
        self.gateway.__exit__(None)
        for link in self.links:
            link.close()


@pytest.mark.parametrize("family", [4, 6])
def test_a_conversation_and_an_end(family: int) -> None:
    here = Here()
    try:
        there, made = here.connect(family)
        server, client = here.programs[1], here.programs[2]
        content = bytes(range(256)) * 400
        data, room = client.room.octets(content), server.room.octets(1 << 16)
        sent, taken = 0, b""

        def step() -> bool:
            nonlocal sent, taken
            sent += max(send(client.worker, made, data + sent, len(content) - sent, 0), 0) if sent < len(content) else 0
            taken += octets_at(room, max(receive(server.worker, there, room, 1 << 16, 0), 0))
            return len(taken) >= len(content)

        here.until(step)
        assert taken == content
        facts = {each.number: each for each in here.gateway.programs.programs()}
        assert facts[1].packets_out == facts[2].packets_in < 100, "64 KB at a time"
        here.programs.pop(1)  # killed: it says nothing any more
        here.gateway.programs.remove_program(1)
        target = client.room.octets(8)
        here.until(lambda: receive(client.worker, made, target, 8, 0) == -errno.ECONNRESET)
        assert not any(drops for drops in (facts[1].drops, facts[2].drops))
        here.attach(1)
        there, made = here.connect(family)
        assert there > 0
    finally:
        here.close()


def test_nobody_listens() -> None:
    here = Here()
    try:
        client = here.programs[2]
        made = socket(client.worker, 4, STREAM)
        connect(client.worker, made, client.room.address(HERE[4], 81))
        data = client.room.octets(b"x")
        here.until(lambda: send(client.worker, made, data, 1, 0) == -errno.ECONNREFUSED)
    finally:
        here.close()
