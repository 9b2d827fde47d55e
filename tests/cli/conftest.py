"""The command line beside a daemon that runs over the fake engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pronghorn.cli import main
from tests.control.conftest import daemon, runtime_directory, shared_daemon

__all__ = ["daemon", "runtime_directory", "shared_daemon"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command as the program would; gives the exit status, the output and the complaints."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        said = capsys.readouterr()
        code = caught.value.code
        return (code if isinstance(code, int) else 0), said.out, said.err

    return call
