"""pronghorn show: what a running gateway does, as tables or JSON."""

import time
from typing import Annotated, Any

import typer

from pronghorn.cli.options import Gateway, Json

commands = typer.Typer(no_args_is_help=True, help="Show what a running gateway does.")

Watch = Annotated[bool, typer.Option("--watch", help="Show again and again until Ctrl-C.")]
Every = Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.2, help="How often, with --watch.")]
Limit = Annotated[int, typer.Option(min=0, help="How many connections or sockets at most.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Only those with this port, on either end.")]
Address = Annotated[
    str | None, typer.Option(metavar="ADDRESS[/LENGTH]", help="Only those with this address, on either end.")
]


@commands.command()
def services(json: Json = False, watch: Watch = False, every: Every = 1.0, gateway: Gateway = None) -> None:
    """Services and their servers: weights, states, connections, rates."""
    show("services", json, every if watch else None, gateway)


@commands.command()
def conns(
    limit: Limit = 100, json: Json = False, watch: Watch = False, every: Every = 1.0, gateway: Gateway = None
) -> None:
    """Balanced connections: client, service, local and server endpoint."""
    show("conns", json, every if watch else None, gateway, limit=str(limit))


@commands.command()
def persistence(
    limit: Limit = 100, json: Json = False, watch: Watch = False, every: Every = 1.0, gateway: Gateway = None
) -> None:
    """Clients that stay with their servers, and for how long."""
    show("persistence", json, every if watch else None, gateway, limit=str(limit))


@commands.command()
def ports(json: Json = False, watch: Watch = False, every: Every = 1.0, gateway: Gateway = None) -> None:
    """Ports: link, addresses, packets, bits, drops."""
    show("ports", json, every if watch else None, gateway)


@commands.command()
def workers(json: Json = False, watch: Watch = False, every: Every = 1.0, gateway: Gateway = None) -> None:
    """Workers: load, turns, packets, packet buffers."""
    show("workers", json, every if watch else None, gateway)


@commands.command()
def neighbours(json: Json = False, watch: Watch = False, every: Every = 1.0, gateway: Gateway = None) -> None:
    """Neighbours: hardware addresses and their states."""
    show("neighbours", json, every if watch else None, gateway)


@commands.command()
def routes(json: Json = False, watch: Watch = False, every: Every = 1.0, gateway: Gateway = None) -> None:
    """Routes: the ports' own networks and those configured."""
    show("routes", json, every if watch else None, gateway)


@commands.command()
def drops(json: Json = False, watch: Watch = False, every: Every = 1.0, gateway: Gateway = None) -> None:
    """Dropped packets, by reason."""
    show("drops", json, every if watch else None, gateway)


@commands.command()
def tcp(
    listening: Annotated[bool, typer.Option("--listening", "-l", help="Sockets that listen, not connections.")] = False,
    state: Annotated[
        list[str] | None, typer.Option(metavar="STATE", help="Only these: established, time-wait ..., as in ss(8).")
    ] = None,
    port: Port = None,
    address: Address = None,
    limit: Limit = 100,
    json: Json = False,
    watch: Watch = False,
    every: Every = 1.0,
    gateway: Gateway = None,
) -> None:
    """TCP connections that end in the gateway: queues, windows, round trips, losses, timers."""
    query = _ends(port, address, limit)
    if listening:
        query["listening"] = "1"
    if state:
        query["state"] = ",".join(state)
    show("tcp", json, every if watch else None, gateway, **query)


@commands.command()
def udp(
    port: Port = None,
    address: Address = None,
    limit: Limit = 100,
    json: Json = False,
    watch: Watch = False,
    every: Every = 1.0,
    gateway: Gateway = None,
) -> None:
    """Datagram sockets of the gateway: UDP and ICMP echo."""
    show("udp", json, every if watch else None, gateway, **_ends(port, address, limit))


@commands.command()
def snmp(
    zeros: Annotated[bool, typer.Option("--zeros", "-z", help="Counters that are zero too; --json has them.")] = False,
    json: Json = False,
    watch: Watch = False,
    every: Every = 1.0,
    gateway: Gateway = None,
) -> None:
    """Counters by their SNMP names, as nstat(8) shows the kernel's."""
    show("snmp", json, every if watch else None, gateway, **({} if zeros or json else {"counted": "1"}))


@commands.command()
def programs(json: Json = False, watch: Watch = False, every: Every = 1.0, gateway: Gateway = None) -> None:
    """Attached programs: what they claim, connections, rates, drops."""
    show("programs", json, every if watch else None, gateway)


@commands.command()
def sets(json: Json = False, watch: Watch = False, every: Every = 1.0, gateway: Gateway = None) -> None:
    """Named sets: how many entries, who asks them, packets decided; `pronghorn set list` has the entries."""
    show("sets", json, every if watch else None, gateway)


@commands.command()
def health(json: Json = False, watch: Watch = False, every: Every = 1.0, gateway: Gateway = None) -> None:
    """Health of servers: checks, since when, how often up and down, and why."""
    show("health", json, every if watch else None, gateway)


def _ends(port: int | None, address: str | None, limit: int) -> dict[str, str]:
    """The query that port and address stand for."""
    query = {"limit": str(limit)}
    if port is not None:
        query["port"] = str(port)
    if address is not None:
        query["address"] = address
    return query


def show(kind: str, json: bool, every: float | None, gateway: str | None, **query: str) -> None:
    """One kind of view, once or again and again."""
    from pronghorn.control.client import Client

    client = Client(gateway)
    if json:
        _print(client, kind, every, query)
    elif every is None:
        from pronghorn.cli.tables import console, table

        console().print(table(kind, client.get(kind, **query)[kind]))
    else:
        _refresh(client, kind, every, query)


def _print(client: Any, kind: str, every: float | None, query: dict[str, str]) -> None:
    """JSON; one object per look when watching."""
    from pronghorn.cli.output import print_json

    print_json(client.get(kind, **query))
    while every is not None:
        time.sleep(every)
        print_json(client.get(kind, **query))


def _refresh(client: Any, kind: str, every: float, query: dict[str, str]) -> None:
    """A table that is drawn over itself until Ctrl-C."""
    from rich.live import Live

    from pronghorn.cli.tables import console, table

    with Live(table(kind, client.get(kind, **query)[kind]), console=console(), auto_refresh=False) as live:
        while True:
            time.sleep(every)
            live.update(table(kind, client.get(kind, **query)[kind]), refresh=True)
