"""An engine for C programs: one worker and everything it needs in one private mapping, laid out by compiled code.

    configuration.seed = 1                                # the rest 0: what is usual
    worker = engine_create(configuration)
    engine_address4(worker, 0, address, 24)               # network.py
    engine_inject(worker, 0, frame, octets, when)         # harness.py: frames in and out, time, turns
    engine_destroy(worker)

Its ports are harness ends of wires (ports/wire.py): frames go in and come out by calls. It reads no clock, starts no
thread, opens no file and asks the kernel for memory alone, and for randomness when no seed is given. So the same calls
with the same seed give the same octets. Memory is reserved, and comes as it is touched.

The mapping begins with an Embedded and the Worker right behind it; a worker's address is the engine's name.
"""

from __future__ import annotations

from pronghorn.compiled import (
    View,
    array_at,
    constants,
    entry,
    external,
    hot,
    i32,
    i64,
    leaf,
    load32,
    store32,
    u32,
    u64,
)
from pronghorn.compiled.hashing import mix
from pronghorn.engine.layout import lay_out_packets, worker_open, worker_share
from pronghorn.engine.loop import Loop
from pronghorn.engine.transports import transports_lay
from pronghorn.memory.layout import Layout, lay
from pronghorn.memory.mpsc_ring import mpsc_octets
from pronghorn.memory.pool import Chunk, LargeChunk, Pool, pool_lay
from pronghorn.net.change import interface_add
from pronghorn.net.create import NetLimits, net_lay
from pronghorn.net.state import DIRECT, FORWARDING
from pronghorn.ports.wire_lay import wire_octets, wire_open, wire_side
from pronghorn.ports.wire_store import WireLane
from pronghorn.state.dispatch import Outbox
from pronghorn.state.packet import Packet
from pronghorn.state.port import CHECKSUM_RX, CHECKSUM_TX, INPUT, SEGMENTATION, WIRE, Port, Queue
from pronghorn.state.worker import Worker

# EngineConfiguration.flags
RAW_IP = 1  # ports carry IP packets, without Ethernet: nobody is asked for hardware addresses
FORWARD = 2  # packets for other hosts are sent on

# EngineConfiguration.error
NO_MEMORY = 1  # the kernel gives no address space
NO_RANDOMNESS = 2  # getrandom(2) failed; give a seed
BAD_VALUE = 3  # `wrong` is the offset of the field that is out of range

constants("Flags of a configuration.", "ENGINE", RAW_IP=RAW_IP, FORWARD=FORWARD)
constants("Why there is no engine.", "ENGINE", NO_MEMORY=NO_MEMORY, NO_RANDOMNESS=NO_RANDOMNESS, BAD_VALUE=BAD_VALUE)
constants(
    "What a port takes from the engine: frames with unfinished checksums, and unsegmented ones.",
    "",
    CHECKSUM_TX=CHECKSUM_TX,
    CHECKSUM_RX=CHECKSUM_RX,
    SEGMENTATION=SEGMENTATION,
)

_OFFLOADS = CHECKSUM_TX | CHECKSUM_RX | SEGMENTATION
_MAC = 0x02_00_00_00_00_00
_MAC_MASK = 0xFF_FF_FF_00  # of a drawn address; the last octet is the port's number

_INBOX = 64
_RESERVE = 1 << 35  # octets of address space that are asked for first; what is not used goes back
_LEAST = 1 << 24
_PROT = 3  # PROT_READ | PROT_WRITE
_MAP = 0x4022  # MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
_MADV_NOHUGEPAGE = (
    15  # touching 4 KiB costs a microsecond, touching 2 MiB up to a millisecond (docs/adr/0003-memory.md)
)
_PAGE = 4096

mmap = external("mmap", (u64, u64, i32, i32, i32, i64), i64)
munmap = external("munmap", (u64, u64), i32)
madvise = external("madvise", (u64, u64, i32), i32)
getrandom = external("getrandom", (u64, u64, u32), i64)


class EngineConfiguration(View, align=8):
    """What an engine is to be like. All zero is good: engine_create writes what it chose into fields that are 0."""

    packets: u32  # buffers of 2 KB; usually 1024
    large_packets: u32  # buffers of 64 KB; usually 32
    ports: u32  # harness ports, each with an interface of the same number; usually 1, at most 64
    mtu: u32  # octets of layer 3; usually 1500, from 1280 to 65535
    frames: u32  # frames that may be on their way in each direction of a port; usually 1024
    offloads: u32  # of the ports: PRONGHORN_CHECKSUM_TX and the others; usually none
    flags: u32  # PRONGHORN_ENGINE_RAW_IP and the others
    error: u32  # written by engine_create: 0, or why there is no engine
    wrong: u32  # written by engine_create: offset of the field that is out of range
    sockets: u32  # of all kinds; usually 1024
    connections: u32  # of TCP; usually 1024
    datagrams: u32  # sockets of UDP and ICMP echo; usually 1024
    buffers: u32  # KiB that may wait to be sent, acknowledged or read, all together; usually 65536
    unused: u32
    seed: u64  # of all randomness; 0: drawn from the kernel
    start: u64  # first reading of the clock, ns
    mac: u64  # hardware address of port 0, 48 bits; the other ports count up. 0: drawn from the seed
    net: NetLimits


class Embedded(View, align=64):
    """What stands before the worker: who gives the memory back, and how the ports are."""

    octets: u64  # of the mapping
    scratch: u64  # address of room for one frame
    scratch_octets: u64
    flags: u32  # of EngineConfiguration
    unused: u32
    attached: u64  # address of the Attached (attached.py); 0: the ports are harness ends
    layout: Layout  # while the engine is being made


@leaf
def embedded_of(worker: Worker) -> Embedded:
    """What stands before the worker that engine_create returned."""
    return Embedded(worker.address - Embedded.SIZE)


@entry
def engine_create(configuration: EngineConfiguration) -> Worker:
    """Make an engine; NULL, and `error` in the configuration, when it cannot be made.

    It has the ports of the configuration, with an IPv6 link-local address each and no other. What the functions below
    call a worker is the whole engine. Nothing is shared between engines: each may be used by a thread of its own.
    """
    own = embedded_begin(configuration)
    if own.address == 0:
        return Worker(0)
    worker = lay_worker(own, configuration)
    if own.layout.full == 0:
        _lay_ports(own, worker, configuration)
        lay_rooms(own, worker, configuration)
    return embedded_end(own, worker, configuration)


@hot
def embedded_begin(configuration: EngineConfiguration) -> Embedded:
    """Memory to lay an engine out in; address 0, and `error` in the configuration, when there is none."""
    if not _settle(configuration):
        return Embedded(0)
    if configuration.seed == 0 and getrandom(configuration.address + _SEED, 8, 0) != 8:
        configuration.error = NO_RANDOMNESS
        return Embedded(0)
    octets = _RESERVE
    start = mmap(0, octets, _PROT, _MAP, -1, 0)
    while start == -1 and octets > _LEAST:
        octets >>= 1
        start = mmap(0, octets, _PROT, _MAP, -1, 0)
    if start == -1:
        configuration.error = NO_MEMORY
        return Embedded(0)
    madvise(start, octets, _MADV_NOHUGEPAGE)
    own = Embedded(start)
    own.octets = octets
    own.layout.next, own.layout.end = start + Embedded.SIZE, start + octets
    return own


@hot
def embedded_end(own: Embedded, worker: Worker, configuration: EngineConfiguration) -> Worker:
    """Everything is laid: give back what is left. The worker; address 0, and nothing is left, when it did not fit."""
    start, octets = own.address, own.octets
    if own.layout.full != 0:
        munmap(start, octets)
        configuration.error = NO_MEMORY
        return Worker(0)
    own.octets = (own.layout.next - start + _PAGE - 1) & -_PAGE
    if own.octets < octets:
        munmap(start + own.octets, octets - own.octets)
    return worker


_SEED = EngineConfiguration.offset("seed")


@entry
def engine_destroy(worker: Worker) -> None:
    """Give everything back. Nothing that belongs to the engine may be used afterwards."""
    own = embedded_of(worker)
    munmap(own.address, own.octets)


# --- the configuration --------------------------------------------------------------------------------------------

_PACKETS, _LARGE, _PORTS, _MTU, _FRAMES, _OFFLOAD, _FLAGS = map(
    EngineConfiguration.offset, ("packets", "large_packets", "ports", "mtu", "frames", "offloads", "flags")
)
_SOCKETS, _CONNECTIONS, _DATAGRAMS, _BUFFERS = map(
    EngineConfiguration.offset, ("sockets", "connections", "datagrams", "buffers")
)
_NET = EngineConfiguration.offset("net")
_ADDRESSES, _ROUTES, _NEIGHBOURS, _FRAGMENTS, _WAITING, _PATHS, _DESTINATIONS = (
    _NET + NetLimits.offset(name)
    for name in ("addresses", "routes", "neighbours", "fragments", "waiting", "paths", "destinations")
)


@hot
def _settle(configuration: EngineConfiguration) -> bool:
    """Write what is usual into fields that are 0, and look at the others. False, and why, when one is out of range."""
    configuration.error, configuration.wrong = 0, 0
    _choose(configuration, _PACKETS, 1024, 64, 1 << 24)
    _choose(configuration, _LARGE, 32, 1, 1 << 20)
    _choose(configuration, _PORTS, 1, 1, 64)
    _choose(configuration, _MTU, 1500, 1280, 65535)
    _choose(configuration, _FRAMES, 1024, 1, 1 << 20)
    _choose(configuration, _OFFLOAD, 0, 0, _OFFLOADS)
    _choose(configuration, _FLAGS, 0, 0, RAW_IP | FORWARD)
    _choose(configuration, _SOCKETS, 1024, 1, 1 << 24)
    _choose(configuration, _CONNECTIONS, 1024, 1, 1 << 24)
    _choose(configuration, _DATAGRAMS, 1024, 1, 1 << 24)
    _choose(configuration, _BUFFERS, 65536, 64, 1 << 26)
    _choose(configuration, _ADDRESSES, 256, 1, 1 << 20)
    _choose(configuration, _ROUTES, 4096, 1, 1 << 24)
    _choose(configuration, _NEIGHBOURS, 4096, 1, 1 << 24)
    _choose(configuration, _FRAGMENTS, 128, 1, 1 << 20)
    _choose(configuration, _WAITING, 256, 1, 1 << 20)
    _choose(configuration, _PATHS, 1024, 4, 1 << 20)
    _choose(configuration, _DESTINATIONS, 1024, 4, 1 << 20)
    _check_power(configuration, _PATHS)
    _check_power(configuration, _DESTINATIONS)
    return configuration.error == 0


@leaf
def _choose(configuration: EngineConfiguration, field: int, usual: int, least: int, most: int) -> None:
    """The u32 at offset `field`: `usual` when it is 0; noted as wrong when it is out of range."""
    value = load32(configuration.address + field)
    if value == 0:
        store32(configuration.address + field, usual)
    elif value < least or value > most:
        configuration.error, configuration.wrong = BAD_VALUE, field


@leaf
def _check_power(configuration: EngineConfiguration, field: int) -> None:
    """Note the u32 at offset `field` as wrong when it is no power of two."""
    value = load32(configuration.address + field)
    if value & value - 1 != 0:
        configuration.error, configuration.wrong = BAD_VALUE, field


# --- laying out ---------------------------------------------------------------------------------------------------


@hot
def lay_worker(own: Embedded, configuration: EngineConfiguration) -> Worker:
    """The worker and its packets, in own.layout; of no use when that is full then."""
    layout, seed = own.layout, configuration.seed
    worker = Worker(lay(layout, Worker.SIZE, Worker.ALIGN))
    loop = Loop(lay(layout, Loop.SIZE, Loop.ALIGN))
    boxes = lay(layout, Outbox.SIZE, Outbox.ALIGN)
    ring = lay(layout, mpsc_octets(_INBOX), 64)
    small, large = configuration.packets, configuration.large_packets
    packets = array_at(Packet, lay(layout, (small + large) * Packet.SIZE, Packet.ALIGN))
    pool = Pool(pool_lay(layout, Chunk.SIZE, small, 1))
    large_pool = pool_lay(layout, LargeChunk.SIZE, large, 1)
    count = configuration.ports
    ports, queues = lay(layout, count * Port.SIZE, Port.ALIGN), lay(layout, count * Queue.SIZE, Queue.ALIGN)
    if layout.full != 0:
        return worker
    worker_open(worker, loop, boxes, 0, 1, ring, _INBOX)
    worker_share(worker, packets, pool, large_pool, 0)
    lay_out_packets(packets, 0, pool)
    lay_out_packets(packets, small, Pool(large_pool))
    worker.ports, worker.queues = array_at(Port, ports), array_at(Queue, queues)
    worker.secret, worker.random = mix(seed, 1, seed), mix(seed, 2, seed) | 1
    worker.now = worker.due = configuration.start
    own.flags = configuration.flags
    if configuration.mac == 0:
        configuration.mac = _MAC | mix(seed, 3, seed) & _MAC_MASK
    return worker


@hot
def _lay_ports(own: Embedded, worker: Worker, configuration: EngineConfiguration) -> None:
    """A harness end of a wire for each port."""
    layout, count, mtu = own.layout, configuration.ports, configuration.mtu
    whole = configuration.offloads & SEGMENTATION
    own.scratch_octets = 1 << 17
    own.scratch = lay(layout, own.scratch_octets, 64)
    for index in range(count):
        wire = lay(layout, wire_octets(mtu, configuration.frames, whole), _PAGE)
        if layout.full != 0:
            return
        wire_open(wire, mtu, configuration.frames, whole)
        for side in range(2):  # for programs that give a direction loss or jitter
            WireLane(wire_side(wire, side).outbound).random = mix(configuration.seed, 4 + side, index) | 1
        end = wire_side(wire, 0)
        end.consent = configuration.offloads
        port, queue = worker.ports[index], worker.queues[index]
        port.kind, port.role, port.index, port.interface, port.queues, port.up = WIRE, INPUT, index, index, 1, 1
        port.mtu, port.mac, port.offloads = mtu, configuration.mac + index, configuration.offloads
        queue.driver, queue.port, queue.fd = end.address, index, -1
    worker.port_count = count


@hot
def lay_rooms(own: Embedded, worker: Worker, configuration: EngineConfiguration) -> None:
    """The state of the rooms above the ports. A room's state is created here and nowhere else.

    A room has a function `room_lay(layout, worker, ...)` that lays its tables out, sets its root in the worker, and
    returns 0 when there is no room; and its limits are fields of EngineConfiguration, with what is usual in `_settle`.
    """
    layout = own.layout
    if layout.full != 0 or net_lay(layout, worker, configuration.ports, configuration.net) == 0:
        return
    sockets, datagrams, connections = configuration.sockets, configuration.datagrams, configuration.connections
    secret = mix(configuration.seed, 6, configuration.seed)
    octets = configuration.buffers << 10
    if transports_lay(layout, worker, sockets, octets, datagrams, 0, connections, secret) == 0:
        return
    flags = (DIRECT if own.flags & RAW_IP != 0 else 0) | (FORWARDING if own.flags & FORWARD != 0 else 0)
    for index in range(configuration.ports):
        interface_add(worker, index, flags)
