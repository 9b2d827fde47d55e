"""The programs that are attached to a gateway: who may come, what each gets, what it may claim, and its end.

Everything that a program says is checked here or in the data plane; what cannot be true ends its attachment
(`Violation`). What a program can use up is bounded: its block of ports, its share of the claims, its packets and
octets a second. Rights are those that a process has when it asks: who gave them up has lost them, but for the ports
that it inherited, as with bind(2). No sockets here: attach_server.py has them.
"""

from __future__ import annotations

import errno
import ipaddress
import itertools
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from pronghorn.control.kernel_ports import kernel_has
from pronghorn.control.lanes import Lanes
from pronghorn.control.log import say
from pronghorn.control.model import ADDRESSES, Config, Programs
from pronghorn.control.numbers import of_user
from pronghorn.control.plane import Admission, ProgramFacts, ProgramPlane
from pronghorn.control.views import ProgramView
from pronghorn.control.welcome import AnyAddress, Grant, Interface
from pronghorn.control.who import Peer, ancestors, is_listed, user_name, user_now
from pronghorn.net.state import MAPPED
from pronghorn.state.attach import CLAIM_CLOSE, CLAIM_LISTEN, CLAIM_TAKE, MAGIC, REUSE, SHARED, VERSION, Claim, Hello

PROTOCOLS = {6: "tcp", 17: "udp"}
FAMILIES = (4, 6, 10)
CLAIMS_EACH = 256  # at least; of one program
PRIVILEGED = 1024  # ports below are
LEFT = 256  # processes that have ended, whose families are remembered

_WORD = (1 << 64) - 1

Port = tuple[int, int]
"""Protocol and port."""


class Refused(Exception):
    """The program gets no link; the errno says why."""

    def __init__(self, error: int, why: str) -> None:
        self.error = error
        super().__init__(why)


class Violation(Exception):
    """The program has said what cannot be true."""


@dataclass(eq=False)
class Attached:
    """One process."""

    number: int
    peer: Peer
    name: str
    family: int  # of processes that have come from one by fork
    parent: int  # process that it has come from; 0: none that is attached
    addresses: tuple[Interface, ...]
    ports: tuple[int, int]
    lanes: Lanes
    user: int  # it runs as now; peer.user: when it attached
    inherited: frozenset[Port]
    since: float = field(default_factory=monotonic)
    claims: int = 0
    opened: set[Port] = field(default_factory=set)  # with rights that it may have given up since

    def bequeaths(self) -> frozenset[Port]:
        """Privileged ports that a child may go on with, whatever rights that has."""
        return self.inherited | self.opened


@dataclass(frozen=True)
class Left:
    """What is remembered of a process that has ended."""

    family: int
    user: int
    ports: frozenset[Port]


class Keeper:
    """All of them. `config` gives the running configuration, `interfaces` the ports' addresses and their MTU; from
    `secret` come those of each user's sequence numbers (numbers.py)."""

    def __init__(
        self,
        plane: ProgramPlane,
        config: Callable[[], Config],
        interfaces: Callable[[], Sequence[tuple[Interface, int]]],
        secret: bytes = b"",
        reap: Callable[[], None] = lambda: None,
        judge: Callable[[int, int], int] = user_now,
    ) -> None:
        self.plane, self._config, self._interfaces = plane, config, interfaces
        self.reap = reap  # ends the attachments of processes that have died and that nobody has noticed yet
        self._judge = judge
        self.programs: dict[int, Attached] = {}
        self._left: dict[int, Left] = {}  # by number of the process
        self._families = itertools.count(1)
        self.most = config().programs.most
        self._secret = secret or secrets.token_bytes()
        self._next_block = 0  # whoever comes next gets ports that were not in use just now, when there are such

    # --- coming and going ---------------------------------------------------------------------------------------------

    def attach(self, peer: Peer, hello: Hello) -> tuple[Attached, Grant]:
        """A link for who has said Hello. Raises Refused or Violation."""
        if hello.magic & _WORD != MAGIC:
            raise Violation("the first message is no Hello")
        if hello.version != VERSION:
            raise Refused(errno.EPROTONOSUPPORT, f"it speaks version {hello.version}, this gateway version {VERSION}")
        settings = self._config().programs
        if not is_listed(peer, settings.users, settings.groups):
            raise Refused(errno.EACCES, "its user is not in programs.users, nor its groups in programs.groups")
        number = next((free for free in range(self.most) if free not in self.programs), None)
        if number is None:
            raise Refused(errno.EUSERS, f"{self.most} programs are attached already (programs.most)")
        addresses, mtu = self._addresses(settings)
        try:
            lanes = Lanes(str(peer.pid), self.plane.octets, self.plane.queues)
        except OSError as error:
            raise Refused(error.errno or errno.ENOMEM, f"no memory for its link: {error.strerror}") from None
        parent = self._parent(peer, hello.parent)
        before = Left(parent.family, peer.user, parent.bequeaths()) if parent else self._left_by(peer, hello.parent)
        family = before.family or next(self._families)
        ports, of = self._block(settings), parent.peer.pid if parent else 0
        name = _text(hello)
        program = Attached(number, peer, name, family, of, addresses, ports, lanes, peer.user, before.ports)
        try:
            owned = tuple(own.ip for own in addresses)
            self.plane.add_program(Admission(number, lanes, owned, mtu, ports, family, peer.user), settings)
        except Exception as error:
            lanes.close()
            raise Refused(getattr(error, "errno", None) or errno.ENOSPC, f"the data plane: {error}") from None
        self.programs[number] = program
        return program, lanes.grant(addresses, mtu, ports, of_user(self._secret, peer.user))

    def detach(self, program: Attached) -> None:
        """The end of a process, or of its attachment: everything that it had is free."""
        if self.programs.get(program.number) is program:
            del self.programs[program.number]
            self._left[program.peer.pid] = Left(program.family, program.user, program.bequeaths())
            while len(self._left) > LEFT:
                del self._left[next(iter(self._left))]
            try:
                self.plane.remove_program(program.number)
            finally:
                program.lanes.close()

    def close(self) -> None:
        for program in list(self.programs.values()):
            self.detach(program)

    def _parent(self, peer: Peer, named: int) -> Attached | None:
        """The attached process that the program has come from; what it says is held against the kernel's word."""
        if named == 0 or named not in ancestors(peer.pid):
            return None
        for program in self.programs.values():
            if program.peer.pid == named:
                self._look(program, program.user)
                if peer.user in (program.peer.user, program.user):  # it was forked before, or after
                    return program
        return None

    def _left_by(self, peer: Peer, named: int) -> Left:
        """What a process has left that has ended: a program that becomes a daemon opens its sockets, forks and ends,
        and its grandchildren are to share them. Family 0: nobody of this user's had that number."""
        nothing = Left(0, peer.user, frozenset())
        left = self._left.get(named, nothing)
        return left if left.user == peer.user else nothing

    def _look(self, program: Attached, said: int) -> None:
        """Whose it is by now."""
        user = self._judge(program.peer.pid, said)
        if user != program.user:
            program.user = user
            self.plane.change_user(program.number, user)

    def _addresses(self, settings: Programs) -> tuple[tuple[Interface, ...], int]:
        """Own addresses of programs, and the least MTU of the ports that own them."""
        owned, config = list(self._interfaces()), self._config()
        if settings.addresses:
            chosen = [(own, mtu) for own, mtu in owned if own.ip in settings.addresses]
        else:
            taken = config.balancer.local_addresses
            chosen = [(own, mtu) for own, mtu in owned if own.ip not in taken and not own.is_link_local][:ADDRESSES]
        if not chosen:
            raise Refused(errno.EADDRNOTAVAIL, "no port has an address for programs (programs.addresses)")
        return tuple(own for own, _ in chosen), min(mtu for _, mtu in chosen)

    def _block(self, settings: Programs) -> tuple[int, int]:
        """Ports that no other program has."""
        low, high = settings.ports
        taken, blocks = [program.ports for program in self.programs.values()], (high - low + 1) // settings.ports_each
        for place in range(self._next_block, self._next_block + blocks):
            first = low + place % blocks * settings.ports_each
            last = first + settings.ports_each - 1
            if all(last < other[0] or other[1] < first for other in taken):
                self._next_block = place % blocks + 1
                return first, last
        raise Refused(errno.EADDRNOTAVAIL, "all blocks of programs.ports are taken")

    def views(self) -> list[ProgramView]:
        """All of them, as `pronghorn show programs` has them."""
        facts = self.plane.facts()
        for program in self.programs.values():
            self._look(program, program.user)
        return [_view(program, facts.get(number, ProgramFacts())) for number, program in self.programs.items()]

    # --- claims -------------------------------------------------------------------------------------------------------

    def claim(self, program: Attached, claim: Claim, said: int | None = None) -> int:
        """Carry a claim out; the errno for the Answer. `said`: the real user of who has sent it. Raises Violation."""
        if not (CLAIM_LISTEN <= claim.kind <= CLAIM_TAKE) or claim.flags & ~(SHARED | REUSE) != 0:
            raise Violation(f"a claim of kind {claim.kind} with flags {claim.flags:#x}")
        if claim.protocol not in PROTOCOLS or claim.family not in FAMILIES:
            raise Violation(f"a claim of protocol {claim.protocol} and family {claim.family}")
        if claim.kind == CLAIM_CLOSE:
            error = self.plane.release(program.number, claim)
            program.claims -= error == 0
            return error
        if claim.kind != CLAIM_TAKE and (claim.port < PRIVILEGED or claim.flags & REUSE):
            self._look(program, program.user if said is None else said)
        error = self._refusal(program, claim)
        if error:
            return error
        error = self.plane.claim(program.number, claim)
        if error == errno.EADDRINUSE:
            self.reap()
            error = self.plane.claim(program.number, claim) if program.number in self.programs else errno.ESRCH
        if error == 0 and claim.kind != CLAIM_TAKE:
            program.claims += 1
            if claim.port < PRIVILEGED:
                program.opened.add((claim.protocol, claim.port))
        return error

    def _refusal(self, program: Attached, claim: Claim) -> int:
        """Why not; 0: go on."""
        if claim.port == 0:
            return errno.EINVAL
        wanted = _address(claim)
        own = [interface.ip for interface in program.addresses]
        if wanted is not None and wanted not in own:
            return errno.EADDRNOTAVAIL
        if claim.kind == CLAIM_TAKE:
            return 0
        settings = self._config().programs
        trusted = program.user in (0, os.geteuid()) or settings.privileged_ports
        trusted = trusted or (claim.flags & SHARED != 0 and (claim.protocol, claim.port) in program.inherited)
        if claim.port < PRIVILEGED and not trusted:
            return errno.EACCES
        if program.claims >= CLAIMS_EACH:
            return errno.ENOSPC
        addresses = [wanted] if wanted is not None else own
        if self._is_balanced(claim, addresses) or any(
            kernel_has(claim.protocol, address, claim.port) for address in addresses
        ):
            return errno.EADDRINUSE
        return 0

    def _is_balanced(self, claim: Claim, addresses: Sequence[AnyAddress]) -> bool:
        """Whether a service has one of these."""
        protocol = PROTOCOLS[claim.protocol]
        return any(
            service.protocol == protocol
            and service.address.port == claim.port
            and any(service.address.address == address for address in addresses)
            for service in self._config().services
        )


def _address(claim: Claim) -> AnyAddress | None:
    """The address that is claimed; None: any."""
    hi, lo = claim.hi & _WORD, claim.lo & _WORD
    if hi == 0 and lo in (0, MAPPED):
        return None
    if hi == 0 and lo >> 32 == MAPPED >> 32:
        return ipaddress.IPv4Address(lo & 0xFFFF_FFFF)
    return ipaddress.IPv6Address(hi << 64 | lo)


def _text(hello: Hello) -> str:
    """The program's name, fit to be shown."""
    octets = bytes(hello.name[place] for place in range(32)).split(b"\0")[0]
    return "".join(letter if letter.isprintable() else "?" for letter in octets.decode(errors="replace")) or "?"


def _view(program: Attached, facts: ProgramFacts) -> ProgramView:
    return ProgramView(
        number=program.number,
        name=program.name,
        pid=program.peer.pid,
        user=user_name(program.user),
        parent=program.parent,
        age=monotonic() - program.since,
        linked=facts.linked,
        addresses=tuple(str(own.ip) for own in program.addresses),
        ports="{}-{}".format(*program.ports),
        claims=facts.claims,
        flows=facts.flows,
        packets_in=facts.packets_in,
        packets_out=facts.packets_out,
        octets_in=facts.octets_in,
        octets_out=facts.octets_out,
        dropped=sum(facts.drops.values()),
        drops=facts.drops,
        broken=facts.broken,
    )


def tell(program: Attached) -> None:
    """Say who has come."""
    of = f", from process {program.parent}" if program.parent else ""
    say(f"program {program.name} (process {program.peer.pid}, user {program.peer.user}{of}) has attached")
