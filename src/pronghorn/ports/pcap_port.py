"""`pcap:IN` replays a file, `pcap:>OUT` captures to one (nanosecond pcap), `pcap:IN>OUT` does both.

Options: `?speed=1` (by the times in the file, so many times as fast; without it as fast as frames are taken),
`repeat=on|off` (begin again at the end), `snaplen=262144` (octets of each frame that are captured).

A file that is no capture, or is damaged anywhere, is refused when it is opened, with the place. A new capture takes the
place of an earlier one under that name; it is for its owner alone (mode 0600).
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping, Sequence

from pronghorn.compiled import Array, bounds
from pronghorn.memory.mapping import Mapping as Mapped
from pronghorn.memory.mapping import map_shared
from pronghorn.ports.device_name import choice, split_options, whole
from pronghorn.ports.driver import EngineMemory, PortError, describe, fresh_table
from pronghorn.ports.pcap import NANOSECOND_MAGIC, PERCENT, PcapQueue, pcap_flush
from pronghorn.ports.pcap_file import LONGEST, PROBLEMS, PcapFile, pcap_begin, pcap_count
from pronghorn.ports.veth_port import invented_mac
from pronghorn.state.port import PCAP, Port, Queue


def _speed(text: str) -> int:
    """In percent."""
    percent = round(float(text) * PERCENT)
    if not 1 <= percent <= 100_000:
        raise ValueError("must be a number from 0.01 to 1000")
    return percent


_READERS = {"speed": _speed, "repeat": choice({"on": 1, "off": 0}), "snaplen": whole(14, LONGEST)}


class PcapPort:
    """A replay, a capture, or both."""

    kind = PCAP
    mtu = 1500
    offloads = 0
    descriptors = 0

    def __init__(self, device: str) -> None:
        self.device = device
        name, self._options = split_options(device, _READERS)
        self.source, _, self.target = name.partition(">")
        if not self.source and not self.target:
            raise PortError(f"pcap:{device}: the file is missing: pcap:IN, pcap:>OUT or pcap:IN>OUT")
        self.mac = invented_mac("pcap", device)
        self.frames = 0  # in the file that is replayed
        self._ends: list[PcapQueue] = []
        self._mapped: Mapped | None = None
        self._descriptors: list[int] = []

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """Check and map the one file, begin the other."""
        table: Array[PcapQueue] = fresh_table(engine.arena, f"port.{port.index}.pcap", PcapQueue, len(queues))
        files: Array[PcapFile] = fresh_table(engine.arena, f"port.{port.index}.pcap.file", PcapFile, 1)
        try:
            file = self._map(files[0]) if self.source else 0
            capture = self._begin() if self.target else -1
        except OSError as error:
            self.close()
            raise PortError(f"{error.filename or self.source}: {error.strerror}") from error
        except PortError:
            self.close()
            raise
        for worker, queue in enumerate(queues):
            own = table[worker]
            own.file, own.fd = file if worker == 0 else 0, capture
            own.speed, own.repeat = self._options.get("speed", 0), self._options.get("repeat", 0)
            own.snap, own.clock = self._options.get("snaplen", LONGEST), time.time_ns() - time.monotonic_ns()
            queue.driver = own.address
            self._ends.append(own)
        describe(port, self, 1)

    def _map(self, file: PcapFile) -> int:
        descriptor = os.open(self.source, os.O_RDONLY | os.O_CLOEXEC)
        self._descriptors.append(descriptor)
        octets = os.fstat(descriptor).st_size
        if octets:
            self._mapped = map_shared(None, octets, descriptor, "never", writable=False)
            file.start, file.octets = self._mapped.address, octets
            bounds.register(file.start, octets, 0, self.source)
        self.frames = pcap_count(file)
        if file.problem:
            raise PortError(f"{self.source}: octet {file.next}: {PROBLEMS[file.problem]}")
        pcap_begin(file)
        return file.address

    def _begin(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self.target, flags, 0o600)
        self._descriptors.append(descriptor)
        snap = self._options.get("snaplen", LONGEST)
        os.write(descriptor, struct.pack("=IHHiIII", NANOSECOND_MAGIC, 2, 4, 0, 0, snap, 1))
        return descriptor

    def close(self) -> None:
        """Write what waits."""
        for own in self._ends:
            if own.fd >= 0:
                pcap_flush(own)
        self._ends = []
        if self._mapped is not None:
            bounds.unregister(self._mapped.address)
            self._mapped.unmap()
            self._mapped = None
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []

    def statistics(self) -> Mapping[str, int | str]:
        """How far the replay is, and what the capture lost."""
        facts: dict[str, int | str] = {"lost": sum(own.lost for own in self._ends)}
        if self._ends and self._ends[0].file:
            file = PcapFile(self._ends[0].file)
            facts |= {"frames": self.frames, "replayed": file.frames - self._ends[0].found}
            facts["unfit"] = self._ends[0].wrong
        return facts
