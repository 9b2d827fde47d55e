"""What the demonstration prints: steps with their time, and a table that is drawn over itself on a terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text


class Script:
    """Output of one run."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.started = time.monotonic()
        self._live: Live | None = None
        self._printed = 0.0

    def say(self, text: str, style: str = "") -> None:
        """A step, with the seconds since the start."""
        line = Text(f"{time.monotonic() - self.started:5.1f} s  ", style="dim")
        self.console.print(line.append(text, style=style or "not dim"), soft_wrap=True)

    def show(self, services: Sequence[dict[str, Any]], note: str) -> None:
        """The table of services: redrawn on a terminal, printed every few seconds elsewhere."""
        table = draw(services, note)
        if self.console.is_terminal:
            if self._live is None:
                self._live = Live(console=self.console, auto_refresh=False)
                self._live.start()
            self._live.update(table, refresh=True)
        elif time.monotonic() - self._printed >= 4.0:
            self._printed = time.monotonic()
            self.console.print(table)

    def settle(self) -> None:
        """Leave the table as it stands and go on below it."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def draw(services: Sequence[dict[str, Any]], note: str) -> Table:
    """Services and servers with weights, connections and rates; fits 80 columns."""
    table = Table(title=note, title_justify="left", box=box.SIMPLE, pad_edge=False, show_edge=False)
    table.add_column("service", no_wrap=True)
    for name in ("server", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("active", "total", "new/s", "kB/s", "back"):
        table.add_column(name, justify="right", no_wrap=True)
    for service in services:
        for number, server in enumerate(service["servers"]):
            table.add_row(
                escape(service["address"]) if number == 0 else "",
                escape(server["name"] or server["address"]),
                Text(server["state"], style="yellow" if server["state"] == "drain" else "green"),
                str(server["active"]),
                str(server["connections"]),
                f"{server['connection_rate']:.0f}",
                f"{server['octet_rate_in'] / 1000:.0f}",
                f"{server['octet_rate_out'] / 1000:.0f}",
            )
    return table
