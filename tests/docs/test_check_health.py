"""The page on health: its configuration is carried out, its commands are run, its tables name what there is."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pronghorn.control import runtime
from pronghorn.control.health.rules import KNOWS
from pronghorn.control.load import loads
from tests.control.gateways import running
from tests.house.source import ROOT

PAGE = (ROOT / "docs/howto/check-health.md").read_text()
CONFIG = re.search(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PRINTED = {
    "pronghorn up --check edge.toml": "",
    "pronghorn apply edge.toml": "nothing to change",
    "pronghorn show health": "ping",
    "pronghorn show health --json": '"type": "http"',
    "pronghorn show services": "wrr",
    "curl": 'pronghorn_health_up{service="web",server="a"} ',
}


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CONFIG is not None
    monkeypatch.setenv("PRONGHORN_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("COLUMNS", "80")
    text = CONFIG[1].replace("enabled = true", "enabled = false").replace('addresses = ["10.0.2.3"]', "")
    text = re.sub(r'^type = "\w+"$', r'\g<0>\nvia = "kernel"', text, flags=re.MULTILINE)
    with running(tmp_path, text):
        for line in "".join(BLOCKS).splitlines():
            line = line.replace("/run/pronghorn/edge.sock", str(runtime.socket_path("edge")))
            words = shlex.split(line)
            if shutil.which(words[0]) is None and words[0] != "pronghorn":
                continue
            command = [sys.executable, "-m", *words] if words[0] == "pronghorn" else words
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
            assert done.returncode == 0, (line, done.stderr)
            expected = next(printed for start, printed in PRINTED.items() if line == start or words[0] == start)
            assert expected in done.stdout, (line, done.stdout)


def test_the_configuration_checks_through_the_gateway() -> None:
    assert CONFIG is not None
    (service,) = loads(CONFIG[1]).services
    assert {check.via for check in service.checks} == {"gateway"}


def test_every_kind_of_check_has_its_line() -> None:
    told = dict(re.findall(r"^\| (`\w+`(?:, `\w+`)?) \|[^|]*\|(.*)\|$", PAGE, re.MULTILINE))
    told.pop("`type`")
    kinds = {kind: keys for names, keys in told.items() for kind in re.findall(r"\w+", names)}
    assert kinds.keys() == KNOWS.keys()
    for kind, keys in KNOWS.items():
        missing = [key for key in keys if f"`{key}`" not in kinds[kind] and f"`{key}`" not in PAGE]
        assert not missing, kind
