"""Attached programs of a gateway, from the control plane's thread (docs/adr/0013-accelerated-programs.md).

    programs = Programs(engine)                             # every worker has its network tables
    port = programs.add_program(1, memory, ours, theirs, 1500, [address], (40000, 40999), family=1, user=0)
    error = programs.claim(1, claim)                        # errno, as the Answer brings it
    programs.remove_program(1)

Every worker gets the same, between two of its turns. What one program's claim says about another's is decided once,
by `Claims`; the workers are told the outcome.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address

from pronghorn.compiled import Array, fill
from pronghorn.engine.engine import Engine
from pronghorn.engine.program_claims import Claimant, Claims, Held, held_of, in_use
from pronghorn.engine.program_facts import ClaimFacts, ProgramFacts, claim_facts, program_facts
from pronghorn.net.addresses import owned_find
from pronghorn.net.configure_routes import halves
from pronghorn.net.state import FAR_MAC, SECOND, net_of
from pronghorn.ports.here_port import HerePort
from pronghorn.ports.link_lay import lanes_octets
from pronghorn.ports.program_port import ProgramPort
from pronghorn.programs.change import (
    address_left,
    flow_program,
    flow_take,
    program_address,
    program_block,
    program_end,
    program_here,
    program_open,
)
from pronghorn.programs.claims import claim_add, claim_remove
from pronghorn.programs.create import Tables, create_programs
from pronghorn.programs.tables import Bucket
from pronghorn.programs.tables import Programs as Root
from pronghorn.state.attach import ADDRESSES, CLAIM_BIND, CLAIM_LISTEN, CLAIM_TAKE, Claim
from pronghorn.state.port import PROGRAM
from pronghorn.state.worker import Worker

__all__ = ["ClaimFacts", "Limits", "ProgramError", "ProgramFacts", "Programs", "Tables"]

Address = IPv4Address | IPv6Address

DEPTH = SECOND // 10
"""ns of its rate that a limited program may send at once."""


class ProgramError(Exception):
    """The program cannot be attached; the text says why."""


@dataclass(frozen=True)
class Limits:
    """What a program may send and have; 0: no limit, for flows half of a worker's table."""

    packets: int = 0  # per second
    octets: int = 0  # per second
    flows: int = 0  # on each worker


@dataclass
class _Attached:
    """A program that is there."""

    port: int
    driver: ProgramPort
    addresses: list[tuple[int, int]]
    block: tuple[int, int]
    claimant: Claimant
    limits: Limits = field(default_factory=Limits)


class Programs:
    """See the module. Methods are for the control plane's thread."""

    def __init__(self, engine: Engine, tables: Tables | None = None) -> None:
        self.engine, self.tables = engine, tables or Tables()
        self.queues = engine.worker_count
        self.octets = lanes_octets(self.queues)
        self._attached: dict[int, _Attached] = {}
        self._claims = Claims()
        self._rests: set[tuple[int, tuple[int, int, int, int, int]]] = set()  # claims whose holder's children serve
        self._stays: set[tuple[int, tuple[int, int, int, int, int]]] = set()  # whose holder serves beside its children
        self._uses: dict[tuple[int, int], int] = {}  # own addresses, by the programs that have them
        self._life = 0
        self._buckets: Array[Bucket] = engine.arena.table("programs.buckets", Bucket, self.tables.programs)
        for index in range(engine.worker_count):
            engine.call(index, lambda worker: create_programs(engine.arena, worker, self.tables))
        self._here = engine.add_port(HerePort(FAR_MAC))
        self._everywhere(self._lead_here)

    def _lead_here(self, worker: Worker) -> None:
        if not program_here(worker, self._here):
            raise ProgramError("there is no room for the interface that leads to our own addresses")

    def _everywhere(self, do: Callable[[Worker], object]) -> None:
        for index in range(self.engine.worker_count):
            self.engine.call(index, do)

    # --- programs -----------------------------------------------------------------------------------------------------

    def add_program(
        self,
        number: int,
        memory: int,
        ours: Sequence[int],
        theirs: Sequence[int],
        mtu: int,
        addresses: Sequence[Address],
        ports: tuple[int, int],
        family: int,
        user: int,
        limits: Limits | None = None,
    ) -> int:
        """Attach a program; returns the index of its port. ProgramError, PortError, OSError: nothing has changed."""
        low, high = ports
        self._check(number, addresses, low, high)
        driver = ProgramPort(memory, ours, theirs, mtu, FAR_MAC)
        try:
            port = self.engine.add_port(driver, PROGRAM, number)
        except ValueError as error:
            raise ProgramError(str(error)) from error
        own = [halves(address) for address in addresses]
        self._life += 1
        new = _Attached(port, driver, own, ports, Claimant(number, family, user), limits or Limits())
        self._attached[number] = new
        try:
            self._limit(number, new.limits)
            self._everywhere(lambda worker: self._open(worker, number, new))
        except BaseException:
            self.remove_program(number)
            raise
        return port

    def _check(self, number: int, addresses: Sequence[Address], low: int, high: int) -> None:
        if not 0 <= number < self.tables.programs:
            raise ProgramError(f"program {number}: this gateway was made for programs 0 to {self.tables.programs - 1}")
        if number in self._attached:
            raise ProgramError(f"program {number} is attached already")
        if not 1 <= len(addresses) <= ADDRESSES:
            raise ProgramError(f"a program has 1 to {ADDRESSES} addresses, not {len(addresses)}")
        if not 1 <= low <= high <= 65_535:
            raise ProgramError(f"ports {low} to {high}: a block lies in 1 to 65535")
        for other, known in self._attached.items():
            if low <= known.block[1] and high >= known.block[0]:
                raise ProgramError(f"ports {low} to {high}: some of them are program {other}'s")
        for address in addresses:
            if not self._is_own(*halves(address)):
                raise ProgramError(f"address {address} is none of this gateway's")

    def _is_own(self, hi: int, lo: int) -> bool:
        return self.engine.call(0, lambda worker: owned_find(net_of(worker), hi, lo)) >= 0

    def _limit(self, number: int, limits: Limits) -> None:
        bucket = self._buckets[number]
        fill(bucket.address, 0, Bucket.SIZE)
        bucket.packet_cost = SECOND // limits.packets if limits.packets else 0
        bucket.octet_rate, bucket.depth = limits.octets, DEPTH

    def _open(self, worker: Worker, number: int, new: _Attached) -> None:
        """On every worker: interface, program, addresses, block; and the way to its addresses from inside."""
        limited = new.limits.packets or new.limits.octets
        bucket = self._buckets[number].address if limited else 0
        flows = new.limits.flows or max(1, self.tables.flows // 2)
        if not program_open(worker, number, new.port, new.claimant.family, self._life, bucket, flows):
            raise ProgramError("there is no room for another interface, or for its neighbours")
        for hi, lo in new.addresses:
            if not program_address(worker, number, hi, lo):
                raise ProgramError("there is no room for a route to one of its addresses")
        program_block(worker, number, *new.block)

    def remove_program(self, number: int) -> None:
        """The program has ended: what was its is taken back, and its connections are reset in the next turns."""
        gone = self._attached.pop(number)
        self._claims.forget(number)
        self._rests = {rest for rest in self._rests if rest[0] != number}
        self._stays = {stay for stay in self._stays if stay[0] != number}
        left = {address for each in self._attached.values() for address in each.addresses}

        def end(worker: Worker) -> None:
            program_end(worker, number)
            for hi, lo in set(gone.addresses) - left:
                address_left(worker, hi, lo)

        self._everywhere(end)
        self.engine.remove_port(gone.port)

    def change_user(self, number: int, user: int) -> None:
        """The program has another user; what it claims from now on is that one's."""
        known = self._attached[number]
        known.claimant = replace(known.claimant, user=user)

    # --- claims -------------------------------------------------------------------------------------------------------

    def claim(self, number: int, claim: Claim) -> int:
        """Carry out a LISTEN, BIND or TAKE; returns the errno of the Answer."""
        known = self._attached.get(number)
        if known is None:
            return errno.ESRCH
        if claim.kind == CLAIM_TAKE:
            return self._take(known, claim)
        held = held_of(claim, known.claimant)
        if claim.kind not in (CLAIM_LISTEN, CLAIM_BIND) or held is None:
            return errno.EINVAL
        if not held.fits(known.addresses):
            return errno.EADDRNOTAVAIL
        for other in self._attached.values():
            if other is not known and other.block[0] <= held.port <= other.block[1]:
                return errno.EADDRINUSE
        if self._claims.count() >= self.tables.claims:
            return errno.ENOSPC
        if self.engine.call(0, lambda worker: in_use(worker, held, known.addresses)):
            return errno.EADDRINUSE
        error, new = self._claims.add(held)
        if new:
            self._everywhere(lambda worker: claim_add(Root(worker.programs), number, *held.key))
            if claim.kind == CLAIM_LISTEN:
                self._let_rest(self._claims.heard_first(held))
        return error

    def _let_rest(self, held: Held | None) -> None:
        """A child serves its parent's listener: new connections are for the children. Those that there are stay."""
        if held is None:
            return
        number, key = held.claimant.number, held.key
        if (number, key) in self._rests or (number, key) in self._stays:
            return
        self._rests.add((number, key))
        self._everywhere(lambda worker: claim_remove(Root(worker.programs), number, *key))

    def _take_part(self, held: Held) -> int:
        """Who opened a listener accepts beside its children: some of the new connections are its own, from now on."""
        number, key = held.claimant.number, held.key
        if not self._claims.has(held):
            return errno.ENOENT
        self._stays.add((number, key))
        if (number, key) in self._rests:
            self._rests.remove((number, key))
            self._everywhere(lambda worker: claim_add(Root(worker.programs), number, *key))
        return 0

    def release(self, number: int, claim: Claim) -> int:
        """Give a claim back; returns 0, or ENOENT when there is none."""
        known = self._attached.get(number)
        held = held_of(claim, known.claimant) if known is not None else None
        if held is None:
            return errno.ENOENT
        error, last = self._claims.remove(held)
        if last:
            self._stays.discard((number, held.key))
        if last and (number, held.key) in self._rests:
            self._rests.remove((number, held.key))
        elif last:
            self._everywhere(lambda worker: claim_remove(Root(worker.programs), number, *held.key))
        return error

    def _take(self, known: _Attached, claim: Claim) -> int:
        """A connection of a relative's is this program's from now on. Without a far side: new ones of a listener."""
        held: Held | None = held_of(claim, known.claimant)
        if held is not None and (claim.far_port, claim.far_hi, claim.far_lo) == (0, 0, 0):
            return self._take_part(held)
        if held is None or held.family not in (4, 6) or claim.far_port == 0:
            return errno.EINVAL
        if (held.hi, held.lo) not in known.addresses:
            return errno.EADDRNOTAVAIL
        number = known.claimant.number
        ports = claim.far_port | held.port << 16 | held.protocol << 32 | held.family << 40
        far = claim.far_hi, claim.far_lo

        def ask(worker: Worker) -> int:
            return flow_program(worker, ports, *far, held.hi, held.lo)

        def take(worker: Worker) -> int:
            ask(worker)  # names it again: packets were handled in between
            return flow_take(worker, number)

        owners = {self.engine.call(index, ask) for index in range(self.queues)} - {-1}
        relatives = {other for other in owners if self._attached[other].claimant.family == known.claimant.family}
        if not owners or owners != relatives:
            return errno.EACCES
        done = [self.engine.call(index, take) for index in range(self.queues)]
        return 0 if all(done) else errno.ENOSPC

    # --- what there is ------------------------------------------------------------------------------------------------

    def programs(self) -> list[ProgramFacts]:
        """Of every attached program, summed over the workers; read while they run."""
        roots = [Root(self.engine.workers[index].programs) for index in range(self.queues)]
        return [
            program_facts(
                number,
                known.port,
                [root.programs[number] for root in roots],
                [self.engine.workers[index].queues[known.port] for index in range(self.queues)],
                known.driver,
                [claim_facts(held) for held in self._claims.of(number)],
            )
            for number, known in sorted(self._attached.items())
        ]
