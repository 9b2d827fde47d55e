"""pronghorn service: add, remove and list services while traffic flows."""

from typing import Annotated, Any

import typer

from pronghorn.cli.options import Gateway, Json, ServiceName

commands = typer.Typer(no_args_is_help=True, help="Add, remove and list services while traffic flows.")


@commands.command()
def add(
    name: ServiceName,
    address: Annotated[str, typer.Argument(metavar="ADDRESS:PORT", help="Where clients connect.")],
    protocol: Annotated[
        str | None, typer.Option(metavar="tcp|udp|sctp", help="The protocol; tcp if not given.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="NAME", help="How servers are chosen: rr, wrr, lc, mh, ...")
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="full-nat|nat|direct|tunnel-...", help="How packets reach the servers.")
    ] = None,
    server: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS:PORT[*WEIGHT]", help="A server; may be given several times.")
    ] = None,
    gateway: Gateway = None,
) -> None:
    """Add a service. Its address must be one that a port of the gateway owns."""
    from pronghorn.cli.output import print_plan
    from pronghorn.control.client import Client

    body: dict[str, Any] = {"name": name, "address": address, "protocol": protocol, "scheduler": scheduler}
    body["method"] = method
    body = {key: value for key, value in body.items() if value is not None}
    body["servers"] = [_server(text) for text in server or ()]
    print_plan(Client(gateway).send("POST", ("services",), body=body)["plan"])


def _server(text: str) -> dict[str, Any]:
    """ADDRESS:PORT or ADDRESS:PORT*WEIGHT. Whether both are right is for the gateway to say."""
    address, star, weight = text.partition("*")
    return (
        {"address": address, "weight": int(weight) if weight.isdecimal() else weight} if star else {"address": address}
    )


@commands.command()
def remove(name: ServiceName, gateway: Gateway = None) -> None:
    """Remove a service and close its connections."""
    from pronghorn.cli.output import print_plan
    from pronghorn.control.client import Client

    print_plan(Client(gateway).send("DELETE", ("services", name))["plan"])


@commands.command("list")
def list_services(json: Json = False, gateway: Gateway = None) -> None:
    """The same as `pronghorn show services`."""
    from pronghorn.cli.show import show

    show("services", json, None, gateway)
