"""pronghorn set: look into named sets and change their entries while traffic flows."""

from typing import Annotated, Any

import typer

from pronghorn.cli.options import Gateway, Json

commands = typer.Typer(no_args_is_help=True, help="Look into named sets and change their entries while traffic flows.")

Name = Annotated[str, typer.Argument(metavar="SET", help="The set's name.")]
Entries = Annotated[
    list[str], typer.Argument(metavar="ENTRY...", help='As in ipset: 192.0.2.1, 192.0.2.0/24, "192.0.2.1,udp:53" ...')
]


@commands.command()
def add(
    name: Name,
    entries: Entries,
    timeout: Annotated[
        int | None, typer.Option(metavar="SECONDS", help="How long they last; 0: for ever; the set's own if absent.")
    ] = None,
    comment: Annotated[str | None, typer.Option(help="What to remember about them.")] = None,
    nomatch: Annotated[bool, typer.Option("--nomatch", help="An exception: not in the set.")] = False,
    gateway: Gateway = None,
) -> None:
    """Add entries; of those that are there, time and comment change."""
    options = f" timeout {timeout}" if timeout is not None else ""
    options += f' comment "{comment}"' if comment else ""
    options += " nomatch" if nomatch else ""
    changed = _send(gateway, name, "add", [entry + options for entry in entries])["changed"]
    typer.echo(f"{changed} added, {len(entries) - changed} were there")


@commands.command("del")
def delete(name: Name, entries: Entries, gateway: Gateway = None) -> None:
    """Take entries out."""
    changed = _send(gateway, name, "del", entries)["changed"]
    typer.echo(f"{changed} taken out, {len(entries) - changed} were not there")


@commands.command("test")
def ask(name: Name, entry: Annotated[str, typer.Argument(metavar="ENTRY")], gateway: Gateway = None) -> None:
    """Say whether exactly this entry is there, and what it has met; exit with 1 when it is not."""
    found = _send(gateway, name, "test", [entry])["entries"]
    typer.echo(_line(found[0]) if found else f"{entry} is not in {name}")
    if not found:
        raise typer.Exit(1)


@commands.command()
def flush(name: Name, gateway: Gateway = None) -> None:
    """Take all entries out."""
    typer.echo(f"{_send(gateway, name, 'flush', [])['changed']} taken out")


@commands.command("list")
def list_entries(name: Name, json: Json = False, gateway: Gateway = None) -> None:
    """The entries, as they can be written in a file, and the packets that each has decided about."""
    from pronghorn.cli.output import print_json
    from pronghorn.control.client import Client

    found = Client(gateway).get("sets", name)
    if json:
        print_json(found)
        return
    for entry in found["entries"]:
        typer.echo(_line(entry))


def _send(gateway: str | None, name: str, what: str, entries: list[str]) -> Any:
    from pronghorn.control.client import Client

    return Client(gateway).send("POST", ("sets", name, what), body={"entries": entries})


def _line(entry: dict[str, Any]) -> str:
    parts = [entry["entry"]]
    if entry["timeout"] is not None:
        parts.append(f"timeout {entry['timeout']}")
    if entry["comment"]:
        parts.append(f'comment "{entry["comment"]}"')
    if entry["nomatch"]:
        parts.append("nomatch")
    return f"{' '.join(parts)}  # {entry['packets']} packets, {entry['octets']} octets"
