"""The gateway's data plane for programs behind the control plane's interface (plane.ProgramPlane)."""

from __future__ import annotations

from pronghorn.control.model import Programs as Settings
from pronghorn.control.plane import Admission, ProgramFacts
from pronghorn.engine.engine import Engine
from pronghorn.engine.programs import ClaimFacts, Limits, Programs, Tables
from pronghorn.state.attach import Claim

CLAIMS_EACH = 256  # as in keeper.py


class NativePrograms:
    """Follows plane.ProgramPlane."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        """Once, after the tables of every worker were made."""
        self._programs = Programs(engine, Tables(programs=settings.most, claims=settings.most * CLAIMS_EACH))
        self.queues, self.octets = self._programs.queues, self._programs.octets

    def add_program(self, program: Admission, settings: Settings) -> None:
        self._programs.add_program(
            program.number,
            program.lanes.memory,
            program.lanes.ours,
            program.lanes.theirs,
            program.mtu,
            program.addresses,
            program.ports,
            program.family,
            program.user,
            Limits(settings.packets_per_second, settings.octets_per_second, settings.flows),
        )

    def remove_program(self, number: int) -> None:
        self._programs.remove_program(number)

    def change_user(self, number: int, user: int) -> None:
        self._programs.change_user(number, user)

    def claim(self, number: int, claim: Claim) -> int:
        return self._programs.claim(number, claim)

    def release(self, number: int, claim: Claim) -> int:
        return self._programs.release(number, claim)

    def facts(self) -> dict[int, ProgramFacts]:
        return {
            one.number: ProgramFacts(
                one.packets_in,
                one.octets_in,
                one.packets_out,
                one.octets_out,
                one.flows,
                one.broken,
                one.linked,
                dict(one.drops),
                tuple(map(_text, one.claims)),
            )
            for one in self._programs.programs()
        }


def _text(claim: ClaimFacts) -> str:
    """As "tcp *:80" (both families), "tcp 0.0.0.0:80", "udp 10.0.0.1:53 shared"."""
    address = f"[{claim.address}]" if ":" in claim.address else claim.address
    if address == "*":
        address = {4: "0.0.0.0", 6: "[::]"}.get(claim.family, "*")
    marks = " shared" * claim.shared + " reuse" * claim.reuse
    return f"{claim.protocol} {address}:{claim.port}{marks}"
