"""The pages of docs/reference/, made from the code: `./do docs` writes them, a test fails when one is not current.

configuration.md, show.md    the model and the views (pronghorn/control/reference.py)
cli.md                       the command line
verdicts.md                  the table of verdicts
drivers.md                   the catalogue of drivers and what their files say
c-interface.md               the entries of libpronghorn.so and the views they take
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer.main

from native import PACKAGE, ROOT
from pronghorn.cli.app import app
from pronghorn.compiled.constants import CONSTANTS
from pronghorn.compiled.functions import Function
from pronghorn.compiled.header import header
from pronghorn.control.fields import DEVICES
from pronghorn.control.reference import NOTE, configuration, show
from pronghorn.ports.catalogue import DRIVERS
from pronghorn.state.verdicts import FIRST_OWN, VERDICTS, Severity, Verdict

FOLDER = ROOT / "docs" / "reference"


def main() -> int:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
    return 0


def _page(title: str, *lines: str) -> str:
    return "\n".join([NOTE, "", f"# {title}", "", *lines]).rstrip() + "\n"


def _link(path: Path) -> str:
    """A link to a file of the repository, from a page."""
    return f"[`{path.relative_to(PACKAGE)}`](../../{path.relative_to(ROOT)})"


# --- verdicts.md --------------------------------------------------------------------------------------------------

SEVERITIES = {
    Severity.NORMAL: "the packet did its work; `pronghorn show drops` leaves these out",
    Severity.POLICY: "refused on purpose: the configuration, a limit, or nobody wanted it",
    Severity.INPUT: "the sender's mistake, or an attack",
    Severity.RESOURCE: "this engine lacked room: more buffers, a larger table or another core would have helped",
    Severity.DEFECT: "a defect of Pronghorn: please report it",
}


def verdicts() -> str:
    """The page about the ways a packet can end."""
    lines = ["Every packet ends in exactly one verdict. Each worker counts them all, and for every worker, always:", ""]
    lines += ["    received + originated = sum of the counters + held + dispatched + waiting on transmit bursts", ""]
    lines += ["`pronghorn show drops` shows those that occurred. The severity says how to take a verdict:", ""]
    lines += ["| severity | meaning |", "|---|---|"]
    lines += [f"| {severity} | {SEVERITIES[severity]} |" for severity in Severity]
    lines += ["", "## What becomes of good frames", "", *_verdict_rows(lambda verdict: verdict.number >= FIRST_OWN)]
    lines += ["", "## What is wrong with bad ones", ""]
    lines += ["From the checks of `wire/`; the name begins with the protocol.", ""]
    lines += _verdict_rows(lambda verdict: verdict.number < FIRST_OWN)
    return _page("Verdicts", *lines)


def _verdict_rows(wanted: Callable[[Verdict], bool]) -> Iterator[str]:
    yield from ("| number | name | severity | meaning |", "|---|---|---|---|")
    for number, verdict in sorted(VERDICTS.items()):
        if wanted(verdict):
            yield f"| {number} | `{verdict.name}` | {verdict.severity} | {_cell(verdict.sentence)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# --- cli.md -------------------------------------------------------------------------------------------------------


def cli() -> str:
    """The page about the command line."""
    root: Any = typer.main.get_command(app)
    lines = ["`pronghorn COMMAND --help` says the same. Every command but `up` asks a running gateway over its control"]
    lines += [
        "socket. The exit status is 0 when all went well, 1 when it was refused (the reason is on standard error),"
    ]
    lines += ["2 when the command line is wrong, 130 after Ctrl-C.", ""]
    lines += [*_parameters(root)]
    for name, command in root.commands.items():
        inner = getattr(command, "commands", {})
        for word, subcommand in (inner or {"": command}).items():
            lines += _command(f"{name} {word}".strip(), subcommand)
    return _page("The command line", *lines)


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    usage = " ".join(["pronghorn", name, *(argument.metavar or argument.name.upper() for argument in arguments)])
    yield from (f"## `{usage}`", "", " ".join((command.help or "").split()), "")
    yield from _parameters(command)


def _parameters(command: Any) -> Iterator[str]:
    yield from ("| argument or option | default | meaning |", "|---|---|---|")
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            shown, default = parameter.metavar or parameter.name.upper(), "required" if parameter.required else ""
        else:
            kind = "" if parameter.is_flag else f" {parameter.metavar or _kind(parameter)}"
            shown = ", ".join(parameter.opts) + kind
            default = "" if parameter.is_flag or parameter.default in (None, (), []) else f"`{parameter.default}`"
        meaning = (parameter.help or "") + (f" Also by `{parameter.envvar}`." if parameter.envvar else "")
        yield f"| `{_cell(shown)}` | {default} | {_cell(meaning)} |"
    yield ""


def _kind(parameter: Any) -> str:
    """What an option without a name for its value takes."""
    return "NUMBER" if re.search(r"\b(int|float)\b", str(parameter.type_descriptor.annotation)) else "TEXT"


# --- drivers.md ---------------------------------------------------------------------------------------------------


def drivers() -> str:
    """The page about devices: what stands behind KIND: in `device = "KIND:NAME"`."""
    lines = [
        'A port\'s `device` is `"KIND:NAME"`, for some kinds with options: `"KIND:NAME?option=value&option=value"`.'
    ]
    lines += ["How to write a driver: [write-an-extension.md](../howto/write-an-extension.md).", ""]
    for kind, what in sorted(DEVICES.items()):
        setup = PACKAGE.parent / (DRIVERS[kind].partition(":")[0].replace(".", "/") + ".py")
        lines += [f"## `{kind}:{'' if kind == 'null' else 'NAME'}`", "", f"{what[0].upper()}{what[1:]}.", ""]
        if not setup.exists():
            lines += ["Not in this version.", ""]
            continue
        data_plane = setup.with_name(f"{kind}.py")
        lines += [_docstring(setup), ""]
        if data_plane.exists() and data_plane != setup:
            lines += [_docstring(data_plane).partition("\n\n")[0], ""]
            lines += [f"Set-up: {_link(setup)}. Data plane: {_link(data_plane)}.", ""]
        else:
            lines += [f"All of it: {_link(setup)}.", ""]
    return _page("Devices and their drivers", *lines)


def _docstring(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return re.sub(r"(?<![`\w])([a-z]\w+\.py)\b(?!`)", r"`\1`", text)


# --- c-interface.md -----------------------------------------------------------------------------------------------


def c_interface() -> str:
    """The page about libpronghorn.so."""
    entries = [(path, _function(path, name)) for path, name in _entries()]
    text = header([function for _, function in entries])
    outside = [(path, function) for path, function in entries if path.stem in FROM_OUTSIDE]
    lines = [
        "`libpronghorn.so` and `pronghorn.h` lie in the installed package, beside `__init__.py`. The library needs"
    ]
    lines += [
        "libc and nothing else. It holds one whole data plane. The header is C11 and C++17, says what is said here, and"
    ]
    lines += ["checks the layout of every view with `static_assert`. Arguments and results are 64-bit integers or"]
    lines += ["addresses. How to begin: [drive it from C](../howto/drive-it-from-c.md).", ""]
    lines += ["## Engines of your own", ""]
    lines += ["A whole engine in a C program, on a clock of the program's own: no thread, no device, no privilege.", ""]
    lines += _prototypes(outside, text)
    lines += ["## Constants", "", "| name | number | |", "|---|---|---|"]
    for subject, numbers in sorted(CONSTANTS.items()):
        lines += [f"| `{name}` | {number} | {subject} |" for name, number in numbers.items()]
    lines += ["", "## Inside", ""]
    lines += ["What the control plane calls. Nothing here allocates, throws or logs.", ""]
    lines += ["```c", "const char *pronghorn_source_hash(void);", "```", "", "The sources that it was built from.", ""]
    lines += _prototypes([pair for pair in entries if pair not in outside], text)
    lines += ["## Views", "", "| structure | octets | aligned to |", "|---|---|---|"]
    shape = r"^(struct \w+) \{\n(?:.*\n)*?\}.*aligned\((\d+)\)\)\);\nstatic_assert\(sizeof\(.*?\) == (\d+)"
    shapes = sorted(re.findall(shape, text, re.MULTILINE))
    lines += [f"| `{name}` | {octets} | {alignment} |" for name, alignment, octets in shapes]
    return _page("The C interface", *lines)


FROM_OUTSIDE = ("calls", "embedded", "harness", "network")
"""Files of engine/ whose entries are for C programs."""


def _prototypes(entries: list[tuple[Path, Function]], text: str) -> Iterator[str]:
    for path, function in entries:
        prototype = re.search(rf"^.*\b{function.symbol}\(.*\);$", text, re.MULTILINE)
        assert prototype is not None, function
        documentation = " ".join((function.body.__doc__ or "").split())
        yield from (f"```c\n{prototype[0]}\n```", "", f"{documentation} ({_link(path)})", "")


def _entries() -> Iterator[tuple[Path, str]]:
    """The functions under @entry, found in the source: interpreted ones do not know that they are."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and "entry" in [ast.unparse(mark) for mark in node.decorator_list]:
                yield path, node.name


def _function(path: Path, name: str) -> Function:
    body = getattr(importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)), name)
    return body if isinstance(body, Function) else Function(body, "entry")


PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "show.md": show,
    "cli.md": cli,
    "verdicts.md": verdicts,
    "drivers.md": drivers,
    "c-interface.md": c_interface,
}

if __name__ == "__main__":
    sys.exit(main())
