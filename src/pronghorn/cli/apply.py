"""pronghorn apply: make a running gateway what a configuration says."""

from typing import Annotated

import typer

from pronghorn.cli.options import ConfigFile, Gateway


def apply(
    config: ConfigFile,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")] = False,
    gateway: Gateway = None,
) -> None:
    """Carry out a configuration on the running gateway, all of it or nothing. The gateway is the one it names."""
    from pronghorn.cli.output import print_plan
    from pronghorn.control.client import Client
    from pronghorn.control.load import load

    wanted = load(config)
    query = {"file": str(config)} | ({"dry_run": "1"} if dry_run else {})
    answer = Client(gateway or wanted.gateway.name).send("PUT", ("config",), query, config.read_text())
    print_plan(answer["plan"], done="" if dry_run else "done")
