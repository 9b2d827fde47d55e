"""Fuzzed conversations: two engines, applications that call in any order, and a wire that may do anything.

A round is a number, from which everything random comes: which kind of wire, how fast, how the engines are set up. After
each step everything must hold (talk_check.py); in the end both applications close, time passes, and nothing is left.
"""

from __future__ import annotations

import ctypes
import os
import secrets
from contextlib import ExitStack
from ipaddress import ip_address, ip_interface
from random import Random
from typing import Any
from unittest.mock import patch

from pronghorn.compiled import hot, u8
from pronghorn.engine.engine import Engine
from pronghorn.engine.flush import flush
from pronghorn.engine.timers import timers
from pronghorn.engine.transports import Limits as TransportLimits
from pronghorn.engine.transports import create_transports, transports_output
from pronghorn.memory.buddy import Buddy
from pronghorn.net.configure import add_address, add_interface
from pronghorn.net.configure_routes import add_neighbour
from pronghorn.net.create import Limits, create_net
from pronghorn.net.state import net_of
from pronghorn.ports.null import NullPort
from pronghorn.state.endpoints import Address, endpoints_of
from pronghorn.state.packet import Packet
from pronghorn.state.port import CHECKSUM_TX, SEGMENTATION
from pronghorn.state.verdicts import VERDICTS
from pronghorn.state.worker import Worker
from pronghorn.tcp.tcb import NO_TCB, tcp_of
from tests.fuzz.stage import Failure, Result
from tests.fuzz.talk_check import FAULTS, check, check_lists
from tests.fuzz.talk_forge import forge
from tests.fuzz.talk_state import (
    CHUNK,
    CONNS,
    FRAMES,
    LEDGER,
    LONGEST,
    PERIOD,
    USERS,
    Entry,
    Frame,
    Octets,
    Talk,
    User,
    below,
    one_in,
    worker_of,
)
from tests.fuzz.talk_users import act, close, read, user_of
from tests.fuzz.talk_wire import arrive, capture

MILLISECOND, SECOND = 1_000_000, 1_000_000_000
START = 1_000 * SECOND
LIMITS = Limits(interfaces=2, addresses=8, routes=16, neighbours=16, waiting=8, paths=16, destinations=16, fragments=64)
PACKETS, LARGE = 1024, 96


@hot
def run_steps(talk: Talk, scratch: Packet, steps: int, counted: int) -> int:
    """So many steps; the lists are counted every `counted` steps. Returns the step with a fault, or -1."""
    for step in range(steps):
        _pass_time(talk)
        for side in range(2):
            worker = worker_of(talk, side)
            worker.now = talk.now
            transports_output(worker)
            arrive(talk, side)
            if talk.quiet == 0:
                if below(talk, 1024) < talk.forge:
                    forge(talk, side, scratch)
                for _ in range(below(talk, 6)):
                    act(talk, side)
            else:
                _read_on(talk, side)
            timers(worker)
            if one_in(talk, 2):
                transports_output(worker)  # so that nothing is pending, and everything is to be seen
            capture(talk, side)
            flush(worker)
            check(talk, side)
            if step % counted == 0:
                check_lists(talk, side)
        if talk.fault != 0:
            return step
    return -1


@hot
def _pass_time(talk: Talk) -> None:
    """Mostly less than a round trip, seldom as much as timers wait for."""
    passed = below(talk, 8000) * 1000
    if one_in(talk, 64):
        passed = below(talk, 1000) * MILLISECOND
    if one_in(talk, 2048):
        passed = below(talk, 100) * SECOND
    talk.now += passed


@hot
def _read_on(talk: Talk, side: int) -> None:
    """Towards the end: read what comes, and close what is over."""
    for place in range(USERS):
        user = user_of(talk, side, place)
        if user.kind == 2:
            read(talk, side, user, 30_000)
            if user.ended != 0 or one_in(talk, 20):
                close(talk, side, user)
        elif user.kind == 1:
            close(talk, side, user)


@hot
def close_all(talk: Talk) -> None:
    """Both applications end."""
    for side in range(2):
        for place in range(USERS):
            user = user_of(talk, side, place)
            if user.kind != 0:
                close(talk, side, user)


@hot
def run_out(talk: Talk, turns: int, step: int) -> int:
    """Nothing but time passes, `step` ns each turn. Returns the turn with a fault, or -1."""
    for turn in range(turns):
        talk.now += step
        for side in range(2):
            worker = worker_of(talk, side)
            worker.now = talk.now
            arrive(talk, side)
            timers(worker)
            transports_output(worker)
            capture(talk, side)
            flush(worker)
            check(talk, side)
            check_lists(talk, side)
        if talk.fault != 0:
            return turn
    return -1


# --- a round ------------------------------------------------------------------------------------------------------


class Stage:
    """Two engines and what is between them."""

    def __init__(self, number: int) -> None:
        self.chance = Random(number)
        other = Random(number)  # how often an engine draws, it decides
        with patch.object(secrets, "randbits", other.getrandbits), patch.object(os, "urandom", other.randbytes):
            self.engines = [Engine(1, PACKETS, LARGE) for _ in range(2)]
            table = self.engines[0].arena.table
            self.talk: Talk = table("talk", Talk, 1)[0]
            self.workers = [self._engine(side) for side in range(2)]
        self._tables(table)
        self.free = [engine.free_packets() for engine in self.engines]

    def _engine(self, side: int) -> Worker:
        """An engine's worker, with an address of each family and knowing the other's."""
        engine, chance = self.engines[side], self.chance
        worker: Worker = engine.workers[0]
        worker.now, worker.random, worker.secret = START, chance.getrandbits(62) | 1, chance.getrandbits(62)
        create_net(engine.arena, worker, LIMITS)
        buffers = chance.choice((1 << 23, 1 << 24, 1 << 26))
        create_transports(engine.arena, worker, TransportLimits(sockets=64, datagrams=8, conns=CONNS, buffers=buffers))
        engine.add_port(NullPort())
        mac = 0x0200_0000_0010
        worker.ports[0].mac = mac + side
        if chance.randrange(3) == 0:
            worker.ports[0].offloads = chance.choice((CHECKSUM_TX, CHECKSUM_TX | SEGMENTATION))
        add_interface(worker, 0, 0)
        for network in ("10.0.0.{}/24", "2001:db8::{}/64"):
            add_address(worker, 0, ip_interface(network.format(1 + side)))
            add_neighbour(worker, 0, ip_address(network.format(2 - side).split("/")[0]), mac + 1 - side)
        tcp = tcp_of(worker)
        tcp.secret, tcp.secret2, tcp.port_salt = (chance.getrandbits(62) for _ in range(3))
        tcp.timestamps, tcp.sack, tcp.window_scaling = (int(chance.randrange(5) > 0) for _ in range(3))
        tcp.ecn, tcp.syncookies = chance.randrange(3), chance.randrange(3)
        tcp.fast_open, tcp.tunings[0].fast_connect = chance.choice((0, 3, 1027)), chance.randrange(2)
        tcp.congestion = chance.randrange(3)
        tcp.tunings[0].congestion = tcp.congestion
        tcp.waiting_limit = chance.choice((4, 1000))
        tcp.port_low, tcp.port_high = 40_000, chance.choice((40_007, 50_000))
        tcp.tunings[0].user_timeout = chance.choice((0, 0, 5000))
        self.talk.workers[side] = worker.address
        return worker

    def _tables(self, table: Any) -> None:
        talk, chance = self.talk, self.chance
        hand: Worker = table("talk.chance", Worker, 1)[0]
        hand.random = chance.getrandbits(62) | 1
        talk.chance, talk.now = hand.address, START
        talk.frames, talk.users = table("talk.frames", Frame, FRAMES), table("talk.users", User, 2 * USERS)
        talk.ledger, talk.value = table("talk.ledger", Entry, LEDGER), table("talk.value", Octets, 1).address
        talk.name = table("talk.address", Address, 1).address
        self._room = talk.room = table("talk.room", u8, CHUNK).address
        talk.pattern = table("talk.pattern", u8, CHUNK + 2 * PERIOD).address
        octets = bytes(chance.getrandbits(8) for _ in range(PERIOD))
        ctypes.memmove(talk.pattern, octets * (CHUNK // PERIOD + 2), CHUNK + PERIOD)
        rooms = table("talk.octets", Octets, FRAMES).address
        for number in range(FRAMES):
            talk.frames[number].octets, talk.free[number] = rooms + number * LONGEST, number
        talk.free_count = FRAMES
        self.scratch: Packet = table("talk.scratch", Packet, 1)[0]
        self.scratch.chunk = table("talk.forged", Octets, 1).address

    def choose(self) -> None:
        """The kind of round."""
        talk, chance = self.talk, self.chance
        talk.quality = chance.randrange(3)
        talk.loss = chance.choice((0, 5, 30, 100, 300))
        talk.change, talk.forge = (
            chance.choice((10, 100, 400)),
            0 if talk.quality == 0 else chance.choice((20, 200, 800)),
        )
        talk.delay, talk.jitter = chance.choice((0, 500, 10_000, 50_000)), chance.choice((0, 3000, 40_000))

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as last:
            for engine in self.engines:
                last.callback(engine.close)


def run_talk(number: int, steps: int, counted: int = 1) -> Result:
    """Round `number` of so many steps. Raises Failure."""
    name = f"conversation {number}"
    with Stage(number) as stage:
        talk = stage.talk
        while any(net_of(worker).announcing for worker in stage.workers):
            assert run_out(talk, 1, SECOND) == -1
        stage.choose()
        step = run_steps(talk, stage.scratch, steps, counted)
        _judge(talk, f"{name}, step {step}")
        talk.quiet = 1
        step = run_steps(talk, stage.scratch, max(steps // 10, 40), counted)
        _judge(talk, f"{name}, quiet step {step}")
        close_all(talk)
        for turns, length in ((30, SECOND), (100, 60 * SECOND)):
            turn = run_out(talk, turns, length)
            _judge(talk, f"{name}, last turn {turn}")
        for side in range(2):
            _judge_end(stage, side, name)
        found: dict[str, int] = {}
        for worker in stage.workers:
            for verdict in VERDICTS.values():
                if worker.verdicts[verdict.number]:
                    found[verdict.name] = found.get(verdict.name, 0) + worker.verdicts[verdict.number]
        return Result(talk.segments, found)


def _judge(talk: Talk, name: str) -> None:
    if talk.fault:
        raise Failure(f"{name}: side {talk.fault_side}, {talk.fault_tcb}: {FAULTS[talk.fault]}")


def _judge_end(stage: Stage, side: int, name: str) -> None:
    """Nothing is left of it."""
    worker, engine = stage.workers[side], stage.engines[side]
    tcp, endpoints = tcp_of(worker), endpoints_of(worker)
    states = [tcp.tcbs[place].state for place in range(tcp.fresh) if tcp.tcbs[place].state]
    tunings, listeners = 0, 0
    free, unbound = tcp.tuning_free, tcp.listener_free
    while free != NO_TCB:
        free, tunings = tcp.tunings[free].next, tunings + 1
    while unbound != NO_TCB:
        unbound, listeners = tcp.listeners[unbound].next, listeners + 1
    left = {
        "connections": states,
        "buffers": Buddy(endpoints.buddy).used,
        "sockets": endpoints.socket_count,
        "listeners": tcp.listener_limit - listeners,
        "tunings": tcp.tuning_fresh - 1 - tunings,
        "packets": stage.free[side] - engine.free_packets(),
    }
    if any(left.values()):
        raise Failure(f"{name}, ended: side {side} is left with {left}")
