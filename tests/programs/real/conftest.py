"""The interposer of these sources, and `real`: tests that run only where `-m real` asks for them."""

from __future__ import annotations

import pytest

from tests.preload.conftest import interposer as interposer


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "real" in (config.option.markexpr or ""):
        return
    left_out = [item for item in items if item.get_closest_marker("real")]
    items[:] = [item for item in items if not item.get_closest_marker("real")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
