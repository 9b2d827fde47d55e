"""The tables of measured behaviour: text beside this file, which a test compares octet for octet.

    PRONGHORN_MODE=jit python -m tests.simulator.tables [NAME ...]

writes them anew: all of them, or those named. A seed fixes everything, so a table changes only when the stack or the
simulator does; what changed and why belongs into the commit, and what it means into docs/adr/0011-tcp-under-loss.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.simulator.conditions_table import conditions_table
from tests.simulator.fairness_table import fairness_table, late_table, rivals_table
from tests.simulator.goodput_table import goodput_table

PLACE = Path(__file__).parent / "tables"
TABLES: dict[str, Callable[[], str]] = {
    "goodput": goodput_table,
    "fairness": fairness_table,
    "rivals": rivals_table,
    "late": late_table,
    "conditions": conditions_table,
}


def table_file(name: str) -> Path:
    """Where the table is kept."""
    return PLACE / f"{name}.txt"


def main(names: list[str]) -> int:
    """Write tables; the exit status."""
    unknown = set(names) - set(TABLES)
    if unknown:
        print(f"no table {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}", file=sys.stderr)
        return 2
    PLACE.mkdir(exist_ok=True)
    for name in names or TABLES:
        table_file(name).write_text(TABLES[name]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
