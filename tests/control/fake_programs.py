"""A data plane for programs that only remembers: who is there, and who has claimed which port."""

from __future__ import annotations

import errno
import os

from pronghorn.control.model import Programs
from pronghorn.control.plane import Admission, ProgramFacts
from pronghorn.ports.link_lay import lanes_octets
from pronghorn.state.attach import SHARED, Claim


class FakePrograms:
    """Claims are by port alone: one family shares a port where all say so."""

    def __init__(self, queues: int = 2) -> None:
        self.queues, self.octets = queues, lanes_octets(queues)
        self.programs: dict[int, Admission] = {}
        self.held: dict[int, list[int]] = {}  # a duplicate of each descriptor
        self.claims: dict[int, dict[int, bool]] = {}
        self.users: dict[int, int] = {}
        self.fail: Exception | None = None

    def add_program(self, program: Admission, settings: Programs) -> None:
        if self.fail is not None:
            raise self.fail
        assert program.number not in self.programs
        assert os.fstat(program.lanes.memory).st_size == self.octets
        assert (len(program.lanes.ours), len(program.lanes.theirs)) == (self.queues, self.queues)
        self.programs[program.number], self.claims[program.number] = program, {}
        self.held[program.number] = [os.dup(one) for one in (*program.lanes.ours, *program.lanes.theirs)]

    def remove_program(self, number: int) -> None:
        del self.programs[number], self.claims[number]
        for descriptor in self.held.pop(number):
            os.close(descriptor)

    def change_user(self, number: int, user: int) -> None:
        self.users[number] = user

    def claim(self, number: int, claim: Claim) -> int:
        shared = bool(claim.flags & SHARED)
        for other, claims in self.claims.items():
            related = self.programs[other].family == self.programs[number].family
            if claim.port in claims and not (shared and claims[claim.port] and related):
                return errno.EADDRINUSE
        self.claims[number][claim.port] = shared
        return 0

    def release(self, number: int, claim: Claim) -> int:
        return 0 if self.claims[number].pop(claim.port, None) is not None else errno.ENOENT

    def facts(self) -> dict[int, ProgramFacts]:
        return {
            number: ProgramFacts(
                packets_in=10, linked=True, drops={"CLAIM_MISSING": 3}, claims=tuple(f"tcp *:{port}" for port in claims)
            )
            for number, claims in self.claims.items()
        }
