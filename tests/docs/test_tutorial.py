"""The tutorial does what it says: its shell blocks are run in order, and what it quotes is compared with the output.

The blocks before the one that starts with `sudo` set the machine up, which the tests' own set-up has done. That block's
command (without sudo) is what the others are typed into, so everything vanishes with it. A block of text is what the
shell block before it prints: each of its lines must come, in this order, with other lines in between. Spaces, numbers
and hardware addresses may differ; `...` stands for anything.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pronghorn.compiled import mode
from tests.house.source import ROOT

PAGE = ROOT / "docs/tutorial/first-balancer.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MARK = "=== end of block"


def blocks(text: str) -> tuple[str, list[tuple[str, list[str]]]]:
    """The command that opens the shell, and (shell block, lines quoted from its output) of those after it."""
    start = ""
    found: list[tuple[str, list[str]]] = []
    for language, body in FENCE.findall(text):
        if language == "sh" and body.startswith("sudo "):
            start = body.removeprefix("sudo ").strip()
        elif start and language == "sh":
            found.append((body, []))
        elif found and language == "text":
            found[-1][1].extend(body.splitlines())
    return start, found


def plain(line: str) -> str:
    """Without what may differ: widths, hardware addresses, numbers."""
    line = re.sub(r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", "#", " ".join(line.split()))
    return re.sub(r"(?<![\w.])\d+(\.\d+)?", "#", line)


def missing(quoted: list[str], said: str) -> str:
    """The first quoted line that the output lacks; empty when all are there in order."""
    lines = iter([plain(line) for line in said.splitlines()])
    for line in quoted:
        wanted = ".*".join(re.escape(plain(part).replace(" ", "")) for part in line.split("..."))
        if not any(re.fullmatch(wanted, got.replace(" ", "")) for got in lines):
            return line
    return ""


@pytest.mark.root
@pytest.mark.timeout(240)  # a development tree may compile first
@pytest.mark.skipif(mode() == "interpreted", reason="a gateway works interpreted in tests/cli/test_gateway.py")
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_tutorial_works(tmp_path: Path) -> None:
    start, shown = blocks(PAGE.read_text())
    assert len(shown) > 10
    script = "set -e\nexec 2>&1\n" + "".join(f"{body}\necho '{MARK}'\n" for body, _ in shown)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "PRONGHORN_RUNTIME_DIR"}
    environment |= {"PATH": path, "TMPDIR": str(tmp_path), "COLUMNS": "100"}
    done = subprocess.run(
        ["bash", "-c", start],
        input=script,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    parts = done.stdout.split(f"{MARK}\n")
    for number, (body, quoted) in enumerate(shown):
        assert number < len(parts) - 1, f"failed with status {done.returncode}:\n{body}\n{parts[-1]}{done.stderr}"
        line = missing(quoted, parts[number])
        assert not line, f"the page quotes {line!r}, but\n{body}\nprinted\n{parts[number]}"


def test_a_wrong_quotation_is_found() -> None:
    said = "web  tcp   rr\n  one   1  up\nseen at 02:00:00:00:00:01, 1.5 s ago\n"
    assert not missing(["web tcp ...", "seen at aa:bb:cc:dd:ee:ff, 3 s ago"], said)
    assert missing(["one 1 up", "web tcp rr"], said) == "web tcp rr"
    assert missing(["web udp ..."], said)
