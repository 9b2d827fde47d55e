"""The tables of measured behaviour are what the stack does now, octet for octet; tables.py writes them anew.

Interpreted, one cell stands for all: it has to be what the compiled code has written.
"""

from __future__ import annotations

import difflib

import pytest

from tests.simulator.goodput_table import BUFFERS, LOSSES, cell
from tests.simulator.tables import TABLES, table_file
from tests.simulator.transfers import COMPILED


@pytest.mark.skipif(not COMPILED, reason="minutes of traffic take the interpreter too long")
@pytest.mark.parametrize("name", TABLES)
def test_table(name: str) -> None:
    kept, measured = table_file(name).read_text(), TABLES[name]()
    changes = difflib.unified_diff(kept.splitlines(), measured.splitlines(), "kept", "measured", lineterm="", n=0)
    assert measured == kept, "\n".join(["python -m tests.simulator.tables writes it anew", *changes])


@pytest.mark.skipif(COMPILED, reason="the whole table is compared")
def test_a_cell_of_the_goodput_table() -> None:
    """CUBIC, 4 KiB, 30 %."""
    rows = [line.split() for line in table_file("goodput").read_text().splitlines()]
    row = next(row for row in rows if row[:2] == ["cubic", str(BUFFERS[0])])
    assert f"{cell(1, BUFFERS[0], LOSSES[-1]):.1f}" == row[-1]
