"""Whose is a port? Claims of programs, and blocks of ports that their outgoing connections use.

Of the claims to a port those with the packet's own address come before those with any. Of several equal ones the
packet's hash chooses; what keeps a flow with its program when others come and go is the flow's record (flows.py).

The control plane has seen to it that those who claim the same may (engine/program_claims.py).
"""

from __future__ import annotations

from pronghorn.compiled import entry, hot, leaf
from pronghorn.programs.tables import PORTS, Claimed, Program, Programs
from pronghorn.wire.numbers import PROTOCOL_UDP

NOBODY = -1
BOTH = 10
"""Claimed.family of a claim for IPv4 and IPv6."""


@leaf
def head_of(protocol: int, port: int) -> int:
    """Place in Programs.heads of a TCP or UDP port."""
    return (PORTS if protocol == PROTOCOL_UDP else 0) + port


@hot
def has_address(program: Program, hi: int, lo: int) -> bool:
    """Whether the program was given the address."""
    for place in range(program.count):
        if program.lo[place] == lo and program.hi[place] == hi:
            return True
    return False


@hot
def _fits(root: Programs, claim: Claimed, family: int, hi: int, lo: int) -> int:
    """How well the claim fits the address: 0 not at all, 1 any of the program's, 2 this very one."""
    if claim.family != family and claim.family != BOTH:
        return 0
    if not has_address(root.programs[claim.program], hi, lo):
        return 0
    if claim.lo == 0 and claim.hi == 0:
        return 1
    return 2 if claim.lo == lo and claim.hi == hi else 0


@hot
def claimant(root: Programs, protocol: int, port: int, family: int, hi: int, lo: int, hash: int) -> int:
    """The program to which the port at the address belongs by a claim, or NOBODY; `hash` has 32 bits.

    Sets root.shared_ports: whether there were several.
    """
    best, count = 0, 0
    place = root.heads[head_of(protocol, port)]
    while place != 0:
        claim = root.claims[place - 1]
        fit = _fits(root, claim, family, hi, lo)
        if fit > best:
            best, count = fit, 0
        if fit == best and fit != 0:
            count += 1
        place = claim.next
    root.shared_ports = 1 if count > 1 else 0
    if count == 0:
        return NOBODY
    return _pick(root, head_of(protocol, port), family, hi, lo, best, hash * count >> 32)


@hot
def _pick(root: Programs, head: int, family: int, hi: int, lo: int, best: int, number: int) -> int:
    """The program of claim `number` among those that fit best."""
    place = root.heads[head]
    while place != 0:
        claim = root.claims[place - 1]
        if _fits(root, claim, family, hi, lo) == best:
            if number == 0:
                return claim.program
            number -= 1
        place = claim.next
    return NOBODY


@hot
def block_owner(root: Programs, port: int, hi: int, lo: int) -> int:
    """The program in whose block the port is, if it has the address; or NOBODY."""
    number = root.blocks[port] - 1
    if number >= 0 and has_address(root.programs[number], hi, lo):
        return number
    return NOBODY


@hot
def may_send_from(root: Programs, number: int, protocol: int, port: int, family: int, hi: int, lo: int) -> bool:
    """Whether the program has claimed the port at its address, or has it in its block.

    Sets root.shared_ports: whether another one has claimed it, too.
    """
    root.shared_ports = 0
    if root.blocks[port] == number + 1:
        return True
    place, found, others = root.heads[head_of(protocol, port)], False, 0
    while place != 0:
        claim = root.claims[place - 1]
        if _fits(root, claim, family, hi, lo) != 0:
            if claim.program == number:
                found = True
            else:
                others = 1
        place = claim.next
    root.shared_ports = others
    return found


# --- changes, between two turns -----------------------------------------------------------------------------------


@entry
def claim_add(root: Programs, number: int, protocol: int, family: int, port: int, hi: int, lo: int) -> int:
    """The program has claimed this. 1, or 0 when there is no room."""
    place = root.claim_free
    if place != 0:
        root.claim_free = root.claims[place - 1].next
    elif root.claim_fresh < root.claim_limit:
        root.claim_fresh += 1
        place = root.claim_fresh
    else:
        return 0
    claim, head = root.claims[place - 1], head_of(protocol, port)
    claim.hi, claim.lo, claim.program, claim.port = hi, lo, number, port
    claim.protocol, claim.family, claim.used = protocol, family, 1
    claim.next = root.heads[head]
    root.heads[head] = place
    return 1


@entry
def claim_remove(root: Programs, number: int, protocol: int, family: int, port: int, hi: int, lo: int) -> int:
    """It has given it back. 1, or 0 when it had not claimed it."""
    head = head_of(protocol, port)
    before, place = 0, root.heads[head]
    while place != 0:
        claim = root.claims[place - 1]
        if claim.program == number and claim.family == family and claim.lo == lo and claim.hi == hi:
            if before != 0:
                root.claims[before - 1].next = claim.next
            else:
                root.heads[head] = claim.next
            claim.used, claim.next = 0, root.claim_free
            root.claim_free = place
            return 1
        before, place = place, claim.next
    return 0


@entry
def claims_end(root: Programs, number: int) -> None:
    """The program has ended: its claims and its block."""
    for place in range(root.claim_fresh):
        claim = root.claims[place]
        if claim.used != 0 and claim.program == number:
            claim_remove(root, number, claim.protocol, claim.family, claim.port, claim.hi, claim.lo)
    program = root.programs[number]
    if program.low != 0:
        for port in range(program.low, program.high + 1):
            if root.blocks[port] == number + 1:
                root.blocks[port] = 0


@entry
def block_set(root: Programs, number: int) -> None:
    """The ports from program.low to program.high are the program's."""
    program = root.programs[number]
    if program.low != 0:
        for port in range(program.low, program.high + 1):
            root.blocks[port] = number + 1
