"""pronghorn check: what stands in the way of a program on the user-space stack, before it is run there."""

from typing import Annotated

import typer

from pronghorn.cli.options import Json

SAYS = {
    "yes": "can run on the user-space stack",
    "partly": "can run on the user-space stack, and something of it stays with the kernel",
    "no": "cannot run on the user-space stack",
}


def check(
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="A name that is looked for, or a path.")],
    json: Json = False,
) -> None:
    """Say what a program uses that cannot be accelerated. Exits with 1 when nothing of it can."""
    from pronghorn.control.examine import examine

    report = examine(program)
    if json:
        from dataclasses import asdict

        from pronghorn.cli.output import print_json

        findings = [asdict(finding) for finding in report.findings]
        print_json({"program": str(report.script or report.path), "executes": str(report.path),
                    "verdict": report.verdict, "findings": findings})  # fmt: skip
    else:
        of = f" (a script for {report.path})" if report.script else ""
        typer.echo(f"{report.script or report.path}{of} {SAYS[report.verdict]}")
        for finding in report.findings:
            typer.echo(f"  {finding.weight}: {finding.what}; {finding.advice}")
    if report.verdict == "no":
        raise typer.Exit(1)
