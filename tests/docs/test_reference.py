"""The reference pages say what the code says, and say it about everything."""

from __future__ import annotations

import pytest

import reference
from pronghorn.compiled import mode
from pronghorn.state.verdicts import VERDICTS

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="the pages are the same in every mode")


@pytest.mark.parametrize("page", reference.PAGES)
def test_pages_are_current(page: str) -> None:
    assert (reference.FOLDER / page).read_text() == reference.PAGES[page](), "run ./do docs"


def test_no_page_is_left_over() -> None:
    assert {path.name for path in reference.FOLDER.iterdir()} == set(reference.PAGES)


def test_nothing_is_left_out() -> None:
    assert all(f"`{verdict.name}`" in reference.verdicts() for verdict in VERDICTS.values())
    text = reference.cli()
    assert "## `pronghorn up CONFIG.toml`" in text
    assert "PRONGHORN_GATEWAY" in text
    assert "int64_t pronghorn_run(struct pronghorn_worker *worker);" in reference.c_interface()
    assert "| `struct pronghorn_packet` | 64 | 64 |" in reference.c_interface()
