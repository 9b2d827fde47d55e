"""`veth:NAME` set up: opening the same name twice gives the two ends of a user-veth.

In one engine the two ends exchange packets. An end that finds no partner in its engine offers itself, or joins the one
that offers itself, in shared memory (veth_share.py); where no files can be made it waits for a partner in its engine.

Options, after the name: `?mtu=1500`, `offload=on|off` (whether this end takes unfinished checksums and unsegmented
frames), `key=microsoft|symmetric` (of the RSS that spreads frames over workers), `queues=1` (between processes: at
least so many, and never fewer than workers).
"""

from __future__ import annotations

import contextlib
import hashlib
import select
from collections.abc import Sequence

from pronghorn.compiled import Array
from pronghorn.ports.device_name import choice, split_options, whole
from pronghorn.ports.driver import EngineMemory, PortError, describe, fresh_table
from pronghorn.ports.rss import MICROSOFT_KEY, SYMMETRIC_KEY
from pronghorn.ports.veth import VethQueue
from pronghorn.ports.veth_attach import Link
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
"""Ends that have no partner in their own engine, by the engine's memory and name."""

_pairs: set[tuple[int, str]] = set()
"""Where both ends are in one engine."""


def invented_mac(*names: object) -> int:
    """A hardware address that stays the same when the port is opened again."""
    return LOCAL | int.from_bytes(hashlib.sha256("/".join(map(str, names)).encode()).digest()[:5])


class VethPort:
    """One end of a user-veth."""

    kind = VETH
    descriptors = RING

    def __init__(self, device: str) -> None:
        self.device = device
        self.name, options = split_options(device, OPTIONS | {"queues": whole(1, 64)})
        if not self.name:
            raise PortError(f"veth:{device}: the name is missing")
        self.mtu: int = options.get("mtu", 1500)
        self.offloads: int = options.get("offload", CHECKSUM_TX | CHECKSUM_RX | SEGMENTATION)
        self.mac = 0
        self._key: bytes = options.get("key", MICROSOFT_KEY)
        self._queues: int = options.get("queues", 1)
        self._trunk: Trunk | None = None  # what leads here in this engine
        self._link: Link | None = None  # and from another process
        self._unshared = ""  # why not
        self._ends: list[VethQueue] = []
        self._epolls: list[select.epoll] = []
        self._partner: VethPort | None = None
        self._place = (0, "")
        self._side = ""

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """Make this end; join it to the one that waits."""
        self._engine, self._prefix = engine, f"port.{port.index}.veth"
        self._place = engine.arena.address, self.name
        if self._place in _pairs:
            self._place = (0, "")
            raise PortError(f"veth:{self.name}: both ends are open already")
        partner = _single.get(self._place)
        if partner is not None and partner._link is not None and partner._link.share.peer_lives():
            raise PortError(f"veth:{self.name}: the other end is in use by another process")
        if engine.workers > 1:
            self.offloads |= RSS
        try:
            self._open_here(engine, queues)
            if partner is None:
                self._offer()
            else:
                self._side = "b" if partner._side == "a" else "a"
        except BaseException:
            self.close()
            raise
        self.mac = invented_mac("veth", self.name, self._side)
        describe(port, self, engine.workers)
        if partner is not None:
            del _single[self._place]
            _pairs.add(self._place)
            partner._withdraw()
            self._join(partner)
            partner._join(self)

    def _open_here(self, engine: EngineMemory, queues: Sequence[Queue]) -> None:
        self._trunk = Trunk(engine, self._prefix, self.offloads & CONSENT, self._key)
        table: Array[VethQueue] = fresh_table(engine.arena, self._prefix, VethQueue, engine.workers)
        self._ends = [table[worker] for worker in range(engine.workers)]
        for worker, queue in enumerate(queues):
            self._ends[worker].inlet = self._trunk.inlets[worker].address
            epoll = select.epoll()
            self._epolls.append(epoll)
            epoll.register(self._trunk.fds[worker], select.EPOLLIN)
            queue.fd, queue.driver = epoll.fileno(), self._ends[worker].address

    def _offer(self) -> None:
        """Wait for a partner, here or in another process."""
        self._side = "a"
        consent = self.offloads & (CONSENT if self._engine.large is not None else CHECKSUM_RX)
        try:
            self._link = Link(self._engine, self.name, f"{self._prefix}.link", self._queues, consent, self._key)
        except OSError as error:
            self._unshared = f"{error.strerror}: {error.filename}"
        else:
            self._side = self._link.share.end
            for epoll, pipes in zip(self._epolls, self._link.pipes, strict=True):
                for pipe in pipes:
                    epoll.register(pipe, select.EPOLLIN)
            self._link.serve(self._ends)
        _single[self._place] = self

    def _withdraw(self) -> None:
        """No other process any more."""
        if self._link is not None:
            self._link.close()  # which takes its pipes off the epolls
            self._link = None

    def _join(self, partner: VethPort) -> None:
        assert partner._trunk is not None
        self._partner = partner
        for worker, end in enumerate(self._ends):
            end.outlet = partner._trunk.outlets[worker].address

    def _part(self) -> None:
        """The partner goes: nothing is sent there any more once this returns."""
        for end in self._ends:
            end.outlet = 0
        self._partner = None

    def close(self) -> None:
        """Nothing is sent here any more; what waits is freed. The other end waits for a new partner."""
        if _single.get(self._place) is self:
            del _single[self._place]
        self._withdraw()
        partner = self._partner
        if partner is not None:
            _pairs.discard(self._place)
            partner._part()
        self._part()
        if self._trunk is not None:
            self._trunk.wait()
            self._trunk.close()
            self._trunk = None
        for epoll in self._epolls:
            epoll.close()
        self._ends, self._epolls = [], []
        if partner is not None:
            _single[partner._place] = partner
            with contextlib.suppress(PortError):  # two other processes were quicker
                partner._offer()

    def statistics(self) -> dict[str, int | str]:
        """Whether there is another end, and where."""
        if self._partner is not None:
            return {"link": "up", "other_end": "this engine"}
        if self._link is None:
            return {"link": "down", "not_shared": self._unshared}
        lives = self._link.share.peer_lives()
        facts: dict[str, int | str] = {"link": "up" if lives and self._link.up() else "down"}
        return facts | {"other_end": "another process" if lives else "nobody", "broken": self._link.broken()}
