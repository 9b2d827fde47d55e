"""A runtime directory of its own for every test, and one daemon that tests share where that is possible."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.control.client import Client
from tests.control.gateways import CONFIG, Daemon, running


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    chosen = tmp_path / "run"
    monkeypatch.setenv("PRONGHORN_RUNTIME_DIR", str(chosen))
    return chosen


@pytest.fixture(scope="session")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("shared")
    with contextlib.ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:  # for the start alone: other tests have gateways of their own
            patch.setenv("PRONGHORN_RUNTIME_DIR", str(folder / "run"))
            daemon = stack.enter_context(running(folder))
        yield daemon


@pytest.fixture
def daemon(shared_daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """The shared daemon, as if it had just started. For tests that do not end it."""
    monkeypatch.setenv("PRONGHORN_RUNTIME_DIR", str(shared_daemon.config.parent / "run"))
    shared_daemon.config.write_text(CONFIG)
    Client("edge").send("PUT", ("config",), {}, CONFIG)
    return shared_daemon
