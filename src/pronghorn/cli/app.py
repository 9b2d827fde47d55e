"""The table of contents of the command line."""

from typing import Annotated

import typer

from pronghorn.cli import apply, check, run, server, service, set, show, sockets, up

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A user-space network stack and layer-4 load balancer.",
)
app.command("up")(up.up)
app.command("apply")(apply.apply)
app.command("run", context_settings={"allow_interspersed_args": False})(run.run)
app.command("sockets")(sockets.sockets)
app.command("check")(check.check)
app.add_typer(show.commands, name="show")
app.add_typer(service.commands, name="service")
app.add_typer(server.commands, name="server")
app.add_typer(set.commands, name="set")


def _version(wanted: bool) -> None:
    if wanted:
        from pronghorn.cli.output import version

        typer.echo(f"pronghorn {version()}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Nothing to do before a command."""
