"""An engine with datagram sockets, called as an application would; frames are made and judged by scapy.

    with UdpBench() as bench:
        number = bench.open(4, port=7)                             # a bound socket
        bench.hear(j.Ether(...) / j.IP(...) / j.UDP(...) / b"...")
        assert bench.receive(number) == (b"...", ("192.0.2.9", 40000))
        assert bench.send(number, b"...", ("192.0.2.9", 40000)) == 3

Calls return what the compiled functions return: a number, or minus an errno.
"""

from __future__ import annotations

import ctypes
from ipaddress import ip_address
from typing import Any

from pronghorn.compiled import View, array_at
from pronghorn.engine.transports import Limits, create_transports
from pronghorn.net.state import MAPPED
from pronghorn.state.endpoints import DATAGRAM, Address, Endpoints
from pronghorn.state.mib import COUNTERS
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED
from pronghorn.state.packets import allocate_large
from pronghorn.state.parts import Part
from pronghorn.state.worker import Worker
from pronghorn.udp.calls import (
    udp_bind,
    udp_close,
    udp_connect,
    udp_name,
    udp_open,
    udp_receive_parts,
    udp_send_parts,
)
from pronghorn.udp.endpoint import Endpoint, Udp, endpoint_of
from pronghorn.udp.options import udp_set_option
from tests.support.feed import EngineBench

Name = tuple[str, int]


def signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def unsigned(word: int) -> int:
    return word & 0xFFFF_FFFF_FFFF_FFFF


class Application(View, align=64, size=1 << 17):
    """Memory of an application: parts first, from 1024 on octets."""


class UdpBench(EngineBench):
    """See the module."""

    def __init__(self, workers: int = 1, sockets: int = 64, buffers: int = 64 << 20, **more: Any) -> None:
        super().__init__(workers, **more)
        arena = self.engine.arena
        for index in range(workers):
            create_transports(arena, self.engine.workers[index], Limits(sockets, sockets, 64, buffers))
        self.memory = array_at(Part, arena.table("application", Application, 1).address)
        self.addresses = arena.table("names", Address, 4)

    def worker(self, index: int = 0) -> Worker:
        worker: Worker = self.engine.workers[index]
        return worker

    def udp(self, index: int = 0) -> Udp:
        return Udp(Endpoints(self.worker(index).transports).udp)

    def endpoint(self, number: int, worker: int = 0) -> Endpoint:
        return endpoint_of(self.worker(worker), number)

    def address(self, name: str | None, port: int, interface: int = 0, place: int = 0) -> Address:
        """An Address in the arena; None: the family alone is unset."""
        made: Address = self.addresses[place]
        made.hi = made.lo = made.family = 0
        if name is not None:
            ip = ip_address(name)
            made.family = ip.version
            made.hi = 0 if ip.version == 4 else signed(int(ip) >> 64)
            made.lo = MAPPED | int(ip) if ip.version == 4 else signed(int(ip) & 0xFFFF_FFFF_FFFF_FFFF)
        made.port, made.interface = port, interface
        return made

    @staticmethod
    def text(address: Address) -> Name:
        if address.family == 4:
            return str(ip_address(address.lo & 0xFFFF_FFFF)), address.port
        return str(ip_address(unsigned(address.hi) << 64 | unsigned(address.lo))), address.port

    # --- calls --------------------------------------------------------------------------------------------------------

    def open(self, family: int = 4, port: int | None = None, host: str = "", worker: int = 0, options: int = 0) -> int:
        """A socket, bound to the port when one is given, with these Socket.options."""
        number = udp_open(self.worker(worker), family, DATAGRAM)
        assert number >= 0
        Endpoints(self.worker(worker).transports).sockets[number].options = options
        if port is not None:
            assert self.bind(number, host or ("0.0.0.0" if family == 4 else "::"), port, worker) == 0
        return number

    def bind(self, number: int, host: str, port: int, worker: int = 0, interface: int = 0) -> int:
        return udp_bind(self.worker(worker), number, self.address(host, port, interface))

    def connect(self, number: int, host: str | None, port: int = 0, worker: int = 0, interface: int = 0) -> int:
        return udp_connect(self.worker(worker), number, self.address(host, port, interface))

    def close_socket(self, number: int, worker: int = 0) -> int:
        return udp_close(self.worker(worker), number)

    def name(self, number: int, which: int = 0, worker: int = 0) -> Name | int:
        address = self.address("0.0.0.0", 0, place=1)
        done = udp_name(self.worker(worker), number, which, address)
        return self.text(address) if done == 0 else done

    def parts(self, sizes: list[int]) -> Any:
        """Parts of these sizes side by side behind them."""
        at = self.memory.address + 1024
        for place, size in enumerate(sizes):
            self.memory[place].base, self.memory[place].octets = at, size
            at += size
        return array_at(Part, self.memory.address)

    def send(
        self, number: int, octets: bytes, to: Name | None = None, flags: int = 0, worker: int = 0, **more: Any
    ) -> int:
        parts = self.parts(more.get("sizes") or [len(octets)])
        ctypes.memmove(self.memory.address + 1024, octets, len(octets))
        address = self.address(*to, more.get("interface", 0)).address if to else 0
        return udp_send_parts(self.worker(worker), number, parts, len(more.get("sizes") or [1]), flags, address)

    def receive(self, number: int, room: int = 65536, flags: int = 0, worker: int = 0) -> tuple[bytes, Name] | int:
        parts, address = self.parts([room]), self.address("0.0.0.0", 0, place=2)
        done = udp_receive_parts(self.worker(worker), number, parts, 1, flags, address.address)
        if done < 0:
            return done
        return ctypes.string_at(self.memory.address + 1024, min(done, room)), self.text(address)

    def events(self, number: int, worker: int = 0) -> int:
        return Endpoints(self.worker(worker).transports).sockets[number].events

    def counter(self, name: str, worker: int = 0) -> int:
        mib = Endpoints(self.worker(worker).transports).mib
        return mib[next(place for place, (_, known) in enumerate(COUNTERS) if known == name)]

    def option(self, number: int, level: int, option: int, value: int, worker: int = 0) -> int:
        """Set an option to the int at the address `value`."""
        return udp_set_option(self.worker(worker), number, level, option, value, 4)

    def put_train(self, frame: Any, size: int) -> None:
        """Let a frame of several datagrams of `size` octets come in, which a port has left together."""
        octets, packet = bytes(frame), allocate_large(self.hand)
        packet.gso_size = size
        self._give(packet, octets, 0, 0, UNSEGMENTED | CHECKSUM_PARTIAL)

    def check(self) -> None:
        """What was sent last has left, and the books are right."""
        self.turn()
        super().check()

    def __enter__(self) -> UdpBench:
        return self
