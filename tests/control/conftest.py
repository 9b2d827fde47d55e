"""A runtime directory of its own for every test."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    chosen = tmp_path / "run"
    monkeypatch.setenv("PRONGHORN_RUNTIME_DIR", str(chosen))
    return chosen
