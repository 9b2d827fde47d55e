"""Who may claim what, beside whom: the rules of bind(2), across programs.

Two claims meet when they have the protocol and the port, a family and an address in common; an unspecified address is
any. Programs of one family that say SHARED may claim the same (listeners inherited by fork), and programs of one user
that say REUSE (SO_REUSEPORT). What a program claims twice is its own affair, and has to be given back twice. A port of
a service, or of a socket of the gateway's own, is in use.

Left out: a socket of the gateway that is bound to a port after a program has claimed it gets none of its packets.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from socket import htonl, htons

from pronghorn.balancer.services import search_service
from pronghorn.balancer.tables import Balancer
from pronghorn.net.state import MAPPED
from pronghorn.programs.claims import BOTH
from pronghorn.state.attach import REUSE, SHARED, Claim
from pronghorn.state.worker import Worker
from pronghorn.tcp.lookup import find_listener
from pronghorn.tcp.tcb import tcp_of
from pronghorn.udp.endpoint import udp_of
from pronghorn.wire.numbers import PROTOCOL_TCP, PROTOCOL_UDP


@dataclass(frozen=True)
class Claimant:
    """A program: its number, the family of processes it came from by fork, its user when it claimed."""

    number: int
    family: int
    user: int


@dataclass(frozen=True)
class Held:
    """A claim, as it is kept."""

    claimant: Claimant
    protocol: int
    family: int  # 4, 6, or 10: both
    port: int
    hi: int  # both 0: any address
    lo: int
    flags: int

    @property
    def key(self) -> tuple[int, int, int, int, int]:
        """What the workers are told."""
        return self.protocol, self.family, self.port, self.hi, self.lo

    @property
    def any(self) -> bool:
        return self.hi == 0 and self.lo == 0

    def fits(self, addresses: Sequence[tuple[int, int]]) -> bool:
        """Whether the address is one of these, or any, and of its family."""
        if self.any:
            return True
        return (self.hi, self.lo) in addresses and self.family == (4 if is_four(self.hi, self.lo) else 6)

    def meets(self, other: Held) -> bool:
        """Whether some packet would be for both."""
        if self.family != other.family and BOTH not in (self.family, other.family):
            return False
        return self.any or other.any or (self.hi, self.lo) == (other.hi, other.lo)

    def suffers(self, other: Held) -> bool:
        """Whether both may be, though they meet."""
        mine, its = self.claimant, other.claimant
        if mine.number == its.number:
            return True
        both = self.flags & other.flags
        return bool(both & SHARED and mine.family == its.family) or bool(both & REUSE and mine.user == its.user)


def is_four(hi: int, lo: int) -> bool:
    """Whether the halves are an IPv4 address."""
    return hi == 0 and lo >> 32 == MAPPED >> 32


def held_of(claim: Claim, claimant: Claimant) -> Held | None:
    """The claim of a message, or None when it cannot be."""
    if claim.protocol not in (PROTOCOL_TCP, PROTOCOL_UDP) or claim.family not in (4, 6, BOTH) or claim.port == 0:
        return None
    return Held(claimant, claim.protocol, claim.family, claim.port, claim.hi, claim.lo, claim.flags)


class Claims:
    """All claims of all programs."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int], list[tuple[Held, int]]] = {}  # by protocol and port; how often

    def count(self) -> int:
        """Different claims."""
        return sum(map(len, self._held.values()))

    def add(self, new: Held) -> tuple[int, bool]:
        """(0 or EADDRINUSE, whether the workers are to be told)."""
        there = self._held.setdefault((new.protocol, new.port), [])
        for place, (held, times) in enumerate(there):
            if held.claimant.number == new.claimant.number and held.key == new.key:
                there[place] = held, times + 1
                return 0, False
        if any(new.meets(held) and not new.suffers(held) for held, _ in there):
            return errno.EADDRINUSE, False
        there.append((new, 1))
        return 0, True

    def has(self, held: Held) -> bool:
        """Whether its program has claimed it."""
        there = self._held.get((held.protocol, held.port), [])
        return any(one.claimant.number == held.claimant.number and one.key == held.key for one, _ in there)

    def heard_first(self, new: Held) -> Held | None:
        """The claim of the relative that listened before all others, if it is another's: who opened the listener that
        `new` was inherited with. It has children to serve, and gets no new connections."""
        if not new.flags & SHARED:
            return None
        for held, _ in self._held.get((new.protocol, new.port), []):
            if held.key == new.key and held.claimant.family == new.claimant.family:
                return held if held.claimant.number != new.claimant.number else None
        return None

    def remove(self, old: Held) -> tuple[int, bool]:
        """(0 or ENOENT, whether the workers are to be told)."""
        there = self._held.get((old.protocol, old.port), [])
        for place, (held, times) in enumerate(there):
            if held.claimant.number == old.claimant.number and held.key == old.key:
                there[place] = held, times - 1
                if times == 1:
                    del there[place]
                return 0, times == 1
        return errno.ENOENT, False

    def forget(self, number: int) -> None:
        """The program has ended."""
        for there in self._held.values():
            there[:] = [(held, times) for held, times in there if held.claimant.number != number]

    def of(self, number: int) -> list[Held]:
        """What the program has claimed."""
        return [held for there in self._held.values() for held, _ in there if held.claimant.number == number]


def in_use(worker: Worker, new: Held, addresses: Sequence[tuple[int, int]]) -> bool:
    """Whether a service or a socket of the gateway's own has the port at one of these addresses."""
    if worker.transports != 0 and new.protocol == PROTOCOL_UDP and udp_of(worker).users[new.port] != 0:
        return True
    for hi, lo in addresses if new.any else [(new.hi, new.lo)]:
        four = is_four(hi, lo)
        if new.family == (6 if four else 4):
            continue
        if worker.balancer != 0:
            family, raw = (4, htonl(lo & 0xFFFF_FFFF)) if four else (6, 0)
            first, second = (0, raw) if four else (raw_half(hi), raw_half(lo))
            ports = htons(new.port) << 16 | new.protocol << 32 | family << 40
            if search_service(Balancer(worker.balancer), first, second, ports) >= 0:
                return True
        tcp = worker.transports != 0 and new.protocol == PROTOCOL_TCP
        if tcp and find_listener(tcp_of(worker), 4 if four else 6, hi, lo, new.port, 0) >= 0:
            return True
    return False


def raw_half(half: int) -> int:
    """Half of an IPv6 address as it lies on the wire, read in the machine's order."""
    return int.from_bytes((half & (1 << 64) - 1).to_bytes(8, "big"), "little", signed=True)
