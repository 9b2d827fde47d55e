"""The how-tos' programs run and their configurations are good."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pronghorn.compiled import mode
from pronghorn.control.load import loads
from tests.house.source import ROOT, documents, place

FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    """(page, text) of every block in that language, of all documentation."""
    pages = [page for page in documents() if "adr" not in page.parts]
    return [(place(page), text) for page in pages for kind, text in FENCE.findall(page.read_text()) if kind == language]


@pytest.mark.parametrize(("page", "program"), blocks("python"))
def test_programs_run(page: str, program: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(re.sub(r"\d\d\d_000\)", "10)", program))  # benchmarks: fewer turns
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=100, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    if quoted := re.search(rf"{re.escape(program)}```\n\nIt prints `([^`]*)`", (ROOT / page).read_text()):
        assert done.stdout.strip() == quoted[1]


@pytest.mark.timeout(300)  # the library may have to be built first
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.skipif(mode() == "interpreted", reason="the library is the same in every mode")
@pytest.mark.parametrize(("page", "program"), [pair for pair in blocks("c") if "docs/howto/drive" in pair[0]])
def test_c_programs_run(page: str, program: str, tmp_path: Path, native_library: Path) -> None:
    """By the commands of the page, with the library in place of the one in the working tree."""
    text = (ROOT / page).read_text()
    (tmp_path / "ping.c").write_text(program)
    commands = re.search(rf"{re.escape(program)}```.*?^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert commands is not None
    script = commands[1].replace("src/pronghorn", str(native_library.parent))
    done = subprocess.run(
        ["bash", "-ec", script], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = re.search(r"^It prints `([^`]*)`", text, re.MULTILINE)
    assert printed is not None
    assert done.stdout.strip() == printed[1]


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_configurations_are_good(page: str, text: str) -> None:
    assert loads(text, page).ports
