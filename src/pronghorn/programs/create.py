"""Making a worker's tables in an arena, named programs0.*, programs1.*, ... Plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pronghorn.compiled import fill, u32
from pronghorn.memory.arena import Arena
from pronghorn.memory.hashtable import create_hash_index
from pronghorn.programs.tables import PORTS, Claimed, Program, ProgramFlow, Programs
from pronghorn.state.worker import Worker


@dataclass(frozen=True)
class Tables:
    """Sizes of one worker's tables. Memory comes as it is used."""

    programs: int = 192
    claims: int = 16_384
    flows: int = 262_144


def create_programs(arena: Arena, worker: Worker, tables: Tables) -> Programs:
    """Empty tables for the worker, set as worker.programs. What an earlier process left in the arena is forgotten."""
    name, owner = f"programs{worker.index}", worker.index

    def table(part: str, kind: Any, count: int, octets: int = 0) -> Any:
        made = arena.table(f"{name}.{part}", kind, count, owner)
        if octets:
            fill(made.address, 0, octets * count)
        return made

    root: Programs = table("root", Programs, 1, Programs.SIZE)[0]
    root.programs, root.limit = table("programs", Program, tables.programs, Program.SIZE), tables.programs
    root.heads = table("heads", u32, 2 * PORTS, 4)
    root.blocks = table("blocks", u32, PORTS, 4)
    root.claims, root.claim_limit = table("claims", Claimed, tables.claims), tables.claims
    root.flows, root.flow_limit = table("flows", ProgramFlow, tables.flows), tables.flows
    root.index = create_hash_index(arena, f"{name}.flow", tables.flows, owner, worker.secret).address
    worker.programs = root.address
    return root
