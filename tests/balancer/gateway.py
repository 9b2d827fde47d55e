"""A gateway without an engine: one worker with clients at port 0 and servers at port 1, on a clock that tests turn.

    gateway = Gateway()
    gateway.service("tcp", "203.0.113.1", 80, servers=["192.0.2.80"])
    verdict = gateway.put(frame)              # a frame from port 0 or 1; its verdict, already counted
    gateway.taken()                           # [(port, frame)] that were sent since

Every packet's verdict is counted as a turn does, and `close` holds the counts against the packets.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ipaddress import ip_address, ip_interface, ip_network
from types import TracebackType

from pronghorn.balancer import balancer_input, balancer_timers, flow_prefetch, flow_prepare
from pronghorn.balancer.configure import add_local_address, add_server, add_service, create_balancer
from pronghorn.balancer.show import next_conn
from pronghorn.balancer.tables import Balancer
from pronghorn.memory import Arena, Chunk, create_pool, pool_free_count
from pronghorn.net.configure import add_address, add_interface
from pronghorn.net.configure_routes import add_neighbour, add_route
from pronghorn.net.create import Limits, create_net
from pronghorn.state.packet import Packet
from pronghorn.state.packets import allocate, finish, release
from pronghorn.state.port import Port, Queue
from pronghorn.state.verdicts import CONTINUE, HELD, NO_LISTENER, QUEUED, TRANSMITTED
from pronghorn.state.worker import VERDICTS, Worker

PACKETS = 32
CLIENTS, SERVERS = 0, 1  # ports
OWN_MAC = (0x020000000A00, 0x020000000B00)
PEER_MAC = (0x020000000A01, 0x020000000B01)
SECOND = 1_000_000_000


def mac(number: int) -> str:
    return number.to_bytes(6, "big").hex(":")


def number_of(gateway: Gateway) -> int:
    """The number of the only connection."""
    return next_conn(gateway.balancer, 0)


class Gateway:
    """One worker; addresses of both families; neighbours that are known."""

    def __init__(
        self,
        conns: int = 64,
        workers: int = 1,
        index: int = 0,
        locals_: tuple[str, ...] = ("192.0.2.10", "2001:db8:2::10"),
        maglev_size: int = 251,
    ) -> None:
        self.arena = Arena.create(huge="never")
        self.worker: Worker = self.arena.table("worker", Worker, 1)[0]
        worker = self.worker
        worker.workers, worker.index, worker.now, worker.random, worker.secret = workers, index, 5 * SECOND, 88172645, 7
        worker.port_count = 2
        worker.ports, worker.queues = self.arena.table("ports", Port, 2), self.arena.table("queues", Queue, 2)
        self.pool = create_pool(self.arena, "pool", Chunk, PACKETS, 1, checks="marks")
        worker.pool, worker.small_packets = self.pool.caches[0].address, PACKETS
        worker.packets = self.arena.table("packets", Packet, PACKETS)
        for number in range(PACKETS):
            packet = worker.packets[number]
            packet.chunk, packet.index, packet.room = self.pool.base + number * Chunk.SIZE, number, Chunk.SIZE
        self.network()
        self.balancer: Balancer = create_balancer(
            self.arena, worker, conns, services=8, servers=32, maglev_size=maglev_size
        )
        for text in locals_:
            add_local_address(self.balancer, ip_address(text))
        self.limbo: list[int] = []

    def network(self) -> None:
        worker = self.worker
        limits = Limits(interfaces=4, addresses=16, routes=64, neighbours=16, waiting=4, paths=64, destinations=64)
        create_net(self.arena, worker, limits)
        near = (("198.51.100.1/24", "2001:db8:1::1/64"), ("192.0.2.1/24", "2001:db8:2::1/64"))
        for port in (CLIENTS, SERVERS):
            device, queue = worker.ports[port], worker.queues[port]
            device.index, device.up, device.mtu, device.mac = port, 1, 1500, OWN_MAC[port]
            queue.driver, queue.port = 1, port
            add_interface(worker, port)
            for text in near[port]:
                add_address(worker, port, ip_interface(text))
        for router, network in (("198.51.100.2", "0.0.0.0/0"), ("2001:db8:1::2", "::/0")):
            add_neighbour(worker, CLIENTS, ip_address(router), PEER_MAC[CLIENTS])
            add_route(worker, ip_network(network), CLIENTS, ip_address(router))
        for host in (80, 81, 82):
            for network in ("192.0.2.", "2001:db8:2::"):
                add_neighbour(worker, SERVERS, ip_address(f"{network}{host}"), PEER_MAC[SERVERS])

    def service(
        self,
        protocol: str,
        address: str,
        port: int,
        servers: tuple[str, ...],
        scheduler: str = "rr",
        to: int = 8080,
        method: str = "full-nat",
    ) -> int:
        """A service with servers of weight 1 at port `to`."""
        number = add_service(self.balancer, protocol, ip_address(address), port, scheduler)
        for server in servers:
            add_server(self.balancer, number, ip_address(server), to, method=method)
        return number

    def put(
        self,
        frame: bytes,
        port: int = CLIENTS,
        flags: int = 0,
        hash: int | None = None,
        segments: int = 0,
        headroom: int | None = None,
        upper: tuple[int, int] | None = None,
        enter: Callable[[Worker, Packet], int] = balancer_input,
    ) -> int:
        """Receive a frame, parsed; `hash` stands for its own, `segments` are octets of each segment's payload, `upper`
        the protocol of layer 4 and where it begins; `enter` takes it. Returns its verdict; CONTINUE counts as
        no_listener."""
        worker = self.worker
        packet = allocate(worker)
        assert packet.address, "the pool is empty"
        worker.received += 1
        packet.gso_size = segments
        if headroom is not None:
            packet.data = packet.chunk + headroom
        ctypes.memmove(packet.data, frame, len(frame))
        packet.length, packet.port, packet.flags = len(frame), port, flags
        packet.network = packet.data + 14
        version = frame[14] >> 4
        packet.family = version
        packet.protocol = frame[23 if version == 4 else 20]
        packet.transport = packet.network + ((frame[14] & 15) * 4 if version == 4 else 40)
        if upper is not None:
            packet.protocol, packet.transport = upper[0], packet.data + upper[1]
        if enter is balancer_input:
            flow_prepare(worker, packet)
            if hash is not None:
                packet.hash = hash
            flow_prefetch(worker, packet)
        verdict = enter(worker, packet)
        if verdict == CONTINUE:
            assert ctypes.string_at(packet.data, len(frame)) == frame, "changed, and not balanced"
            finish(worker, packet, NO_LISTENER)
        else:
            finish(worker, packet, verdict)
        return verdict

    def taken(self) -> list[tuple[int, bytes]]:
        """What was queued on the ports, which have sent it now."""
        frames = []
        for port in (CLIENTS, SERVERS):
            queue = self.worker.queues[port]
            for place in range(queue.waiting):
                packet = Packet(queue.burst[place])
                frames.append((port, ctypes.string_at(packet.data, packet.length)))
                self.worker.verdicts[TRANSMITTED] += 1
                release(self.worker, packet)
            queue.waiting = 0
        return frames

    def forward(
        self, frame: bytes, port: int = CLIENTS, flags: int = 0, hash: int | None = None, headroom: int | None = None
    ) -> bytes:
        """Put a frame that is to be forwarded to the other side at once; returns what came out."""
        assert self.put(frame, port, flags, hash, headroom=headroom) == QUEUED
        [(out, result)] = self.taken()
        assert out == 1 - port
        return result

    def wait(self, seconds: float) -> None:
        """Let time pass, in steps as a worker's turns would be."""
        end = self.worker.now + round(seconds * SECOND)
        while self.worker.now < end:
            self.worker.now = min(end, self.worker.now + SECOND // 2)
            balancer_timers(self.worker)

    def counted(self) -> dict[int, int]:
        return {number: self.worker.verdicts[number] for number in range(VERDICTS) if self.worker.verdicts[number]}

    def check(self) -> None:
        """Every packet has ended once, and nothing leaks."""
        self.taken()
        worker = self.worker
        assert worker.received + worker.originated == sum(self.counted().values()) + worker.held
        assert pool_free_count(self.pool) + worker.held == PACKETS
        assert not {QUEUED, HELD} & self.counted().keys()

    def __enter__(self) -> Gateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.check()
        self.arena.close()
