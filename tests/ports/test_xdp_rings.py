"""The AF_XDP data plane against a kernel played by the test: order, wrap-around, and a kernel that lies."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from pronghorn.compiled import Array, bounds, load64, store64, u8
from pronghorn.ports.driver import fresh_table
from pronghorn.ports.xdp import xdp_receive, xdp_reclaim, xdp_transmit
from pronghorn.ports.xdp_rings import CHUNK, SHARED, Descriptor, Word, XdpEnd, XdpRing, XdpSocket
from pronghorn.state.packet import Packet
from pronghorn.state.packets import allocate, allocate_large, release
from pronghorn.state.port import BURST
from tests.ports.support import CHUNKS, Bench

SIZE = 64
START = 2**32 - 20  # the indexes wrap soon


class Ring:
    """The kernel's side of one ring."""

    def __init__(self, ours: XdpRing, entry: int) -> None:
        self.memory = (ctypes.c_uint8 * (256 + SIZE * entry))()
        self.base, self.entry = ctypes.addressof(self.memory), entry
        bounds.register(self.base, len(self.memory), 0, "ring")
        ours.producer, ours.consumer, ours.flags, ours.entries = (self.base + place for place in (0, 64, 128, 256))
        ours.size, ours.mine = SIZE, START
        self.producer, self.consumer = Word(self.base), Word(self.base + 64)
        self.producer.value = self.consumer.value = START

    def slot(self, index: int) -> int:
        return self.base + 256 + (index & SIZE - 1) * self.entry


class Kernel:
    """A socket on one queue; `deliver` and `complete` are what a device would do."""

    def __init__(self, one: Bench) -> None:
        table: Array[XdpSocket] = fresh_table(one.memory.arena, "sockets", XdpSocket, 1)
        self.socket = socket = table[0]
        self.receive, self.transmit = Ring(socket.receive, 16), Ring(socket.transmit, 16)
        self.fill, self.completion = Ring(socket.fill, 8), Ring(socket.completion, 8)
        socket.owned = fresh_table(one.memory.arena, "owned", u8, CHUNKS)
        socket.base, socket.chunks, socket.target, socket.fd = one.small.base, CHUNKS, SIZE, -1
        end: Array[XdpEnd] = fresh_table(one.memory.arena, "ends", XdpEnd, 1)
        end[0].sockets, end[0].step, end[0].count = table, 1, 1
        one.workers[0].queues[0].driver = end[0].address
        self.base = one.small.base

    def filled(self) -> int:
        """Take a chunk off the fill ring: octets from the start of the memory."""
        index = self.fill.consumer.value
        assert index != self.fill.producer.value
        self.fill.consumer.value = index + 1
        return load64(self.fill.slot(index))

    def post(self, start: int, length: int, options: int = 0) -> None:
        """Put a descriptor on the receive ring, true or not."""
        index = self.receive.producer.value
        descriptor = Descriptor(self.receive.slot(index))
        descriptor.start, descriptor.length, descriptor.options = start, length, options
        self.receive.producer.value = index + 1

    def deliver(self, octets: bytes) -> None:
        start = self.filled() + 256
        ctypes.memmove(self.base + start, octets, len(octets))
        self.post(start, len(octets))

    def sent(self) -> list[tuple[int, bytes]]:
        """Take everything off the transmit ring: where, and what."""
        found = []
        while (index := self.transmit.consumer.value) != self.transmit.producer.value:
            descriptor = Descriptor(self.transmit.slot(index))
            octets = ctypes.string_at(self.base + descriptor.start, descriptor.length)
            found.append((descriptor.start, octets))
            self.transmit.consumer.value = index + 1
        return found

    def complete(self, start: int) -> None:
        index = self.completion.producer.value
        store64(self.completion.slot(index), start)
        self.completion.producer.value = index + 1


@pytest.fixture
def one() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.arena.close()


@pytest.fixture
def kernel(one: Bench) -> Kernel:
    return Kernel(one)


def receive(one: Bench) -> list[Packet]:
    worker = one.workers[0]
    count = xdp_receive(worker, one.ports[0], worker.queues[0], BURST)
    return [Packet(worker.burst[place]) for place in range(count)]


def transmit(one: Bench, packets: list[Packet]) -> int:
    worker = one.workers[0]
    for place, packet in enumerate(packets):
        worker.burst[place] = packet.address
    return xdp_transmit(worker, one.ports[0], worker.queues[0], worker.burst, len(packets))


def made(one: Bench, octets: bytes, large: bool = False) -> Packet:
    packet = (allocate_large if large else allocate)(one.workers[0])
    ctypes.memmove(packet.data, octets, len(octets))
    packet.length = len(octets)
    return packet


def test_frames_arrive_in_order_across_the_wrap(one: Bench, kernel: Kernel) -> None:
    assert receive(one) == []
    for turn in range(10):
        frames = [bytes([turn, number]) * 30 for number in range(17)]
        for octets in frames:
            kernel.deliver(octets)
        packets = receive(one)
        assert [ctypes.string_at(packet.data, packet.length) for packet in packets] == frames
        assert [packet.data for packet in packets] == [packet.chunk + 256 for packet in packets]
        for packet in packets:
            release(one.workers[0], packet)
    queue = one.workers[0].queues[0]
    assert (queue.rx_packets, queue.rx_octets, queue.rx_errors) == (170, 170 * 60, 0)
    assert kernel.receive.consumer.value == (START + 170) % 2**32
    xdp_reclaim(one.memory.control, kernel.socket)
    assert one.free == one.full


def test_lies_about_frames_are_not_believed(one: Bench, kernel: Kernel) -> None:
    receive(one)
    free = one.free
    honest = kernel.filled()
    for start in (CHUNKS * CHUNK, -CHUNK, 2**62, 2**63 - 1, -1, (honest + 100 * CHUNK) % (CHUNKS * CHUNK)):
        kernel.post(start, 60)
    assert receive(one) == []
    assert kernel.socket.wrong == 6
    kernel.post(honest + 256, 60)
    kernel.post(honest + 256, 60)  # the same chunk twice
    packets = receive(one)
    assert len(packets) == 1
    assert kernel.socket.wrong == 7
    release(one.workers[0], packets[0])
    kernel.post(kernel.filled() + 256, CHUNK - 255)  # beyond the chunk's end
    kernel.post(kernel.filled() + 256, 60, options=1)  # to be continued
    assert receive(one) == []
    assert one.workers[0].queues[0].rx_errors == 2
    kernel.receive.producer.value = kernel.receive.consumer.value + SIZE + 1  # more than there is room for
    assert receive(one) == []
    assert abs(one.free[0] - free[0]) <= 16  # what the fill ring was not given back yet
    xdp_reclaim(one.memory.control, kernel.socket)
    assert one.free == one.full


def test_frames_leave_and_chunks_come_back(one: Bench, kernel: Kernel) -> None:
    receive(one)
    free = one.free
    for turn in range(10):
        frames = [bytes([turn, number]) * 30 for number in range(20)]
        assert transmit(one, [made(one, octets) for octets in frames]) == 20
        sent = kernel.sent()
        assert [octets for _, octets in sent] == frames
        assert one.free[0] == free[0] - 20
        for start, _ in reversed(sent):
            kernel.complete(start)
        receive(one)
        assert one.free == free
    queue = one.workers[0].queues[0]
    assert (queue.tx_packets, queue.tx_octets, queue.tx_full) == (200, 200 * 60, 0)


def test_a_full_ring_takes_what_fits(one: Bench, kernel: Kernel) -> None:
    receive(one)
    packets = [made(one, bytes([number]) * 60) for number in range(SIZE)]
    assert transmit(one, packets[:40]) == 40
    assert transmit(one, packets[40:]) == 24
    more = made(one, bytes(60))
    assert transmit(one, [more]) == 0
    release(one.workers[0], more)
    assert len(kernel.sent()) == SIZE
    assert xdp_reclaim(one.memory.control, kernel.socket) == SIZE + kernel.socket.given
    assert one.free == one.full


def test_lies_about_completions_are_not_believed(one: Bench, kernel: Kernel) -> None:
    receive(one)
    transmit(one, [made(one, bytes(60))])
    ((start, _),) = kernel.sent()
    for lie in (CHUNKS * CHUNK, -1, 2**62, (start + 100 * CHUNK) % (CHUNKS * CHUNK)):
        kernel.complete(lie)
    kernel.complete(start)
    kernel.complete(start)
    free = one.free
    receive(one)
    assert kernel.socket.wrong == 5
    assert one.free[0] == free[0] + 1
    kernel.completion.producer.value = kernel.completion.consumer.value + SIZE + 1
    receive(one)
    assert one.free[0] == free[0] + 1


def test_packets_that_do_not_fit_as_they_are(one: Bench, kernel: Kernel) -> None:
    """In a large chunk: copied. At the very start of its chunk: moved. Too long for any chunk: counted and freed."""
    receive(one)
    early = made(one, b"e" * 100)
    early.data = early.chunk
    ctypes.memmove(early.data, b"E" * 100, 100)
    packets = [made(one, b"l" * 1500, large=True), early, made(one, b"x" * 3000, large=True), made(one, b"n" * 60)]
    assert transmit(one, packets) == 4
    assert [octets for _, octets in kernel.sent()] == [b"l" * 1500, b"E" * 100, b"n" * 60]
    assert one.free[1] == one.full[1]
    assert one.workers[0].queues[0].tx_full == kernel.socket.unfit == 1
    xdp_reclaim(one.memory.control, kernel.socket)
    assert one.free == one.full


def test_an_empty_pool_stops_receiving_until_it_is_not(one: Bench, kernel: Kernel) -> None:
    hoard = []
    while (packet := allocate(one.workers[0])).address:
        hoard.append(packet)
    assert receive(one) == []
    assert kernel.socket.given == 0
    for packet in hoard[:20]:
        release(one.workers[0], packet)
    receive(one)
    assert kernel.socket.given == 20
    for packet in hoard[20:]:
        release(one.workers[0], packet)
    receive(one)
    assert kernel.socket.given == SIZE


def test_a_shared_socket_is_locked_while_somebody_transmits(one: Bench, kernel: Kernel) -> None:
    kernel.socket.flags |= SHARED
    receive(one)
    assert transmit(one, [made(one, bytes(60))]) == 1
    assert kernel.socket.lock == 0
    kernel.complete(kernel.sent()[0][0])
    kernel.socket.lock = 1
    free = one.free
    receive(one)
    assert one.free == free, "completions are left to who holds the lock"
    kernel.socket.lock = 0
    receive(one)
    assert one.free[0] == free[0] + 1
    assert kernel.socket.lock == 0
