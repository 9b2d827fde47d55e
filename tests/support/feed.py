"""A whole engine whose ports tests write to and read from: null ports, frames put in through the workers' inboxes.

    with EngineBench(workers=2) as bench:
        verdicts = bench.hear(frame)              # one frame, one turn: {"transmitted": 1}
        bench.put(frame, port=1, worker=1)        # or many frames,
        bench.turn(0.001)                         # then a turn of every worker, a millisecond later
        frames = bench.sent(1)                    # what port 1 has transmitted since the last call
        bench.check()                             # verdicts add up; no packet was lost

A frame that is put in waits in the inbox as one that another worker dispatched would, without the mark that it was;
from `handle` on everything is what it is for a received frame. Null ports leave the octets of what they swallow in
place, so after a turn the frames are still to be read.

port 0: 192.0.2.1/24     2001:db8:1::1/64   clients; the default routes over .254 and ::fe, whose addresses are known
port 1: 198.51.100.1/24  2001:db8:2::1/64   servers .80 to .83, ::80 to ::83, known
"""

from __future__ import annotations

import ctypes
import time
from collections import Counter
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from pronghorn.balancer.configure import add_local_address, add_server, add_service, create_balancer
from pronghorn.balancer.tables import Balancer
from pronghorn.compiled import Array
from pronghorn.engine.engine import Engine
from pronghorn.engine.run import turn_at
from pronghorn.net.configure import add_address, add_interface
from pronghorn.net.configure_routes import add_neighbour, add_route
from pronghorn.net.create import Limits, create_net
from pronghorn.net.state import net_of
from pronghorn.ports.null import NullPort
from pronghorn.state.packet import Packet
from pronghorn.state.packets import allocate, allocate_large
from pronghorn.state.verdicts import VERDICTS
from pronghorn.state.worker import Worker
from tests.support.worker import SECOND, START

OWN = ("02:00:00:00:00:00", "02:00:00:00:00:01")
"""Hardware addresses of the null ports."""
ROUTER = "02:00:00:00:00:fe"
OWN4, OWN6 = ("192.0.2.1", "198.51.100.1"), ("2001:db8:1::1", "2001:db8:2::1")
SERVICE = {4: "203.0.113.1", 6: "2001:db8:3::1"}
LOCAL = {4: "198.51.100.10", 6: "2001:db8:2::10"}
CLIENT = {4: "100.64.0.77", 6: "2001:db8:9::77"}
SMALL = Limits(
    interfaces=4, addresses=16, routes=16, neighbours=64, waiting=16, paths=16, destinations=16, fragments=128
)
HELD_OVER = 255  # seconds after which nothing waits for anything


def server_mac(host: int) -> int:
    return 0x0200_0000_0000 | host


class EngineBench:
    """See the module. `hear` and `turn` are for an engine without threads."""

    def __init__(
        self,
        workers: int = 1,
        packets: int = 1024,
        large_packets: int = 0,
        limits: Limits = SMALL,
        conns: int = 64,
        forwarding: int = 0,
        queues: int = 0,
    ) -> None:
        self.engine = Engine(workers, packets, large_packets)
        self.now = START
        hands: Array[Worker] = self.engine.arena.table("hand", Worker, 1)
        self.hand = hands[0]  # takes packets from the control plane's own cache
        self.hand.packets, self.hand.small_packets = self.engine.packets, packets
        self.hand.pool = self.engine.pool.caches[workers].address
        if self.engine.large_pool is not None:
            self.hand.large_pool = self.engine.large_pool.caches[workers].address
        for index in range(workers):
            worker = self.engine.workers[index]
            worker.now = self.now
            create_net(self.engine.arena, worker, limits)
            create_balancer(self.engine.arena, worker, conns=conns, services=8, servers=32, maglev_size=251)
        for port in range(2):
            assert self.engine.add_port(NullPort()) == port
            if queues:
                self.engine.ports[port].queues = queues
        self.everywhere(lambda worker: self._network(worker, forwarding))
        self.free = self.engine.free_packets()
        self._read = [[0, 0] for _ in range(workers)]
        self._sent: list[list[bytes]] = [[], []]
        self.settle()

    def _network(self, worker: Worker, forwarding: int) -> None:
        for port in range(2):
            add_interface(worker, port, forwarding)
            add_address(worker, port, ip_interface(f"{OWN4[port]}/24"))
            add_address(worker, port, ip_interface(f"{OWN6[port]}/64"))
        for router, network in (("192.0.2.254", "0.0.0.0/0"), ("2001:db8:1::fe", "::/0")):
            add_neighbour(worker, 0, ip_address(router), int(ROUTER.replace(":", ""), 16))
            add_route(worker, ip_network(network), 0, ip_address(router))
        for host in (80, 81, 82, 83):
            for text in (f"198.51.100.{host}", f"2001:db8:2::{host}"):
                add_neighbour(worker, 1, ip_address(text), server_mac(host))

    def everywhere(self, change: Any) -> None:
        """Run change(worker) on every worker."""
        for index in range(self.engine.worker_count):
            self.engine.call(index, change)

    def service(self, protocol: str = "tcp", family: int = 4, port: int = 80, servers: tuple[int, ...] = (80,)) -> None:
        """Balance SERVICE[family]:port over servers 198.51.100.N, their port 8080, from LOCAL[family]."""

        def add(worker: Worker) -> None:
            balancer = Balancer(worker.balancer)
            if not balancer.local_counts[0 if family == 4 else 1]:
                add_local_address(balancer, ip_address(LOCAL[family]))
            number = add_service(balancer, protocol, ip_address(SERVICE[family]), port, "rr")
            prefix = "198.51.100." if family == 4 else "2001:db8:2::"
            for host in servers:
                add_server(balancer, number, ip_address(f"{prefix}{host}"), 8080)

        self.everywhere(add)

    # --- frames -------------------------------------------------------------------------------------------------------

    def put(self, frame: Any, port: int = 0, worker: int = 0, flags: int = 0) -> None:
        """Let a frame come in at the worker's next turn."""
        octets = bytes(frame)
        packet = allocate(self.hand)
        if packet.address and len(octets) > packet.room - 256:
            raise ValueError("use put_large")
        self._give(packet, octets, port, worker, flags)

    def put_large(self, frame: Any, port: int = 0, worker: int = 0, flags: int = 0) -> None:
        """The same in a 64 KB chunk."""
        self._give(allocate_large(self.hand), bytes(frame), port, worker, flags)

    def _give(self, packet: Packet, octets: bytes, port: int, worker: int, flags: int) -> None:
        assert packet.address, "the pool is empty"
        ctypes.memmove(packet.data, octets, len(octets))
        packet.length, packet.port, packet.flags = len(octets), port, flags
        with self.engine._lock:
            self.engine._send(worker, packet.index, time.monotonic() + 5)

    def hear(self, frame: Any, port: int = 0, worker: int = 0, flags: int = 0) -> dict[str, int]:
        """One frame and a turn of every worker; how many packets ended with which verdict, by name."""
        before = self.counts()
        self.put(frame, port, worker, flags)
        self.turn()
        return dict(self.counts() - before)

    def turn(self, seconds: float = 0.001) -> int:
        """A turn of every worker after so much time; returns the work done."""
        self.now += round(seconds * SECOND)
        work = 0
        for index in range(self.engine.worker_count):
            work += self.turn_of(index)
        return work

    def turn_of(self, index: int) -> int:
        """A turn of one worker now."""
        work = turn_at(self.engine.workers[index], self.now)
        for port in range(2):
            queue = self.engine.workers[index].queues[port]
            for place in range(queue.tx_packets - self._read[index][port]):
                packet = Packet(queue.burst[place])
                self._sent[port].append(ctypes.string_at(packet.data, packet.length))
            self._read[index][port] = queue.tx_packets
        return work

    def wait(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass in steps."""
        end = self.now + round(seconds * SECOND)
        while self.now < end:
            self.turn(min(step, (end - self.now) / SECOND))

    def settle(self) -> None:
        """Let announcements go out, and forget them."""
        while any(net_of(self.engine.workers[n]).announcing for n in range(self.engine.worker_count)):
            self.turn(3)
        self.sent(0)
        self.sent(1)

    def sent(self, port: int = 0) -> list[bytes]:
        """What the port has transmitted since the last call."""
        frames, self._sent[port] = self._sent[port], []
        return frames

    # --- accounts -----------------------------------------------------------------------------------------------------

    def counts(self) -> Counter[str]:
        """Packets that ended, by verdict, on all workers."""
        found: Counter[str] = Counter()
        for index in range(self.engine.worker_count):
            verdicts = self.engine.workers[index].verdicts
            found.update({v.name: verdicts[v.number] for v in VERDICTS.values() if verdicts[v.number]})
        return found

    def held(self) -> int:
        return sum(self.engine.workers[index].held for index in range(self.engine.worker_count))

    def check(self) -> None:
        """Every worker's verdicts add up, nothing waits on a burst, and every packet is free or held."""
        for index in range(self.engine.worker_count):
            worker = self.engine.workers[index]
            waiting = sum(worker.queues[port].waiting for port in range(worker.port_count))
            ended = sum(worker.verdicts[number] for number in range(256))
            assert waiting == 0
            assert worker.received + worker.originated == ended + worker.held + worker.dispatched
        assert self.free - self.engine.free_packets() == self.held()

    def drain(self) -> None:
        """Let everything time out; every packet is free again."""
        self.wait(HELD_OVER, 1 if self.held() else 60)
        self.check()
        assert self.held() == 0

    def __enter__(self) -> EngineBench:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.check()
        self.engine.close()
