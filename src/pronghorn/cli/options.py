"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Gateway = Annotated[
    str | None,
    typer.Option("--gateway", "-g", metavar="NAME", envvar="PRONGHORN_GATEWAY", help="Which gateway, if several run."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON (docs/reference/show.md).")]
ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG.toml", help="The configuration (docs/reference/configuration.md).")
]
ServiceName = Annotated[str, typer.Argument(metavar="SERVICE", help="The service's name.")]
ServerLabel = Annotated[str, typer.Argument(metavar="SERVER", help="The server's address or name.")]
