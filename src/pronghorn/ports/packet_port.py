"""`packet:IF` set up: a packet socket per worker, and the kernel kept quiet.

Workers share the frames by flow (PACKET_FANOUT_HASH: both directions of a flow to the same worker). The sockets, and
with them the device's memberships, go when the process does.

A packet socket sees a copy; the kernel goes on with its own, and would answer for addresses that it has too. So
everything that arrives is dropped behind the sockets' hook, by a program of one instruction on the device's way in
(tcx, from Linux 6.6), held by a link that also goes with the process. `statistics()["kernel"]` says whether that
worked; where it did not, the device must have no addresses, and forwarding must be off.
"""

from __future__ import annotations

import ctypes
import mmap
import socket
import struct
from collections.abc import Mapping, Sequence

from pronghorn.compiled import Array, bounds
from pronghorn.ports import bpf
from pronghorn.ports.device import enlarge_buffers, index_of, join_groups, mac_of, mtu_of
from pronghorn.ports.driver import EngineMemory, PortError, describe, fresh_table
from pronghorn.ports.packet import SLOT, Message, PacketQueue, Piece
from pronghorn.state.port import CHECKSUM_RX, CHECKSUM_TX, PACKET, RSS, SEGMENTATION, TRANSMIT_BURST, Port, Queue

SLOTS = 2048
_SOL_PACKET = 263
_RX_RING, _STATISTICS, _COPY_THRESHOLD, _VERSION, _VIRTIO, _FANOUT, _IGNORE_OUTGOING = 5, 6, 7, 10, 15, 18, 23
_VERSION_2 = 1
_ALL_PROTOCOLS = 3  # ETH_P_ALL
_FANOUT_HASH, _FANOUT_UNIQUE = 0, 0x2000
_BLOCK = 1 << 16
_BUFFER = 32 << 20  # frames in flight to the device, and long frames that wait on the socket


class PacketPort:
    """An AF_PACKET port with a ring of `slots` frames per worker, a power of two."""

    kind = PACKET
    descriptors = 0

    def __init__(self, device: str, slots: int = SLOTS) -> None:
        if slots & (slots - 1) or not 64 <= slots <= 65536:
            raise PortError(f"{device}: {slots} slots: must be a power of two from 64 to 65536")
        self.device = device
        self.mtu = self.mac = self.offloads = 0
        self._slots = slots
        self._sockets: list[socket.socket] = []
        self._rings: list[mmap.mmap] = []
        self._silence: bpf.Object | None = None
        self._noise = ""
        self._counted = [0, 0]
        self._records: Array[PacketQueue] | None = None

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """A socket per worker on the device."""
        interface = index_of(self.device)
        self.mtu, self.mac = mtu_of(self.device), mac_of(self.device)
        prefix = f"port.{port.index}.packet"
        self._records = records = fresh_table(engine.arena, f"{prefix}.queues", PacketQueue, len(queues))
        messages = fresh_table(engine.arena, f"{prefix}.messages", Message, TRANSMIT_BURST * len(queues))
        pieces = fresh_table(engine.arena, f"{prefix}.pieces", Piece, TRANSMIT_BURST * len(queues))
        for number in range(TRANSMIT_BURST * len(queues)):
            messages[number].pieces, messages[number].count = pieces[number].address, 1
        try:
            for number, queue in enumerate(queues):
                record, first = records[number], TRANSMIT_BURST * number
                record.messages = Array(Message, messages[first].address)
                record.pieces, record.room = Array(Piece, pieces[first].address), TRANSMIT_BURST
                self._open_socket(record, large=engine.large is not None)
                queue.driver, queue.fd, queue.queue = record.address, record.fd, number
            join_groups(self._sockets[0], interface)
            self._start(interface)
        except BaseException:
            self.close()
            raise
        spread = RSS if len(queues) > 1 else 0
        self.offloads = CHECKSUM_TX | CHECKSUM_RX | spread | (SEGMENTATION if engine.large is not None else 0)
        describe(port, self, len(queues))

    def close(self) -> None:
        """Leave the device to the kernel."""
        if self._silence is not None:
            self._silence.close()
        for own in self._sockets:
            own.close()
        for ring in self._rings:
            bounds.unregister(ctypes.addressof(ctypes.c_char.from_buffer(ring)))
            ring.close()
        self._silence = None
        self._sockets, self._rings = [], []

    def statistics(self) -> Mapping[str, int | str]:
        """Frames that no slot was free for, long frames and those of them that were lost, what the kernel does."""
        for own in self._sockets:
            packets, dropped = struct.unpack("II", own.getsockopt(_SOL_PACKET, _STATISTICS, 8))  # reading clears
            self._counted = [self._counted[0] + packets, self._counted[1] + dropped]
        facts: dict[str, int | str] = {"seen": self._counted[0], "ring_full": self._counted[1]}
        if self._records is not None:
            records = [self._records[number] for number in range(len(self._sockets))]
            facts["long"], facts["long_lost"] = sum(r.large for r in records), sum(r.cut for r in records)
        facts["kernel"] = "quiet" if self._silence is not None else f"sees every frame too ({self._noise})"
        return facts

    def _open_socket(self, record: PacketQueue, large: bool) -> None:
        """A socket that receives nothing yet, and its ring."""
        try:
            own = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        except OSError as error:
            raise PortError(
                f"{self.device}: AF_PACKET is refused ({error.strerror}): needs root or CAP_NET_RAW"
            ) from error
        self._sockets.append(own)
        own.setsockopt(_SOL_PACKET, _VERSION, _VERSION_2)
        own.setsockopt(_SOL_PACKET, _VIRTIO, 1)
        own.setsockopt(_SOL_PACKET, _COPY_THRESHOLD, int(large))
        enlarge_buffers(own, _BUFFER)
        per_block = _BLOCK // SLOT
        blocks = -(-self._slots // per_block)
        own.setsockopt(_SOL_PACKET, _RX_RING, struct.pack("IIII", _BLOCK, blocks, SLOT, blocks * per_block))
        ring = mmap.mmap(own.fileno(), _BLOCK * blocks, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._rings.append(ring)
        record.ring = ctypes.addressof(ctypes.c_char.from_buffer(ring))
        record.slots, record.fd = blocks * per_block, own.fileno()
        bounds.register(record.ring, _BLOCK * blocks, 0, "packet ring")

    def _start(self, interface: int) -> None:
        """Silence the kernel, then listen: every socket in one group, which needs no name."""
        self._quiet(interface)
        group = 0
        for number, own in enumerate(self._sockets):
            try:
                own.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
            except OSError as error:
                raise PortError(f"{self.device}: the kernel is older than 4.20 ({error.strerror})") from error
            own.bind((self.device, _ALL_PROTOCOLS))
            if len(self._sockets) > 1:
                kind = _FANOUT_HASH | (_FANOUT_UNIQUE if number == 0 else 0)
                own.setsockopt(_SOL_PACKET, _FANOUT, struct.pack("HH", group, kind))
                if number == 0:
                    group = own.getsockopt(_SOL_PACKET, _FANOUT) & 0xFFFF

    def _quiet(self, interface: int) -> None:
        try:
            program = bpf.load_drop_all("pronghorn_quiet")
            try:
                self._silence = bpf.attach_ingress(program, interface)
            finally:
                program.close()
        except (OSError, PortError) as error:
            self._noise = str(error)
