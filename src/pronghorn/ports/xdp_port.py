"""`xdp:IF` set up: the program on the device, a socket per queue, and which worker owns which.

The whole interface leaves the kernel, ARP included: the engine answers for it. The data plane is `xdp.py`.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Mapping, Sequence

from pronghorn.compiled import Array, u8
from pronghorn.ports import ethtool
from pronghorn.ports.device import index_of, join_groups, mac_of, mtu_of
from pronghorn.ports.driver import EngineMemory, PortError, describe, fresh_table
from pronghorn.ports.xdp import xdp_reclaim
from pronghorn.ports.xdp_program import Attachment, attach
from pronghorn.ports.xdp_rings import CHUNK, LOCAL_PEER, SHARED, XdpEnd, XdpSocket
from pronghorn.ports.xdp_socket import COUNTERS, Socket, open_socket
from pronghorn.state.packet import HEADROOM
from pronghorn.state.port import CHECKSUM_TX, RSS, SEGMENTATION, XDP, Port, Queue

DESCRIPTORS = 1024
_LONGEST = CHUNK - HEADROOM - 18  # octets of layer 3 that fit a chunk, behind an Ethernet header and a VLAN tag


_GENERIC = "unsegmented frames are lost: switch tso and gso off at neighbours on this machine, gro here, or use packet:"


class XdpPort:
    """An AF_XDP port. `per_queue` chunks may wait on each queue, a power of two."""

    kind = XDP

    def __init__(self, device: str, per_queue: int = DESCRIPTORS) -> None:
        if per_queue & (per_queue - 1) or not 64 <= per_queue <= 32768:
            raise PortError(f"{device}: {per_queue} descriptors per queue: must be a power of two from 64 to 32768")
        self.device = device
        self.mtu = self.mac = self.offloads = 0
        self._per_queue = per_queue
        self._program: Attachment | None = None
        self._sockets: list[Socket] = []
        self._records: Array[XdpSocket] | None = None
        self._epolls: list[select.epoll] = []
        self._engine: EngineMemory | None = None
        self._groups: socket.socket | None = None

    @property
    def descriptors(self) -> int:
        """Chunks on the receive side, and as many again on their way out, of every queue."""
        return 2 * self._per_queue * ethtool.queues_of(self.device)

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """Take the whole interface."""
        interface = index_of(self.device)
        self.mtu, self.mac = mtu_of(self.device), mac_of(self.device)
        if self.mtu > _LONGEST:
            advice = f"`ip link set {self.device} mtu 1500`, at both ends of a veth"
            raise PortError(f"{self.device}: its MTU of {self.mtu} exceeds {_LONGEST}; {advice}")
        count = ethtool.queues_of(self.device)
        self._engine = engine
        try:
            self._program = attach(self.device, interface, count)
            self._open_sockets(engine, port, interface, count)
            self._share_out(engine, port, queues, count)
            self._groups = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
            join_groups(self._groups, interface)
        except BaseException:
            self.close()
            raise
        self.offloads = CHECKSUM_TX | SEGMENTATION | (RSS if count > 1 else 0)
        describe(port, self, count)

    def close(self) -> None:
        """The kernel has its interface back, the pool its chunks."""
        for each in (self._groups, *self._epolls):
            if each is not None:
                each.close()
        if self._program is not None:
            self._program.close()
        for number, own in enumerate(self._sockets):
            own.close()
            if self._engine is not None and self._records is not None:
                xdp_reclaim(self._engine.control, self._records[number])
        self._program = self._groups = None
        self._epolls, self._sockets = [], []

    def statistics(self) -> Mapping[str, int | str]:
        """How the kernel drives the device, and its counters summed over the sockets."""
        if self._program is None:
            return {}
        facts: dict[str, int | str] = {
            "program": self._program.mode,
            "frames": "zero-copy" if all(own.zero_copy for own in self._sockets) else "copied",
            "queues": len(self._sockets),
        }
        if self._program.reason:
            facts["not_native"] = self._program.reason
            facts["caution"] = _GENERIC
        all_counters = [own.counters() for own in self._sockets]
        facts |= {name: sum(counters[name] for counters in all_counters) for name in COUNTERS}
        if self._records is not None:
            records = [self._records[number] for number in range(len(self._sockets))]
            facts["wrong"] = sum(record.wrong for record in records)
            facts["unfit"] = sum(record.unfit for record in records)
        return facts

    def _open_sockets(self, engine: EngineMemory, port: Port, interface: int, count: int) -> None:
        assert self._program is not None
        local = LOCAL_PEER if ethtool.is_virtual(self.device) else 0
        prefix = f"port.{port.index}.xdp"
        self._records = records = fresh_table(engine.arena, f"{prefix}.sockets", XdpSocket, count)
        chunks = engine.small.chunks
        owned = fresh_table(engine.arena, f"{prefix}.owned", u8, chunks * count)
        for number in range(count):
            record = records[number]
            record.owned = Array(owned.element, owned.address + chunks * number)
            own = open_socket(self.device, interface, number, record, engine.small, self._per_queue, self._program.mode)
            self._sockets.append(own)
            record.flags |= local
        for number, own in enumerate(self._sockets):
            self._program.serve(number, own.handle.fileno())

    def _share_out(self, engine: EngineMemory, port: Port, queues: Sequence[Queue], count: int) -> None:
        """Socket s receives for worker s modulo the workers; worker w transmits on socket w modulo the sockets."""
        assert self._records is not None
        workers = len(queues)
        ends = fresh_table(engine.arena, f"port.{port.index}.xdp.ends", XdpEnd, workers)
        for worker, queue in enumerate(queues):
            end = ends[worker]
            end.sockets, end.first, end.step = self._records, worker, workers
            end.count = len(range(worker, count, workers))
            end.sender = worker % count
            if workers > count:
                self._records[end.sender].flags |= SHARED
            queue.driver, queue.queue = end.address, end.sender
            queue.fd = self._descriptor(range(worker, count, workers))

    def _descriptor(self, own: range) -> int:
        """Something to sleep on: the socket, or an epoll of several; -1 when nothing is received."""
        if len(own) < 2:
            return self._sockets[own[0]].handle.fileno() if own else -1
        epoll = select.epoll()
        self._epolls.append(epoll)
        for number in own:
            epoll.register(self._sockets[number].handle.fileno(), select.EPOLLIN)
        return epoll.fileno()
