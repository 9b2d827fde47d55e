"""A short run of the fuzzer in this mode and one with every access checked; and that it would notice."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from pronghorn.compiled import mode
from pronghorn.state.packets import allocate
from tests.fuzz.frames import KINDS, text
from tests.fuzz.rounds import run_turns
from tests.fuzz.seeds import FOLDER
from tests.fuzz.stage import Failure, run_round

FRAMES = 1_000 if mode() == "interpreted" else 100_000
ROUNDS = (11, 14, 17)  # with and without large chunks and forwarding


@pytest.mark.parametrize("number", ROUNDS)
def test_a_round(number: int) -> None:
    result = run_round(number, FRAMES)
    assert result.frames > FRAMES // 2
    assert len(result.verdicts) > (40 if mode() == "interpreted" else 80)


@pytest.mark.skipif(mode() != "interpreted", reason="compiling it anew takes a minute; ./do check --all has it")
def test_every_access_checked() -> None:
    """In a process of its own: an access outside every table would abort it."""
    environment = {**os.environ, "PRONGHORN_BOUNDS": "1"}
    command = [sys.executable, "-m", "tests.fuzz", "--frames", "1", "--seed", "7", "--round", "6000"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every access checked" in done.stdout


def test_the_same_number_gives_the_same_round() -> None:
    first, second = (run_round(23, 640) for _ in range(2))
    assert first == second
    assert run_round(24, 640) != first


def test_a_packet_that_is_not_accounted_for_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(first: Any, second: Any, hand: Any, fuzz: Any, turns: int) -> int:
        first.received += 1
        return run_turns(first, second, hand, fuzz, turns)

    monkeypatch.setattr("tests.fuzz.stage.run_turns", run)
    with pytest.raises(Failure, match="round 5, turn 0: 1 and 0 packets are unaccounted for"):
        run_round(5, 640)


def test_a_lost_packet_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(first: Any, *others: Any) -> int:
        allocate(first)
        return run_turns(first, *others)

    monkeypatch.setattr("tests.fuzz.stage.run_turns", run)
    with pytest.raises(Failure, match="round 5, drained: 1 packets are lost"):
        run_round(5, 640)


def test_a_malformed_frame_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(first: Any, *others: Any) -> int:
        first.ports[0].mac ^= 1 << 40  # a group: no frame of ours comes from there
        return run_turns(first, *others)

    monkeypatch.setattr("tests.fuzz.stage.run_turns", run)
    with pytest.raises(Failure, match=r"round 5, turn \d+: sent a malformed frame of \d+ octets, [0-9a-f]+"):
        run_round(5, 64_000)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seeds_are_kept(kind: str) -> None:
    """What scapy makes today is what the file has."""
    assert (FOLDER / f"{kind}.hex").read_text() == text(kind)
