"""A gateway with endpoints of its own, as a process: what its configuration says about them, changed while it runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.control.client import Client, NotRunning
from tests.cli.conftest import Run

CONFIG = """\
[gateway]
name = "ends"
packets = 1024
huge_pages = false

[[ports]]
name = "a"
device = "null:"
addresses = ["192.0.2.1/24", "2001:db8::1/64"]

[sockets]
enabled = true
connections = 1000
"""
PATIENCE = 90.0  # s: a development tree may compile first


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Path]:
    """Its configuration file."""
    config = tmp_path / "ends.toml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "pronghorn.cli", "up", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and process.poll() is None:
            try:
                Client("ends").get()
                break
            except NotRunning:
                time.sleep(0.05)
        yield config
        process.terminate()
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 0, output.decode()


def test_endpoints_of_a_gateway(gateway: Path, run: Run) -> None:
    assert run("show", "tcp")[:2] == (0, "no TCP sockets\n")
    assert run("show", "tcp", "--listening")[:2] == (0, "no TCP sockets\n")
    assert run("show", "udp")[:2] == (0, "no UDP sockets\n")
    counters = {
        row["group"] + row["name"]: row["value"] for row in json.loads(run("show", "snmp", "--json")[1])["snmp"]
    }
    assert (counters["TcpMaxConn"], counters["TcpCurrEstab"]) == (1000, 0)
    assert "TcpExtTCPTimeouts" in counters

    gateway.write_text(CONFIG + '[tcp]\ncongestion = "reno"\nkeep_idle = 60\n')
    code, out, complaints = run("apply", str(gateway))
    assert (code, complaints) == (0, "")
    assert out.splitlines()[0] == "change TCP: congestion cubic -> reno, keep_idle 7200 -> 60"

    gateway.write_text(CONFIG.replace("1000", "2000"))
    code, out, complaints = run("apply", str(gateway))
    assert (code, out) == (1, "")
    assert "cannot change while the gateway runs: sockets.connections (1000 -> 2000)" in complaints

    gateway.write_text(CONFIG + '[tcp]\ncongestion = "renno"\n')
    complaints = run("apply", str(gateway))[2]
    assert f'{gateway}:15: tcp.congestion = "renno": unknown; allowed: "cubic", "reno", "bbr"' in complaints
    assert "did you mean" in complaints
