"""A few fuzzed conversations of each kind in this mode, some with every access checked; and that faults are noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from pronghorn.compiled import mode
from pronghorn.tcp.tcb import ESTABLISHED, LISTEN, TIME_WAIT, tcp_of
from tests.fuzz.stage import Failure
from tests.fuzz.talk import Stage, run_steps, run_talk

STEPS = 60 if mode() == "interpreted" else 3_000
ROUNDS = (0, 1) if mode() == "interpreted" else range(24)


@pytest.mark.parametrize("number", ROUNDS)
def test_a_conversation(number: int) -> None:
    result = run_talk(number, STEPS, 8 if mode() == "interpreted" else 1)
    assert result.frames > STEPS // 2


@pytest.mark.skipif(mode() != "interpreted", reason="compiling it anew takes minutes; the bounds-check run has it")
def test_every_access_checked() -> None:
    """In a process of its own: an access outside every table would abort it."""
    environment = {**os.environ, "PRONGHORN_BOUNDS": "1"}
    command = [sys.executable, "-m", "tests.fuzz", "--conversations", "--seed", "40", "--frames", "1", "--round", "30"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every access checked" in done.stdout


def test_the_same_number_gives_the_same_conversation() -> None:
    first, second = (run_talk(3, 20, 8) for _ in range(2))
    assert first == second
    assert run_talk(5, 20, 8) != first


@pytest.mark.skipif(mode() == "interpreted", reason="takes a million calls")
def test_connections_are_fuzzed_in_every_state() -> None:
    """But LISTEN, which is a listener's, and TIME_WAIT, which is counted apart."""
    seen, waited = 0, 0
    for number in range(12):
        with Stage(number) as stage:
            stage.choose()
            for _ in range(20):
                assert run_steps(stage.talk, stage.scratch, 100, 100) == -1
                waited += sum(tcp_of(worker).waiting_count for worker in stage.workers)
            seen |= stage.talk.states
    assert {state for state in range(12) if seen >> state & 1} == set(range(1, 12)) - {TIME_WAIT, LISTEN}
    assert waited > 0


def spoil_lost(tcb: Any) -> None:
    tcb.lost += 1


def spoil_timer(tcb: Any) -> None:
    tcb.retransmit_at = 0


def spoil_read(tcb: Any) -> None:
    tcb.rcv_read = tcb.rcv_read + 1 & 0xFFFF_FFFF


@pytest.mark.parametrize("spoil", [spoil_lost, spoil_timer, spoil_read])
def test_a_fault_is_noticed(spoil: Any) -> None:
    with Stage(8) as stage:
        stage.talk.delay = 10_000
        for _ in range(2000):
            assert run_steps(stage.talk, stage.scratch, 1, 1) == -1
            tcp = tcp_of(stage.workers[0])
            found = [tcp.tcbs[place] for place in range(tcp.fresh) if tcp.tcbs[place].state == ESTABLISHED]
            busy = [tcb for tcb in found if tcb.snd_nxt != tcb.snd_una and tcb.rcv_read == tcb.rcv_nxt]
            if busy:
                break
        spoil(busy[0])
        assert run_steps(stage.talk, stage.scratch, 1, 1) == 0
        assert stage.talk.fault


def test_a_fault_ends_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(talk: Any, *others: Any) -> int:
        talk.fault = 20
        return 7

    monkeypatch.setattr("tests.fuzz.talk.run_steps", run)
    with pytest.raises(Failure, match="conversation 5, step 7: side 0, 0: records in use are not counted right"):
        run_talk(5, 100)
