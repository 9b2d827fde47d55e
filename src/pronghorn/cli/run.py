"""pronghorn run: become a program whose sockets are on the user-space stack (docs/adr/0013-accelerated-programs.md).

The command ends by executing the program in its own place, so its process number, signals and terminal are the
program's. What the interposer needs to know stands in the environment.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

Link = Annotated[str | None, typer.Option(metavar="NAME", help="A direct link to the other program that names it.")]
Addresses = Annotated[
    list[str] | None,
    typer.Option("--address", "-a", metavar="ADDRESS/LENGTH", help="The program's address on the link; repeatable."),
]
Attach = Annotated[
    str | None,
    typer.Option("--gateway", "-g", metavar="NAME", envvar="PRONGHORN_GATEWAY", help="The gateway to attach to."),
]


def run(
    command: Annotated[list[str], typer.Argument(metavar="PROGRAM [ARGUMENTS]", help="The program, after --.")],
    link: Link = None,
    address: Addresses = None,
    gateway: Attach = None,
    interface: Annotated[
        str | None, typer.Option(metavar="IF", help="An interface of the kernel that is the program's alone.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="CONFIG.toml", help="Settings of the stack: its [tcp], [udp], [sockets].")
    ] = None,
    mode: Annotated[
        Literal["completion", "wakeup"],
        typer.Option(help="Who turns the stack: the program's threads as they wait, or a thread of ours."),
    ] = "completion",
    only_ports: Annotated[
        str | None, typer.Option(metavar="PORTS", help="Only sockets of these, like 80,443,8000-8100.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse what only the kernel can do, instead of leaving it to the kernel.")
    ] = False,
    mtu: Annotated[int, typer.Option(min=1280, max=65535, help="Octets in a packet on a direct link.")] = 1500,
    preload: Annotated[
        bool, typer.Option("--preload/--no-preload", help="Without: for programs that import pronghorn.socket.")
    ] = True,
) -> None:
    """Run a program on the user-space stack: on a gateway, a direct link to another program, or an interface."""
    from pronghorn.control.launch import Launch, launch

    launch(
        Launch(
            command=command,
            link=link,
            addresses=address or [],
            gateway=gateway,
            interface=interface,
            config=config,
            mode=mode,
            only_ports=only_ports,
            strict=strict,
            mtu=mtu,
            preload=preload,
        )
    )
