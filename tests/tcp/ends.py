"""Two engines and a wire between them, with TCP's own calls: what the tests of connections are written with."""

from __future__ import annotations

import ctypes
import errno
from ipaddress import ip_address

from pronghorn.memory.buddy import Buddy
from pronghorn.net.state import MAPPED
from pronghorn.ports.wire_port import Impairment
from pronghorn.state.endpoints import Address, Endpoints, endpoints_of
from pronghorn.state.worker import Worker
from pronghorn.tcp import calls
from pronghorn.tcp.tcb import TIME_WAIT, Tcb, Tcp, tcp_of
from tests.simulator.host import Host
from tests.simulator.network import Network

ROOM = 1 << 17


class End:
    """One host's sockets, by number."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.room = ctypes.create_string_buffer(ROOM)
        self._where = ctypes.create_string_buffer(Address.SIZE)
        self.where = Address(ctypes.addressof(self._where))

    @property
    def worker(self) -> Worker:
        """The worker, its clock set, and to be turned after the call that is about to be made."""
        worker = self.host.worker
        worker.now = worker.due = self.host.network.now
        return worker

    @property
    def tcp(self) -> Tcp:
        return tcp_of(self.host.worker)

    @property
    def endpoints(self) -> Endpoints:
        return endpoints_of(self.host.worker)

    def address(self, text: str, port: int) -> Address:
        parsed = ip_address(text)
        number, where = int(parsed), self.where
        where.port, where.family, where.interface = port, parsed.version, 0
        where.hi, where.lo = (0, MAPPED | number) if parsed.version == 4 else (number >> 64, number & (1 << 64) - 1)
        return where

    def open(self, text: str) -> int:
        """A socket of the address's family."""
        number = calls.tcp_open(self.worker, ip_address(text).version)
        assert number >= 0
        return number

    def listen(self, text: str, port: int, backlog: int = 16) -> int:
        number = self.open(text)
        assert calls.tcp_bind(self.worker, number, self.address(text, port)) == 0
        assert calls.tcp_listen(self.worker, number, backlog) == 0
        return number

    def connect(self, text: str, port: int) -> int:
        number = self.open(text)
        assert calls.tcp_connect(self.worker, number, self.address(text, port)) == -errno.EINPROGRESS
        return number

    def accept(self, listener: int) -> int:
        return calls.tcp_accept(self.worker, listener, self.where)

    def send(self, number: int, octets: bytes, flags: int = 0) -> int:
        ctypes.memmove(self.room, octets, len(octets))
        return calls.tcp_send(self.worker, number, ctypes.addressof(self.room), len(octets), flags)

    def receive(self, number: int, octets: int = ROOM, flags: int = 0) -> bytes | int:
        taken = calls.tcp_receive(self.worker, number, ctypes.addressof(self.room), octets, flags)
        return self.room.raw[:taken] if taken >= 0 else taken

    def close(self, number: int) -> None:
        assert calls.tcp_close(self.worker, number) == 0

    def tcb(self, number: int) -> Tcb:
        return self.tcp.tcbs[self.endpoints.sockets[number].record]

    def events(self, number: int) -> int:
        return self.endpoints.sockets[number].events

    def states(self) -> list[int]:
        """Of every connection there is."""
        tcp = self.tcp
        states = [tcp.tcbs[number].state for number in range(tcp.fresh) if tcp.tcbs[number].state]
        return states + [TIME_WAIT] * tcp.waiting_count


class Pair:
    """A client and a server, 10 ms apart each way."""

    def __init__(self, family: int = 4, impairment: Impairment | None = None, options: str = "mtu=1500") -> None:
        self.network = Network(seed=1)
        left, right = self.network.host("left", large=64), self.network.host("right", large=64)
        self.link = self.network.link(left, right, impairment or Impairment(delay=10_000_000), options=options)
        self.client, self.server = End(left), End(right)
        self.address = self.link.address(1, family)

    def run(self, seconds: float = 1.0) -> None:
        self.network.run(seconds=seconds)

    def connected(self, port: int = 80) -> tuple[int, int]:
        """A connection: the client's socket and the server's."""
        listener = self.server.listen(self.address, port)
        client = self.client.connect(self.address, port)
        self.run()
        server = self.server.accept(listener)
        assert server >= 0
        return client, server

    def carry(self, sender: End, one: int, receiver: End, other: int, octets: bytes, seconds: float = 60) -> bytes:
        """Send all of it as the sockets permit; what arrived when it is complete or the time is over."""
        sent, got = 0, b""
        end = self.network.now + seconds * 1e9
        while len(got) < len(octets) and self.network.now < end:
            while sent < len(octets) and (taken := sender.send(one, octets[sent : sent + 100_000])) > 0:
                sent += taken
            self.run(0.02)
            while isinstance(read := receiver.receive(other), bytes) and read:
                got += read
        return got

    def buffers(self) -> int:
        """Octets of buffers in use at both ends."""
        return sum(Buddy(end.endpoints.buddy).used for end in (self.client, self.server))
