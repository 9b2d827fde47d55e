"""Results as a table for people, with the bar beside each number, and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.bars import BARS
from bench.figures import short
from bench.harness import Result, data_plane

_MET = {True: "[green]met[/]", False: "[red]missed[/]", None: "[yellow]open[/]"}


def as_json(results: Sequence[Result]) -> str:
    return json.dumps([result.object() for result in results], indent=2)


def table(results: Sequence[Result]) -> Table:
    """One line each; below the numbers why some are missing."""
    grid = Table(
        box=SIMPLE_HEAD,
        title=f"Benchmarks, data plane: {data_plane()}",
        title_justify="left",
        caption_justify="left",
        pad_edge=False,
    )
    for title in ("name", "value", "unit", "spread", "peer", "its value", "ratio", "runs", "bar", ""):
        right = title in ("value", "spread", "its value", "ratio", "runs")
        grid.add_column(title, justify="right" if right else "left", no_wrap=True)
    for result in results:
        width = "-" if result.spread is None else f"{result.spread:.1%}"
        numbers = [result.name, short(result.value), result.unit, width]
        peer = [result.peer or "-", short(result.peer_value), short(result.ratio)]
        grid.add_row(*numbers, *peer, str(result.runs), str(BARS[result.name]), _MET[result.met])
    reasons = [f"{result.name}: {last_line(result.reason)}" for result in results if result.reason]
    if reasons:
        grid.caption = Text("\n".join(reasons))
    return grid


def last_line(text: str) -> str:
    """Of a traceback, what it comes to. The whole of it has been shown as progress and is in the JSON."""
    return text.strip().splitlines()[-1].strip()


def show(results: Sequence[Result], console: Console) -> None:
    console.print(table(results))
