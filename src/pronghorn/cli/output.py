"""What commands print besides tables: problems to standard error, plans and JSON to standard output."""

import json
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError
from typing import Any

import typer


def complain(text: str) -> None:
    """Say on standard error what is wrong; a configuration's problems stand one per line."""
    for line in text.splitlines():
        typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
        typer.echo(line, err=True)


def print_plan(steps: Iterable[Any], done: str = "done") -> None:
    """The actions of a plan, one per line."""
    texts = [step["text"] if isinstance(step, Mapping) else str(step) for step in steps]
    for text in texts:
        typer.echo(text)
    if not texts:
        typer.echo("nothing to change")
    elif done:
        typer.echo(done)


def print_json(data: Any) -> None:
    """Indented for people, one line for pipes."""
    typer.echo(json.dumps(data, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False))


def version() -> str:
    from importlib.metadata import version as installed

    try:
        return installed("pronghorn")
    except PackageNotFoundError:
        return "(not installed)"
