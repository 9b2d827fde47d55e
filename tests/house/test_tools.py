"""What ./do installs as root, what it says without root, that it starts no service, and how it reports."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

import system
import verbs


class Machine:
    """A machine without any of the programs; records the commands that would run."""

    def __init__(self, patch: pytest.MonkeyPatch, manager: str, uid: int) -> None:
        self.commands: list[tuple[str, ...]] = []
        patch.setattr(shutil, "which", lambda name, path=None: f"/usr/bin/{name}" if name == manager else None)
        patch.setattr(os, "geteuid", lambda: uid)
        patch.setattr(system, "run", self.run)
        patch.delenv("PRONGHORN_SYSTEM_PACKAGES", raising=False)

    def run(self, *command: str) -> bool:
        self.commands.append(command)
        return True


def test_without_root_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(monkeypatch, "apt-get", uid=1000)
    system.ensure(["tshark", "ip"])
    said = capfd.readouterr().err
    assert machine.commands == []
    assert "missing: tshark" in said
    assert "sudo apt-get install -y tshark iproute2" in said


def test_the_distribution_decides_the_names(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    Machine(monkeypatch, "dnf", uid=1000)
    system.ensure(["tshark"])
    assert "sudo dnf install -y wireshark-cli" in capfd.readouterr().err


def test_root_may_forbid_it(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, "apt-get", uid=0)
    monkeypatch.setenv("PRONGHORN_SYSTEM_PACKAGES", "no")
    system.ensure(["tshark"])
    assert machine.commands == []


def test_a_daemon_is_masked_while_it_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine(monkeypatch, "apt-get", uid=0)
    monkeypatch.setattr(system, "SYSTEMD", tmp_path)
    monkeypatch.setenv("RUNLEVEL", "5")
    monkeypatch.setenv("DEBIAN_FRONTEND", "dialog")
    system.ensure(["curl", "nginx"])
    assert [command[:2] if command[0] == "systemctl" else command[-3:] for command in machine.commands] == [
        ("systemctl", "mask"),
        ("--no-install-recommends", "curl", "nginx"),
        ("systemctl", "unmask"),
        ("systemctl", "disable"),
    ]
    assert all(command[-1] == "nginx.service" for command in machine.commands if command[0] == "systemctl")
    assert os.environ["RUNLEVEL"] == "1"


def test_a_package_that_does_not_exist_keeps_no_other_away(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, "apt-get", uid=0)
    monkeypatch.setattr(system, "run", lambda *command: machine.run(*command) and "wrk" not in command)
    system.ensure(["curl", "wrk"])
    assert [command[-1] for command in machine.commands] == ["wrk", "-qq", "wrk", "curl", "wrk"]


def test_nothing_happens_where_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, "apt-get", uid=0)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: "/usr/bin/" + name)
    system.ensure(["ip", "curl", "nginx"])
    assert machine.commands == []


def test_verbs_name_known_programs() -> None:
    assert {name for verb in verbs.VERBS.values() for name in verb.programs} <= system.PROGRAMS.keys()


def test_every_step_runs_and_one_failure_fails(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verbs, "PYTHON", sys.executable)
    bad, good = ["-c", "raise SystemExit(3)"], ["-c", "import os; print(os.environ['WORD'])"]
    assert verbs.report([("bad", bad, {}), ("good", good, {"WORD": "spoken"})]) == 1
    captured = capfd.readouterr()
    assert captured.out == "spoken\n"
    assert "failed" in captured.err
    assert verbs.report([("good", good, {"WORD": "again"})]) == 0


def test_steps_run_at_the_same_time_and_one_failure_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verbs, "PYTHON", sys.executable)
    wait = "import os, sys; open(sys.argv[1], {!r}).close()"  # a FIFO: opens when the other end is opened
    os.mkfifo(tmp_path / "met")
    first: list[verbs.Step] = [(how, ["-c", wait.format(how), str(tmp_path / "met")], {}) for how in ("r", "w")]
    bad: verbs.Step = ("bad", ["-c", "raise SystemExit(3)"], {})
    assert verbs.report([], first) == 0
    assert verbs.report([], [*first, bad]) == 1
