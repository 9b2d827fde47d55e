"""The interposer of these sources, and `real`: tests that run only where `-m real` asks for them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.preload.conftest import interposer as interposer
from tests.programs.real.places import scratch


@pytest.fixture(scope="session")
def library(interposer: Path) -> Iterator[Path]:
    """libpronghorn.so with the interposer beside it, where programs that give up root can read it."""
    folder = scratch()
    for name in ("libpronghorn.so", "libpronghorn-preload.so", "pronghorn.h"):
        shutil.copy(interposer.with_name(name), folder)
    yield folder / "libpronghorn.so"
    shutil.rmtree(folder)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "real" in (config.option.markexpr or ""):
        return
    left_out = [item for item in items if item.get_closest_marker("real")]
    items[:] = [item for item in items if not item.get_closest_marker("real")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
