"""Every packet script fits this stack, and fits Linux, or says which RFC it rests on.

Against this stack time is virtual, and with IPv6 sequence numbers wrap early; against Linux time is real, and most of
it is waiting: all scripts run at once.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pronghorn.compiled import bounds, mode
from tests.house.source import ROOT
from tests.peers import namespaces
from tests.scripts.dialect import load, scripts
from tests.scripts.ours import play_one

HERE = Path(__file__).parent
RUNS = [(path, family) for path in scripts(HERE) for family in load(path).families]


def parameters() -> list[Any]:
    """One per script and family; a script that says what is open is expected to fail."""
    found = []
    for path, family in RUNS:
        open_issue = load(path).open
        marks = [pytest.mark.xfail(reason=open_issue, strict=True)] if open_issue else []
        found.append(pytest.param(path, family, id=f"{path.parent.name}/{path.stem}-{family}", marks=marks))
    return found


@pytest.mark.skipif(bounds.ENABLED, reason="an embedded engine's memory is not known to the bounds check")
@pytest.mark.parametrize(("path", "family"), parameters())
def test_script(path: Path, family: int) -> None:
    said = play_one(path, family, wrap=500 if family == 6 else 0)
    assert not said, said


@pytest.mark.skipif(bounds.ENABLED, reason="an embedded engine's memory is not known to the bounds check")
@pytest.mark.parametrize("folder", ["closing", "data", "ecn", "retransmission"])
def test_scripts_with_super_segments(folder: str) -> None:
    """Nothing but the number of packets changes when the port segments."""
    paths = [path for path in scripts(HERE / folder) if not load(path).open and 4 in load(path).families]
    wrong = "\n\n".join(filter(None, (play_one(path, 4, whole=True) for path in paths)))
    assert not wrong, wrong


@pytest.mark.root
@pytest.mark.skipif(mode() == "interpreted", reason="Linux is the same in every mode")
def test_linux_agrees() -> None:
    with namespaces.stage() as stage:
        place = stage.namespace("scripts")
        command = (sys.executable, "-m", "tests.scripts.linux", "--json", HERE)
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
        done = place.run(*command, check=False, timeout=110, environment=environment)
    assert done.stdout, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert len(said) >= len(RUNS) // 2
    wrong = "\n\n".join(words for _, _, words in said if words)
    assert not wrong, wrong
