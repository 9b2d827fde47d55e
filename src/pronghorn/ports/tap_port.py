"""`tap:NAME` set up: a network device of the kernel whose other end is this engine.

The device is made when the port opens and goes with it (or with the process), unless it existed before; it is up from
then on. The kernel's end has the device's own MAC address, the engine's end one beside it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Mapping, Sequence

from pronghorn.compiled import Array
from pronghorn.memory.pool import pool_put
from pronghorn.ports.device import mac_of, mtu_of, set_up
from pronghorn.ports.driver import EngineMemory, PortError, describe, fresh_table
from pronghorn.ports.tap import TapQueue
from pronghorn.state.packet import Packet
from pronghorn.state.port import CHECKSUM_RX, CHECKSUM_TX, RSS, SEGMENTATION, TAP, Port, Queue

_PATH = "/dev/net/tun"
_SET_INTERFACE, _SET_OFFLOAD, _SET_HEADER_SIZE = 0x400454CA, 0x400454D0, 0x400454D8  # TUNSET...
_TAP, _NO_INFORMATION, _VIRTIO_HEADER, _MULTI_QUEUE = 0x0002, 0x1000, 0x4000, 0x0100  # IFF_...
_CHECKSUM, _TSO4, _TSO6, _TSO_ECN = 1, 2, 4, 8  # TUN_F_...
_LOCAL = 0x020000000000  # bit of locally administered addresses
_HEADER = 10


class TapPort:
    """A TAP port."""

    kind = TAP
    descriptors = 0

    def __init__(self, device: str) -> None:
        self.device = device
        self.mtu = self.mac = self.offloads = 0
        self._fds: list[int] = []
        self._records: Array[TapQueue] | None = None
        self._engine: EngineMemory | None = None

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """Make the device, with a queue per worker."""
        self._engine = engine
        self._records = fresh_table(engine.arena, f"port.{port.index}.tap.queues", TapQueue, len(queues))
        flags = _TAP | _NO_INFORMATION | _VIRTIO_HEADER | (_MULTI_QUEUE if len(queues) > 1 else 0)
        offloads = _CHECKSUM | (_TSO4 | _TSO6 | _TSO_ECN if engine.large is not None else 0)
        try:
            for number, queue in enumerate(queues):
                fd = self._open_queue(flags, offloads)
                record = self._records[number]
                record.fd, record.large = fd, int(engine.large is not None)
                queue.driver, queue.fd, queue.queue = record.address, fd, number
            set_up(self.device)
            self.mtu, self.mac = mtu_of(self.device), (mac_of(self.device) | _LOCAL) ^ 1
        except BaseException:
            self.close()
            raise
        spread = RSS if len(queues) > 1 else 0
        self.offloads = CHECKSUM_TX | CHECKSUM_RX | spread | (SEGMENTATION if engine.large is not None else 0)
        describe(port, self, len(queues))

    def close(self) -> None:
        """The device goes away, and the packets that waited for frames are freed."""
        for number, fd in enumerate(self._fds):
            os.close(fd)
            if self._records is not None:
                self._free(self._records[number])
        self._fds = []

    def statistics(self) -> Mapping[str, int | str]:
        """Frames lost for want of a chunk."""
        if self._records is None:
            return {}
        return {"queues": len(self._fds), "lost": sum(self._records[n].lost for n in range(len(self._fds)))}

    def _open_queue(self, flags: int, offloads: int) -> int:
        try:
            fd = os.open(_PATH, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise PortError(f"{self.device}: {_PATH}: {error.strerror}; load the module tun, run as root") from error
        self._fds.append(fd)
        try:
            fcntl.ioctl(fd, _SET_INTERFACE, struct.pack("16sH22x", self.device.encode(), flags))
        except OSError as error:
            advice = "needs root or CAP_NET_ADMIN" if error.errno == errno.EPERM else "is it another kind of device?"
            raise PortError(f"{self.device}: the kernel gives no TAP device ({error.strerror}): {advice}") from error
        fcntl.ioctl(fd, _SET_HEADER_SIZE, struct.pack("i", _HEADER))
        fcntl.ioctl(fd, _SET_OFFLOAD, offloads)
        return fd

    def _free(self, record: TapQueue) -> None:
        engine = self._engine
        if record.spare == 0 or engine is None:
            return
        index = Packet(record.spare).index
        if index < engine.small.chunks:
            pool_put(engine.control, index)
        elif engine.control_large is not None:
            pool_put(engine.control_large, index - engine.small.chunks)
        record.spare = 0
