"""`wire:NAME` set up: opening the same name twice gives the two ends of a simulated wire, in one engine or in two of
one process. An end that nobody joined is a harness end (wire.py).

Options, of the first opening: `?mtu=1500` (up to 65535), `store=4096` (frames in flight per direction), `seed=1`. Of
each: `offload=on|off` (whether this end takes unfinished checksums and unsegmented frames; off), `mac=020000000001`
(otherwise one that follows from the name), and what this end's own direction does to frames, as the fields of
Impairment: `rate=10mbit`, `overhead=24`, `delay=20ms`, `jitter=1ms`, `queue=64000`, `frames=100`, `mark=30000`,
`loss=1%`, `burst=0.1%/20%/100%`, `duplicate=`, `reorder=`, `reorder_delay=`, `corrupt=`, `order=keep|free`. For tests
and simulators: `impair` sets them at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pronghorn.compiled import bounds
from pronghorn.memory.mapping import Mapping as Mapped
from pronghorn.memory.mapping import map_private
from pronghorn.ports.device_name import choice, split_options, whole
from pronghorn.ports.driver import EngineMemory, PortError, describe
from pronghorn.ports.veth_port import invented_mac
from pronghorn.ports.wire import WireEnd
from pronghorn.ports.wire_lay import wire_octets, wire_open, wire_side
from pronghorn.ports.wire_store import (
    MOST_SLOTS,
    WireLane,
    lane_clear,
    lane_enter,
    lane_leave,
)
from pronghorn.state.port import CHECKSUM_RX, CHECKSUM_TX, SEGMENTATION, WIRE, Port, Queue

SECOND = 1_000_000_000
MILLION = 1_000_000
_PARTS = ("loss", "burst_begin", "burst_end", "burst_loss", "duplicate", "reorder", "corrupt")
_LIMITS = {
    "rate": (8, 10**12),
    "overhead": (0, 1000),
    "delay": (0, 3600 * SECOND),
    "jitter": (0, SECOND),
    "reorder_delay": (0, 3600 * SECOND),
    **dict.fromkeys(_PARTS, (0, MILLION)),
    **dict.fromkeys(("queue_octets", "queue_frames", "mark_octets"), (0, 1 << 40)),
    "keep_order": (0, 1),
}
COUNTS = ("sent", "octets", "dropped", "lost", "duplicated", "reordered", "corrupted", "marked", "delivered", "unfit")
"""What a WireLane counts."""


@dataclass(frozen=True)
class Impairment:
    """What one direction does to frames; zeros are a perfect wire. Times in ns, chances in parts per million."""

    rate: int = 0
    """bit/s of the line; 0: no line, frames leave at once and nothing queues."""
    overhead: int = 0
    """Octets added to each frame on the line: 24 on real Ethernet (preamble, checksum, gap)."""
    delay: int = 0
    jitter: int = 0
    """Delays are spread evenly over delay - jitter to delay + jitter."""
    queue_octets: int = 0
    """Octets that may wait for the line, 0: as many as there are slots. A frame that finds no room is dropped."""
    queue_frames: int = 0
    mark_octets: int = 0
    """Octets waiting from which on ECN-capable frames are marked."""
    loss: int = 0
    burst_begin: int = 0
    """Gilbert-Elliott: chance per frame that a bad time begins, that it ends, and loss while it lasts."""
    burst_end: int = MILLION
    burst_loss: int = MILLION
    duplicate: int = 0
    reorder: int = 0
    """Chance that a frame takes reorder_delay instead of delay: less of it is early, more is late."""
    reorder_delay: int = 0
    corrupt: int = 0
    keep_order: int = 0
    """1: jitter does not reorder."""

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high and not (name == "rate" and value == 0):
                raise ValueError(f"{name}={value}: must be from {low} to {high}")
        if self.jitter > self.delay:
            raise ValueError(f"jitter={self.jitter}: more than the delay, {self.delay}")


def quantity(units: Mapping[str, int], high: int) -> Callable[[str], int]:
    """A reader of a number with one of the units behind it."""

    def read(text: str) -> int:
        number = text.rstrip("abcdefghijklmnopqrstuvwxyz%")
        unit = text[len(number) :]
        try:
            value = round(float(number) * units[unit])
        except (KeyError, ValueError, OverflowError):
            value = -1
        if not 0 <= value <= high:
            raise ValueError(f"must be a number with one of the units {', '.join(filter(None, units))}")
        return value

    return read


_time = quantity({"": 1, "ns": 1, "us": 1000, "ms": 10**6, "s": SECOND}, 3600 * SECOND)
_part = quantity({"%": 10_000, "ppm": 1, "": MILLION}, MILLION)


def _burst(text: str) -> tuple[int, ...]:
    parts = [*text.split("/"), "100%"][:3]
    if len(parts) < 3:
        raise ValueError("must be BEGIN/END or BEGIN/END/LOSS, three chances such as 1%")
    return tuple(map(_part, parts))


def _mac(text: str) -> int:
    if len(text) != 12 or any(letter not in "0123456789abcdef" for letter in text) or int(text[1], 16) & 1:
        raise ValueError("must be 12 hexadecimal digits of a unicast address")
    return int(text, 16)


_WIRE = {"mtu": whole(68, 65_535), "store": whole(1, MOST_SLOTS), "seed": whole(0, (1 << 63) - 1)}
_IMPAIR: dict[str, Callable[[str], Any]] = {
    "rate": quantity({"": 1, "kbit": 1000, "mbit": 10**6, "gbit": 10**9}, 10**12),
    "overhead": whole(0, 1000),
    **dict.fromkeys(("delay", "jitter", "reorder_delay"), _time),
    **dict.fromkeys(("queue", "mark", "frames"), whole(0, 1 << 40)),
    **dict.fromkeys(("loss", "duplicate", "reorder", "corrupt"), _part),
    "burst": _burst,
    "order": choice({"keep": 1, "free": 0}),
}
_NAMES = {"queue": "queue_octets", "mark": "mark_octets", "frames": "queue_frames", "order": "keep_order"}
_END = {"offload": choice({"on": CHECKSUM_TX | CHECKSUM_RX | SEGMENTATION, "off": 0}), "mac": _mac}


def _impairment(options: Mapping[str, Any]) -> Impairment:
    values = {_NAMES.get(name, name): value for name, value in options.items() if name in _IMPAIR and name != "burst"}
    if "burst" in options:
        values |= dict(zip(("burst_begin", "burst_end", "burst_loss"), options["burst"], strict=True))
    return Impairment(**values)


class Wire:
    """The memory of one wire: two ends and two directions; side s sends on lane s."""

    def __init__(self, mtu: int, store: int, seed: int, whole_frames: int) -> None:
        self.mtu, self.slots = mtu, store
        self.ports: list[WirePort | None] = [None, None]
        octets = -(-wire_octets(mtu, store, whole_frames) // 4096) * 4096
        self._mapped: Mapped = map_private(None, octets, "never")
        start = self._mapped.address
        bounds.register(start, octets, 0, "wire")
        wire_open(start, mtu, store, whole_frames)
        self.ends = [wire_side(start, side) for side in range(2)]
        self.lanes = [WireLane(end.outbound) for end in self.ends]
        for side, lane in enumerate(self.lanes):
            digest = hashlib.sha256(f"{seed}/{side}".encode()).digest()
            lane.random = int.from_bytes(digest[:8]) >> 2 | 1

    def agree(self) -> None:
        """What both ends take; a harness end takes finished frames of the wire's MTU."""
        both = min((port.consent if port else 0 for port in self.ports), key=int.bit_count)
        for end in self.ends:
            end.consent = both

    def close(self) -> None:
        """Give the memory back."""
        bounds.unregister(self._mapped.address)
        self._mapped.unmap()


_DAMAGE = "corrupt: damage to frames with unfinished checksums would not be noticed; offload=off"

_wires: dict[str, Wire] = {}
"""Wires that have an end, by name."""


class WirePort:
    """One end of a simulated wire."""

    kind = WIRE
    descriptors = 0

    def __init__(self, device: str = "", impairment: Impairment | None = None) -> None:
        self.device = device
        self.name, self._options = split_options(device, _WIRE | _IMPAIR | _END)
        if not self.name:
            raise PortError(f"wire:{device}: the name is missing")
        try:
            self._own = impairment or _impairment(self._options)
        except ValueError as error:
            raise PortError(f"wire:{device}: {error}") from error
        self.offloads: int = self._options.get("offload", 0)
        self.consent = self.offloads
        self.mtu: int = self._options.get("mtu", 1500)
        self.mac = 0
        self.side = 0
        self._wire: Wire | None = None
        if self._own.corrupt and self.offloads:
            raise PortError(f"wire:{device}: {_DAMAGE}")

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """Make the wire, or join the end that is there."""
        wire = _wires.get(self.name)
        if wire is None:
            options = self._options
            try:
                wire = Wire(self.mtu, options.get("store", 4096), options.get("seed", 1), self.offloads)
            except OSError as error:
                raise PortError(f"wire:{self.device}: no memory for so many frames: {error.strerror}") from error
            _wires[self.name] = wire
        elif None not in wire.ports:
            raise PortError(f"wire:{self.name}: both ends are open already")
        elif any(name in self._options for name in ("store", "seed")) or self._options.get("mtu", wire.mtu) != wire.mtu:
            raise PortError(f"wire:{self.device}: mtu, store and seed are chosen by the end that is open already")
        self.side = wire.ports.index(None)
        self.mtu = wire.mtu
        self.consent = self.offloads if engine.large is not None else self.offloads & CHECKSUM_RX
        wire.ports[self.side], self._wire = self, wire
        wire.agree()
        self.impair(self._own)
        self.mac = self._options.get("mac", invented_mac("wire", self.name, self.side))
        for queue in queues:
            queue.driver = wire.ends[self.side].address
        describe(port, self, 1)

    @property
    def end(self) -> WireEnd:
        """This end, for wire_inject, wire_take and their kin."""
        assert self._wire is not None, "the port is not open"
        return self._wire.ends[self.side]

    @property
    def lanes(self) -> tuple[WireLane, WireLane]:
        """The direction away from this end and the one towards it: settings and counts."""
        assert self._wire is not None, "the port is not open"
        return self._wire.lanes[self.side], self._wire.lanes[1 - self.side]

    def impair(self, impairment: Impairment) -> None:
        """Set what happens to frames that this end sends from now on. ValueError: damage to unfinished checksums."""
        self._set(self.lanes[0], impairment)

    def impair_inbound(self, impairment: Impairment) -> None:
        """The same for frames on their way to this end: for one that has no partner to say so."""
        self._set(self.lanes[1], impairment)

    def _set(self, lane: WireLane, impairment: Impairment) -> None:
        if impairment.corrupt and self.offloads:
            raise ValueError(_DAMAGE)
        for item in fields(impairment):
            setattr(lane, item.name, getattr(impairment, item.name))

    def close(self) -> None:
        """What is in flight is lost; the other end becomes a harness end."""
        wire, self._wire = self._wire, None
        if wire is None:
            return
        for lane in wire.lanes:
            lane_enter(lane)
            lane_clear(lane)
            lane_leave(lane)
        wire.ends[self.side].worker = 0
        wire.ports[self.side] = None
        if wire.ports == [None, None]:
            _wires.pop(self.name, None)
            wire.close()
        else:
            wire.agree()

    def statistics(self) -> dict[str, int | str]:
        """Counts of both directions, and whether there is another end."""
        if self._wire is None:
            return {}
        facts: dict[str, int | str] = {"other_end": "a port" if None not in self._wire.ports else "open"}
        for way, lane in zip(("out", "in"), self.lanes, strict=True):
            facts |= {f"{way}_{name}": getattr(lane, name) for name in COUNTS}
        return facts
