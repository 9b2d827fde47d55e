"""What the tests of this folder read is the same in every mode: they run in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pronghorn.compiled import mode


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if mode() == "interpreted":
        for item in items:
            if Path(item.fspath).parent == Path(__file__).parent:
                item.add_marker(pytest.mark.skip(reason="files are the same in every mode"))
