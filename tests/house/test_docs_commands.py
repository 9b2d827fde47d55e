"""Every command line in the documentation exists: program, subcommand, options, module, files of the repository.

Read are the lines of fenced shell blocks. What stands before a command is taken off (a prompt, variables, sudo,
`until`, `ip netns exec NAME`, `timeout 60`); a line is cut at a pipe, a redirection, a semicolon or a comment. Our own
commands are held against the command line as it is, other programs against a list. The tutorial's commands are run by
tests/docs/test_tutorial.py, the how-tos' programs by tests/docs/test_howto.py.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source import ROOT, documents, place, python_files

BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
HERE_DOCUMENT = re.compile(r"<<'?(\w+)'?$.*?^\1$", re.MULTILINE | re.DOTALL)
BEFORE = re.compile(r"^(\$ |sudo |env |until |then |do |ip netns exec \S+ |timeout \d+ |[A-Z_]+=\S* |\w+=\$!$)")
CHEAP_VERBS = {"help"}
SHELL = frozenset({"for", "done", "cd", "echo", "mkdir", "cat", "kill", "wait", "}"})
PROGRAMS = frozenset(
    "ip ethtool curl ping perf gdb gcc objdump grep sed sysctl lscpu mount unshare pip tcpdump ./ping".split()  # noqa: SIM905
)


def commands(text: str) -> Iterator[list[str]]:
    """The command lines of a page's shell blocks, split into words."""
    own = set(re.findall(r"^(\w+)\(\) \{", text, re.MULTILINE))  # functions that the page defines
    for block in BLOCK.findall(text):
        for line in HERE_DOCUMENT.sub("", block).replace("\\\n", " ").splitlines():
            line = line.strip()
            while before := BEFORE.match(line):
                line = line[before.end() :].lstrip()
            words = shlex.split(re.split(r"\s[|>&#<]|;|\d>", f" {line}")[0], comments=True)
            if words and not words[0].endswith("()") and words[0] not in SHELL | own:
                yield words


@functools.cache
def verbs() -> set[str]:
    """What ./do offers, as its help says."""
    done = subprocess.run([ROOT / "do", "help"], capture_output=True, text=True, check=True, timeout=30)
    return set(re.findall(r"^  (\w+)", done.stdout, re.MULTILINE))


def subcommands() -> dict[str, set[str]]:
    """The commands of `pronghorn`, and the subcommands of each that is a group."""
    import typer.main

    from pronghorn.cli.app import app

    root = typer.main.get_command(app)
    commands = dict(getattr(root, "commands", {}))
    return {name: set(getattr(command, "commands", {})) for name, command in commands.items()}


def options_of(words: list[str]) -> set[str]:
    """The options that `pronghorn COMMAND ...` takes."""
    import typer.main

    from pronghorn.cli.app import app

    command = typer.main.get_command(app)
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    return {
        "--help",
        "-h",
        *(option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)),
    }


def complaint(words: list[str]) -> str:
    """Why a command line cannot work; empty when it can."""
    program, *rest = words
    absent = [word for word in rest if re.match(r"(src|tests|docs|bench|examples|tools)/", word)]
    absent = [word for word in absent if not (ROOT / word).exists() and not word.endswith(".so")]
    if absent:
        return f"no file {absent[0]}"
    if program == "./do":
        return "" if not rest or rest[0] in verbs() else f"./do has no verb {rest[0]}"
    if program == "pronghorn":
        rest = rest[: rest.index("--")] if "--" in rest else rest  # what follows is a program that it runs
        plain = [word for word in rest if not word.startswith("-")]
        offered = subcommands()
        if plain and plain[0] not in offered:
            return f"pronghorn has no command {plain[0]}"
        if len(plain) > 1 and offered[plain[0]] and plain[1] not in offered[plain[0]]:
            return f"pronghorn {plain[0]} has no command {plain[1]}"
        wrong = {word.partition("=")[0] for word in rest if word.startswith("-")} - options_of(plain)
        return f"no option {sorted(wrong)[0]}" if wrong else ""
    if re.fullmatch(r"(.*/)?python3?", program):
        module = rest[rest.index("-m") + 1] if "-m" in rest[:-1] else ""
        return f"no module {module}" if module and importlib.util.find_spec(module) is None else ""
    return "" if program in PROGRAMS else f"an unknown program {program}"


@functools.cache
def documented() -> list[tuple[Path, list[str]]]:
    return [(page, words) for page in documents() for words in commands(page.read_text())]


def test_documented_commands_exist() -> None:
    found = [
        f"{place(page)}: {shlex.join(words)}: {wrong}" for page, words in documented() if (wrong := complaint(words))
    ]
    assert not found, "\n".join(found)


def test_the_readme_has_the_two_commands() -> None:
    shown = [words[:2] for page, words in documented() if page.name == "README.md"]
    assert ["./do", "demo"] in shown
    assert ["./do", "test"] in shown


@pytest.mark.parametrize("verb", sorted(CHEAP_VERBS))
def test_cheap_verbs_run(verb: str) -> None:
    done = subprocess.run([ROOT / "do", verb], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


def test_an_unknown_verb_is_refused() -> None:
    done = subprocess.run([ROOT / "do", "frobnicate"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "frobnicate" in done.stderr


def test_documented_subcommands_explain_themselves() -> None:
    """Each `pronghorn COMMAND` that the pages name answers --help."""
    from typer.testing import CliRunner

    from pronghorn.cli.app import app

    named = {words[1] for _, words in documented() if words[0] == "pronghorn" and words[1:2] and words[1][0] != "-"}
    assert len(named) > 3
    for name in sorted(named):
        result = CliRunner().invoke(app, [name, "--help"])
        assert result.exit_code == 0, name
        assert "Usage" in result.output


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("$ sudo ./do frobnicate --now  # no such verb", "./do has no verb frobnicate"),
        ("PRONGHORN_MODE=jit python3 -m no_such_module", "no module no_such_module"),
        ("ip netns exec gateway pronghorn op gateway.toml &", "pronghorn has no command op"),
        ("until pronghorn show ports --wtch 2>/dev/null; do sleep 1; done", "no option --wtch"),
        ("for one in 1 2; do pronghorn show services; done", ""),
        ("pronghorn show everything", "pronghorn show has no command everything"),
        (".venv/bin/python -m pytest tests/wire/test_ipv5.py", "no file tests/wire/test_ipv5.py"),
        ("iptables -L", "an unknown program iptables"),
        ("sudo timeout 60 pronghorn up gateway.toml", ""),
    ],
)
def test_wrong_commands_are_found(line: str, wrong: str) -> None:
    found = [complaint(words) for words in commands(f"```sh\n{line}\n```\n")]
    assert found in ([[wrong], []] if not wrong else [[wrong]])


def test_settings_of_the_environment_are_documented() -> None:
    """Every PRONGHORN_... variable that the program or ./do reads has a line in a table of a page."""
    told = {name for page in documents() for name in re.findall(r"^\| `(PRONGHORN_\w+)` \|", page.read_text(), re.M)}
    read = {
        name
        for path in [*python_files("src", "tools"), ROOT / "do"]
        for name in re.findall(r"(?:environ(?:\.get\(|\[)|envvar=)\"(PRONGHORN_\w+)\"", path.read_text())
    }
    assert len(read) > 5
    assert read <= told, read - told
