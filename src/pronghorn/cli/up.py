"""pronghorn up: run a gateway in the foreground."""

from typing import Annotated

import typer

from pronghorn.cli.options import ConfigFile


def up(
    config: ConfigFile,
    check: Annotated[bool, typer.Option("--check", help="Only check the configuration.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only print what would be done.")] = False,
) -> None:
    """Run a gateway until it is told to end (Ctrl-C, SIGTERM). SIGHUP reads the configuration again."""
    from pronghorn.control.load import load

    if check or plan:
        wanted = load(config)
        if plan:
            from pronghorn.cli.output import print_plan
            from pronghorn.control.plan import plan as plan_of

            print_plan(plan_of(wanted.empty(), wanted), done="")
        else:
            servers = sum(len(service.servers) for service in wanted.services)
            typer.echo(
                f"{config}: ok (ports: {len(wanted.ports)}, services: {len(wanted.services)}, servers: {servers})"
            )
        return
    from pronghorn.control.daemon import run
    from pronghorn.control.native import open_engine

    run(config.absolute(), open_engine)
