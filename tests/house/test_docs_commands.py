"""Every command line in the documentation exists; those that only print are run.

Read are the lines of fenced code blocks that begin with ./do, pronghorn, or python -m MODULE, after an optional prompt
and sudo. A line is cut at a pipe, a redirection or a comment.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source import ROOT, documents, place

BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
CHEAP_VERBS = {"help"}


def commands(text: str) -> Iterator[list[str]]:
    """The command lines of a page's code blocks, split into words."""
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(re.split(r"\s[|>&#]|;", f" {line}")[0], comments=True)
            while words and (words[0] in ("$", "sudo") or re.fullmatch(r"[A-Z_]+=\S*", words[0])):
                words = words[1:]
            if words and (words[0] in ("./do", "pronghorn") or re.fullmatch(r"(.*/)?python3?", words[0])):
                yield words


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


def complaint(words: list[str]) -> str:
    """Why a command line cannot work; empty when it can."""
    program, *rest = words
    if program == "./do":
        return "" if not rest or rest[0] in verbs() else f"./do has no verb {rest[0]}"
    if program == "pronghorn":
        plain = [word for word in rest if not word.startswith("-")]
        offered = subcommands()
        if plain and plain[0] not in offered:
            return f"pronghorn has no command {plain[0]}"
        if len(plain) > 1 and offered[plain[0]] and plain[1] not in offered[plain[0]]:
            return f"pronghorn {plain[0]} has no command {plain[1]}"
        return ""
    module = rest[rest.index("-m") + 1] if "-m" in rest[:-1] else ""
    return f"no module {module}" if module and importlib.util.find_spec(module) is None else ""


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
    named = {words[1] for _, words in documented() if words[0] == "pronghorn" and words[1:2] and words[1][0] != "-"}
    for name in sorted(named):
        command = [sys.executable, "-c", "from pronghorn.cli import main; main()", name, "--help"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr


def test_wrong_commands_are_found() -> None:
    page = "```sh\n$ sudo ./do frobnicate --now  # no such verb\nPRONGHORN_MODE=jit python3 -m no_such_module\n```\n"
    first, second = commands(page)
    assert first == ["./do", "frobnicate", "--now"]
    assert complaint(first) == "./do has no verb frobnicate"
    assert complaint(second) == "no module no_such_module"
