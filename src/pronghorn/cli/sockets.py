"""pronghorn sockets: every socket of every accelerated program, the path it took, and why."""

import time
from typing import Annotated, Any, Literal

import typer

from pronghorn.cli.options import Json
from pronghorn.cli.show import Every, Watch


def sockets(
    tcp: Annotated[bool, typer.Option("--tcp", "-t", help="Only sockets of TCP.")] = False,
    udp: Annotated[bool, typer.Option("--udp", "-u", help="Only sockets of UDP.")] = False,
    listening: Annotated[bool, typer.Option("--listening", "-l", help="Only those that listen.")] = False,
    connected: Annotated[bool, typer.Option("--connected", "-c", help="Only connected ones.")] = False,
    path: Annotated[
        Literal["ours", "kernel", "both", "undecided"] | None, typer.Option(help="Only those that took this path.")
    ] = None,
    pid: Annotated[int | None, typer.Option("--pid", "-p", metavar="NUMBER", help="Only this process's.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Only those with this port, on either end.")
    ] = None,
    program: Annotated[str | None, typer.Option(metavar="NAME", help="Only those of programs with this name.")] = None,
    json: Json = False,
    watch: Watch = False,
    every: Every = 1.0,
) -> None:
    """Sockets of accelerated programs: which path each took, the user-space stack's or the kernel's, and why."""
    protocols = {name for name, wanted in (("tcp", tcp), ("udp", udp)) if wanted}
    states = {name for name, wanted in (("listening", listening), ("connected", connected)) if wanted}

    def wanted(view: Any) -> bool:
        ports = {(end or "").rpartition(":")[2] for end in (view.local, view.remote)}
        return (
            (not protocols or view.protocol in protocols)
            and (not states or view.state in states)
            and path in (None, view.path)
            and pid in (None, view.pid)
            and program in (None, view.program)
            and (port is None or str(port) in ports)
        )

    _show(wanted, json)
    while watch:
        time.sleep(every)
        _show(wanted, json)


def _show(wanted: Any, json: bool) -> None:
    """Once."""
    from dataclasses import asdict

    from pronghorn.control.register import sockets as all_sockets

    rows = [asdict(view) for view in all_sockets() if wanted(view)]
    if json:
        from pronghorn.cli.output import print_json

        print_json({"sockets": rows})
    else:
        from pronghorn.cli.tables import console, table

        console().print(table("sockets", rows))
