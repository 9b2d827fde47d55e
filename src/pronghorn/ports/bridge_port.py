"""`bridge:NAME` set up: every opening of the name in an engine makes another member port of the switch.

Options, of the first opening: `?ageing=300` (s), `stations=8192` (that are remembered). Of each: `mtu=1500`,
`flood=100000` (frames per second that this member may send to all others), and `offload`, `key` as for `veth:`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from pronghorn.compiled import Array, u64
from pronghorn.ports.bridge import MEMBERS, SECOND, Bridge, BridgeQueue
from pronghorn.ports.bridge_table import EPOCHS, SLOTS, stations_forget
from pronghorn.ports.device_name import split_options, whole
from pronghorn.ports.driver import EngineMemory, PortError, describe, fresh_table
from pronghorn.ports.rss import MICROSOFT_KEY
from pronghorn.ports.veth_lay import Trunk
from pronghorn.ports.veth_port import OPTIONS, invented_mac
from pronghorn.ports.veth_rings import CONSENT, RING
from pronghorn.state.port import BRIDGE, CHECKSUM_RX, CHECKSUM_TX, RSS, SEGMENTATION, Port, Queue

BURST = 1000
"""Frames that may be flooded at once."""

_READERS = OPTIONS | {
    "ageing": whole(1, 1_000_000),
    "stations": whole(8, 1 << 24),
    "flood": whole(1, 1_000_000_000),
}
_PATIENCE = 1.0


class Switch:
    """What the members of one switch share."""

    def __init__(self, engine: EngineMemory, place: tuple[int, str], ageing: int, stations: int) -> None:
        taken = {switch.number for (arena, _), switch in _switches.items() if arena == place[0]}
        self.place = place
        self.number: int = next(free for free in range(len(taken) + 1) if free not in taken)
        self.members: dict[int, BridgePort] = {}
        self.bridge: Bridge = fresh_table(engine.arena, f"bridge.{self.number}", Bridge, 1)[0]
        table = self.bridge.table
        bits = max((-(-stations // SLOTS) - 1).bit_length(), 1)
        table.buckets, table.shift, table.key = 1 << bits, 64 - bits, secrets.randbits(63) << 1 | 1
        table.epoch = ageing * SECOND // EPOCHS
        table.entries = fresh_table(engine.arena, f"bridge.{self.number}.stations", u64, SLOTS << bits)
        _switches[place] = self

    def join(self, member: BridgePort) -> int:
        """The new member's number."""
        number = next((place for place in range(MEMBERS) if place not in self.members), MEMBERS)
        if number == MEMBERS:
            raise PortError(f"bridge:{self.place[1]}: a switch has at most {MEMBERS} members")
        self.members[number] = member
        return number

    def leave(self, number: int) -> None:
        """Nothing is sent to the member any more once this returns."""
        self.bridge.members[number].outlets = 0
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and any(member.busy() for member in self.members.values()):
            time.sleep(0)
        del self.members[number]
        stations_forget(self.bridge.table, number)
        if not self.members:
            del _switches[self.place]


_switches: dict[tuple[int, str], Switch] = {}
"""By the engine's memory and name."""


class BridgePort:
    """A member port of a user-vbridge."""

    kind = BRIDGE
    descriptors = RING

    def __init__(self, device: str) -> None:
        self.device = device
        self.name, options = split_options(device, _READERS)
        if not self.name:
            raise PortError(f"bridge:{device}: the name is missing")
        self.mtu: int = options.get("mtu", 1500)
        self.offloads: int = options.get("offload", CHECKSUM_TX | CHECKSUM_RX | SEGMENTATION)
        self.mac = 0
        self._key: bytes = options.get("key", MICROSOFT_KEY)
        self._flood: int = options.get("flood", 100_000)
        self._switch_options = (options.get("ageing", 300), options.get("stations", 8192))
        self._trunk: Trunk | None = None
        self._switch: Switch | None = None
        self._member = 0
        self._ends: list[BridgeQueue] = []

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """Become a member; the first one makes the switch."""
        place = engine.arena.address, self.name
        self._switch = switch = _switches.get(place) or Switch(engine, place, *self._switch_options)
        self._member = switch.join(self)
        self.mac = invented_mac("bridge", self.name, self._member)
        if engine.workers > 1:
            self.offloads |= RSS
        self._trunk = Trunk(engine, f"port.{port.index}.bridge", self.offloads & CONSENT, self._key)
        table: Array[BridgeQueue] = fresh_table(engine.arena, f"port.{port.index}.bridge", BridgeQueue, engine.workers)
        cost = SECOND * engine.workers // self._flood
        for number, queue in enumerate(queues):
            own = table[number]
            own.bridge, own.inlet, own.member = switch.bridge.address, self._trunk.inlets[number].address, self._member
            own.cost = max(cost, 1)
            own.most = own.credit = BURST * own.cost
            own.swept = number * switch.bridge.table.buckets // engine.workers
            self._ends.append(own)
            queue.driver, queue.fd = own.address, self._trunk.fds[number]
        describe(port, self, engine.workers)
        switch.bridge.count = max(switch.bridge.count, self._member + 1)
        switch.bridge.members[self._member].outlets = self._trunk.outlets.address

    def busy(self) -> bool:
        """Whether a worker is in the switch through this member."""
        return any(end.busy != 0 for end in self._ends)

    def close(self) -> None:
        """Leave the switch; what waits is freed."""
        switch, trunk = self._switch, self._trunk
        if switch is None:
            return
        switch.leave(self._member)
        if trunk is not None:
            trunk.close()
        self._switch = self._trunk = None
        self._ends = []

    def statistics(self) -> dict[str, int | str]:
        """The switch, and what this member flooded."""
        if self._switch is None:
            return {}
        table = self._switch.bridge.table
        words = (table.entries[slot] for slot in range(table.buckets * SLOTS))
        return {
            "member": self._member,
            "members": len(self._switch.members),
            "stations": sum(word != 0 for word in words),
            "stations_full": table.full,
            "flooded": sum(end.flooded for end in self._ends),
            "flood_lost": sum(end.lost for end in self._ends),
        }
