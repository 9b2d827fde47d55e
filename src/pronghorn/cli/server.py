"""pronghorn server: add, remove, weigh and drain the servers of a service while traffic flows."""

import time
from typing import Annotated, Any

import typer

from pronghorn.cli.options import Gateway, ServerLabel, ServiceName

commands = typer.Typer(no_args_is_help=True, help="Add, remove, weigh and drain servers while traffic flows.")

Weight = Annotated[int, typer.Argument(help="Its share of new connections, 0..65535.")]


@commands.command()
def add(
    service: ServiceName,
    address: Annotated[str, typer.Argument(metavar="ADDRESS:PORT", help="Where the server answers.")],
    weight: Annotated[int | None, typer.Option(help="Its share of new connections; 1 if not given.")] = None,
    name: Annotated[str | None, typer.Option(help="A name for tables and commands.")] = None,
    method: Annotated[
        str | None,
        typer.Option(metavar="full-nat|nat|direct|tunnel-...", help="How packets reach it; else as the service says."),
    ] = None,
    gateway: Gateway = None,
) -> None:
    """Add a server to a service."""
    body = {"address": address, "weight": weight, "name": name, "method": method}
    _send(gateway, "POST", (service, "servers"), {key: value for key, value in body.items() if value is not None})


@commands.command()
def remove(service: ServiceName, server: ServerLabel, gateway: Gateway = None) -> None:
    """Remove a server and close its connections. Drain it first to let them finish."""
    _send(gateway, "DELETE", (service, "servers", server))


@commands.command()
def weight(service: ServiceName, server: ServerLabel, weight: Weight, gateway: Gateway = None) -> None:
    """Change a server's share of new connections; 0 gives it none."""
    _send(gateway, "PATCH", (service, "servers", server), {"weight": weight})


@commands.command()
def drain(
    service: ServiceName,
    server: ServerLabel,
    wait: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Wait that long until it has no connections left.")
    ] = None,
    gateway: Gateway = None,
) -> None:
    """Give a server no new connections and let it keep those it has."""
    _send(gateway, "POST", (service, "servers", server, "drain"))
    if wait is not None:
        _await_empty(gateway, service, server, wait)


@commands.command()
def resume(service: ServiceName, server: ServerLabel, gateway: Gateway = None) -> None:
    """End a server's draining."""
    _send(gateway, "POST", (service, "servers", server, "resume"))


def _send(gateway: str | None, method: str, parts: tuple[str, ...], body: Any = None) -> None:
    from pronghorn.cli.output import print_plan
    from pronghorn.control.client import Client

    print_plan(Client(gateway).send(method, ("services", *parts), body=body)["plan"])


def _await_empty(gateway: str | None, service: str, server: str, seconds: float) -> None:
    """Look until the server has no connections; exit with 1 when it still has some in the end."""
    from pronghorn.control.client import Client

    client, end = Client(gateway), time.monotonic() + seconds
    while left := _connections(client.get("services"), service, server):
        if time.monotonic() >= end:
            typer.echo(f"{left} connections are left after {seconds:g} s", err=True)
            raise typer.Exit(1)
        time.sleep(min(0.5, max(end - time.monotonic(), 0)))
    typer.echo("no connections are left")


def _connections(shown: Any, service: str, label: str) -> int:
    servers = [server for found in shown["services"] if found["name"] == service for server in found["servers"]]
    return sum(s["active"] + s["inactive"] for s in servers if label in (s["name"], s["address"]))
