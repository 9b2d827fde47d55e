"""A round of fuzzing: a fresh engine with services, so many turns of 64 mutated frames, and the accounts.

Everything random comes from the round's number: the same number gives the same round again.
"""

from __future__ import annotations

import ctypes
import os
import secrets
from dataclasses import dataclass
from random import Random
from unittest.mock import patch

from pronghorn.balancer.configure import change_local_ports
from pronghorn.balancer.tables import Balancer
from pronghorn.compiled import Array, u8, u16
from pronghorn.net.fragments import Fragments
from pronghorn.net.state import net_of
from pronghorn.state.port import BURST
from pronghorn.state.worker import Worker
from tests.fuzz import seeds
from tests.fuzz.mutate import LONGEST, Fuzz, Seed
from tests.fuzz.rounds import missing, run_idle, run_turns
from tests.support.feed import EngineBench
from tests.support.worker import SECOND

VALUES = (
    0, 1, 2, 3, 4, 7, 8, 9, 14, 15, 16, 19, 20, 21, 28, 31, 39, 40, 41, 48, 53, 63, 64, 80, 127, 128, 255,
    256, 511, 512, 1279, 1280, 1281, 1400, 1472, 1480, 1500, 1501, 2000, 2001, 2002, 2003, 4096, 8080, 8191,
    8192, 16383, 16384, 8191, 8192, 8193, 8377, 16383, 16384, 24576, 32767, 32768, 34525, 33024, 2054, 65528,
    65529, 65534, 65535,
)  # fmt: skip
PROTOCOLS = (0, 1, 2, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 89, 132, 135, 139, 140, 253, 255)
DRAIN = 1200
"""Seconds after which nothing waits for anything: the longest timeout is 900 s."""


class Failure(AssertionError):
    """A round whose accounts are wrong; the text has what is needed to repeat it."""


@dataclass
class Result:
    """What a round did."""

    frames: int
    verdicts: dict[str, int]


def run_round(number: int, frames: int) -> Result:
    """Round `number` of at least `frames` frames. Raises Failure; a crash is a crash."""
    chance = Random(number)
    with patch.object(secrets, "randbits", chance.getrandbits), patch.object(os, "urandom", chance.randbytes):
        bench = EngineBench(
            workers=2,
            queues=1,
            packets=512 + 256 * (number & 1),
            large_packets=(number >> 1 & 1) * 8,
            forwarding=number >> 2 & 1,
            conns=48,
        )
    try:
        return _run(bench, chance, -(-frames // BURST), f"round {number}")
    finally:
        bench.engine.close()


def _run(bench: EngineBench, chance: Random, turns: int, name: str) -> Result:
    for family in (4, 6):
        bench.service("tcp", family, servers=(80, 81))
        bench.service("udp", family, 53)
        bench.service("sctp", family)
    bench.everywhere(lambda worker: change_local_ports(Balancer(worker.balancer), worker, *seeds.LOCAL_PORTS))
    first, second = bench.engine.workers[0], bench.engine.workers[1]
    fuzz, hand = _prepare(bench, chance)
    turn = run_turns(first, second, hand, fuzz, turns)
    if fuzz.bad:
        octets = ctypes.string_at(fuzz.first_bad.address, min(fuzz.first_bad_length, LONGEST)).hex()
        raise Failure(f"{name}, turn {turn}: sent a malformed frame of {fuzz.first_bad_length} octets, {octets}")
    if turn >= 0:
        raise Failure(f"{name}, turn {turn}: {missing(first)} and {missing(second)} packets are unaccounted for")
    run_idle(first, second, fuzz, DRAIN, SECOND)
    for worker in (first, second):
        left = {"held": worker.held, "conns": Balancer(worker.balancer).count, "missing": missing(worker)}
        left["fragments"] = Fragments(net_of(worker).fragments).held
        left["waiting"] = net_of(worker).waiting
        if any(left.values()):
            raise Failure(f"{name}, drained: worker {worker.index} is left with {left}")
    if bench.engine.free_packets() != bench.free:
        raise Failure(f"{name}, drained: {bench.free - bench.engine.free_packets()} packets are lost")
    return Result(fuzz.frames, dict(bench.counts()))


def _prepare(bench: EngineBench, chance: Random) -> tuple[Fuzz, Worker]:
    """The mutator's record with its seeds, and its generator."""
    arena, frames = bench.engine.arena, seeds.load()
    fuzz: Fuzz = arena.table("fuzz", Fuzz, 1)[0]
    hands: Array[Worker] = arena.table("fuzz.hand", Worker, 1)
    hands[0].random = chance.getrandbits(62) | 1
    octets: Array[u8] = arena.table("fuzz.octets", u8, sum(len(frame) for _, frame in frames))
    fuzz.seeds = arena.table("fuzz.seeds", Seed, len(frames))
    fuzz.first_bad = arena.table("fuzz.bad", u8, LONGEST)
    fuzz.seed_count, fuzz.value_count, fuzz.protocol_count = len(frames), len(VALUES), len(PROTOCOLS)
    fuzz.values, fuzz.protocols = arena.table("fuzz.values", u16, len(VALUES)), arena.table("fuzz.protocols", u8, 64)
    for place, value in enumerate(VALUES):
        fuzz.values[place] = value
    for place, value in enumerate(PROTOCOLS):
        fuzz.protocols[place] = value
    at = octets.address
    for place, (port, frame) in enumerate(frames):
        seed = fuzz.seeds[place]
        seed.octets, seed.length, seed.port = at, len(frame), port
        ctypes.memmove(at, frame, len(frame))
        at += len(frame)
    fuzz.now, fuzz.large = bench.now, int(bench.engine.large_pool is not None)
    return fuzz, hands[0]
