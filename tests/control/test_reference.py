"""The reference pages say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pronghorn.control.reference import PAGES

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_up_to_date(page: str) -> None:
    assert (FOLDER / page).read_text() == PAGES[page](), "run python -m pronghorn.control.reference"
