"""An engine whose ports are driven by hand: send frames out of a port, take what it receives, check the accounts."""

from __future__ import annotations

import ctypes

from pronghorn.engine.engine import Engine
from pronghorn.ports.catalogue import driver_for
from pronghorn.ports.driver import Driver
from pronghorn.ports.drivers import receive
from pronghorn.ports.flush import flush_queue
from pronghorn.state.packet import Packet
from pronghorn.state.packets import allocate, allocate_large, finish, release
from pronghorn.state.port import BURST, Queue
from pronghorn.state.transmit import transmit
from pronghorn.state.verdicts import VERDICTS
from pronghorn.state.worker import Worker

START = 1_000_000_000_000


class Fabric:
    """Ports 0, 1, ... by their names; workers take their turns when they are asked to."""

    def __init__(self, *devices: str, workers: int = 1, packets: int = 8192, large: int = 0) -> None:
        self.engine = Engine(workers, packets, large)
        self.all = self.engine.free_packets()
        for number in range(workers):
            self.worker(number).now = START
        for device in devices:
            self.open(device)

    def open(self, device: str) -> int:
        return self.engine.add_port(driver_for(device))

    def driver(self, port: int) -> Driver:
        return self.engine.drivers[port]

    def worker(self, number: int = 0) -> Worker:
        worker: Worker = self.engine.workers[number]
        return worker

    def queue(self, port: int, worker: int = 0) -> Queue:
        return self.worker(worker).queues[port]

    def pass_time(self, seconds: float) -> None:
        for number in range(self.engine.worker_count):
            self.worker(number).now += int(seconds * 1e9)

    def packet(self, frame: bytes, flags: int = 0, gso: int = 0, worker: int = 0) -> Packet:
        """A packet that this worker received from somewhere else."""
        one = self.worker(worker)
        packet = allocate(one) if len(frame) <= 2048 - 256 else allocate_large(one)
        assert packet.address
        ctypes.memmove(packet.data, frame, len(frame))
        packet.length, packet.flags, packet.gso_size = len(frame), flags, gso
        one.received += 1
        return packet

    def send(self, port: int, *frames: bytes, worker: int = 0, flags: int = 0, gso: int = 0) -> None:
        """Out of the port, in one burst."""
        one = self.worker(worker)
        for frame in frames:
            packet = self.packet(frame, flags, gso, worker)
            finish(one, packet, transmit(one, packet, port))
        self.flush(port, worker)

    def flush(self, port: int, worker: int = 0) -> None:
        flush_queue(self.worker(worker), self.engine.ports[port], self.queue(port, worker))

    def packets(self, port: int, worker: int = 0) -> list[Packet]:
        """What a burst has; counted as received."""
        one = self.worker(worker)
        count = receive(one, self.engine.ports[port], self.queue(port, worker), BURST)
        one.received += count
        return [Packet(one.burst[place]) for place in range(count)]

    def take(self, port: int, worker: int = 0) -> list[bytes]:
        """All that waits; ended uncounted."""
        frames = []
        while packets := self.packets(port, worker):
            for packet in packets:
                assert packet.port == port
                frames.append(ctypes.string_at(packet.data, packet.length))
                self.drop(packet, worker)
        return frames

    def drop(self, packet: Packet, worker: int = 0) -> None:
        self.worker(worker).received -= 1
        release(self.worker(worker), packet)

    def count(self, name: str) -> int:
        number = next(verdict.number for verdict in VERDICTS.values() if verdict.name == name)
        return sum(self.worker(n).verdicts[number] for n in range(self.engine.worker_count))

    def close(self) -> None:
        """Verdicts add up, and every packet is back once the ports are closed."""
        for number in range(self.engine.worker_count):
            worker = self.worker(number)
            assert worker.received == sum(worker.verdicts[verdict] for verdict in range(256)), number
        for index in list(self.engine.drivers):
            self.engine.remove_port(index)
        free, everything = self.engine.free_packets(), self.all
        self.engine.close()
        assert free == everything

    def __enter__(self) -> Fabric:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.engine.close()
