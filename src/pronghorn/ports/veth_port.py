"""`veth:NAME` set up: opening the same name twice in one engine gives the two ends of a user-veth.

Options, after the name: `?mtu=1500`, `offload=on|off` (whether this end takes unfinished checksums and unsegmented
frames), `key=microsoft|symmetric` (of the RSS that spreads what arrives here over the workers).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pronghorn.compiled import Array
from pronghorn.ports.device_name import choice, split_options, whole
from pronghorn.ports.driver import EngineMemory, PortError, describe, fresh_table
from pronghorn.ports.rss import MICROSOFT_KEY, SYMMETRIC_KEY
from pronghorn.ports.veth import VethQueue
from pronghorn.ports.veth_lay import Trunk
from pronghorn.ports.veth_rings import CONSENT, RING
from pronghorn.state.port import CHECKSUM_RX, CHECKSUM_TX, RSS, SEGMENTATION, VETH, Port, Queue

OPTIONS = {
    "mtu": whole(68, 65_535),
    "offload": choice({"on": CHECKSUM_TX | CHECKSUM_RX | SEGMENTATION, "off": 0}),
    "key": choice({"microsoft": MICROSOFT_KEY, "symmetric": SYMMETRIC_KEY}),
}
LOCAL = 0x02 << 40
"""A locally administered unicast address."""

_single: dict[tuple[int, str], VethPort] = {}
"""Ends that wait for a partner in their own engine, by the engine's memory and name."""


def invented_mac(*names: object) -> int:
    """A hardware address that stays the same when the port is opened again."""
    return LOCAL | int.from_bytes(hashlib.sha256("/".join(map(str, names)).encode()).digest()[:5])


class VethPort:
    """One end of a user-veth."""

    kind = VETH
    descriptors = RING

    def __init__(self, device: str) -> None:
        self.device = device
        self.name, options = split_options(device, OPTIONS)
        if not self.name:
            raise PortError(f"veth:{device}: the name is missing")
        self.mtu: int = options.get("mtu", 1500)
        self.offloads: int = options.get("offload", CHECKSUM_TX | CHECKSUM_RX | SEGMENTATION)
        self.mac = 0
        self._key: bytes = options.get("key", MICROSOFT_KEY)
        self._trunk: Trunk | None = None  # what leads here
        self._ends: list[VethQueue] = []
        self._partner: VethPort | None = None
        self._place = (0, "")
        self._side = "a"

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """Make this end; join it to the one that waits."""
        self._place = engine.arena.address, self.name
        partner = _single.pop(self._place, None)
        self._side = "b" if partner is not None and partner._side == "a" else "a"
        self.mac = invented_mac("veth", self.name, self._side)
        if engine.workers > 1:
            self.offloads |= RSS
        self._trunk = Trunk(engine, f"port.{port.index}.veth", self.offloads & CONSENT, self._key)
        self._trunk.serve(queues)
        table: Array[VethQueue] = fresh_table(engine.arena, f"port.{port.index}.veth", VethQueue, engine.workers)
        self._ends = [table[number] for number in range(engine.workers)]
        for number, queue in enumerate(queues):
            self._ends[number].inlet = self._trunk.inlets[number].address
            queue.driver = self._ends[number].address
        describe(port, self, engine.workers)
        if partner is None:
            _single[self._place] = self
        else:
            self._join(partner)
            partner._join(self)

    def _join(self, partner: VethPort) -> None:
        assert partner._trunk is not None
        self._partner = partner
        for number, end in enumerate(self._ends):
            end.outlet = partner._trunk.outlets[number].address

    def _part(self) -> None:
        """The partner goes: nothing is sent there any more once this returns."""
        for end in self._ends:
            end.outlet = 0
        self._partner = None

    def close(self) -> None:
        """Nothing is sent here any more; what waits is freed. The other end waits for a new partner."""
        trunk, partner = self._trunk, self._partner
        if trunk is None:
            return
        if _single.get(self._place) is self:
            del _single[self._place]
        if partner is not None:
            partner._part()
            _single[self._place] = partner
        self._part()
        trunk.wait()
        trunk.close()
        self._trunk = None
        self._ends = []

    def statistics(self) -> dict[str, int | str]:
        """Whether there is another end."""
        return {"link": "up" if self._partner is not None else "down"}
