"""Tables and JSON of a running gateway."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from io import StringIO
from typing import get_type_hints

import pytest
from rich.console import Console

from pronghorn.cli.tables import table
from pronghorn.control.views import KINDS, ProgramView
from tests.cli.conftest import Run
from tests.control.gateways import Daemon

SEEN = {
    "services": ["web tcp wrr", "198.51.100.1:80", "  a", "  10.0.2.11:8080", "Mb"],
    "conns": ["[2001:db8:1:2:3:4:5:6]:54321", "[fd00:2::1]:1025", "[fd00:2::80]:8443", "established", "14m47"],
    "persistence": ["2001:db8:1:2::", "[fd00:2::80]:8443", "web", "shop", "17", "4m47"],
    "ports": ["outside", "2001:db8::1/64", "null:", "up"],
    "workers": ["Worker", "60.0 k", "65.5 k"],
    "neighbours": ["10.0.0.2", "02:00:00:00:00:02", "reachable"],
    "routes": ["0.0.0.0/0", "198.51.100.254"],
    "drops": ["TTL_EXPIRED", "The hop limit reached zero."],
    "tcp": ["[2001:db8:1:2:3:4:5:6]:443", "established", "cubic disorder", "2.00 M", "12ms", "reorder", "17"],
    "udp": ["[2001:db8:1:2:3:4:5:6]:5353", "1500", "213 k"],
    "snmp": ["TcpExtTCPTimeouts", "21"],
    "sets": ["bad", "net", "nobody"],
    "health": ["web", "  a", "  10.0.2.11:8080", "unchecked", "2/2"],
}
LISTED = [kind for kind in KINDS if kind != "programs"]
"""What the daemon has some of; no program is attached to it."""

PROGRAM = ProgramView(
    number=3,
    name="redis-server",
    pid=12345,
    user="nobody",
    parent=0,
    age=75.5,
    linked=True,
    addresses=("10.0.0.1", "fd00::1"),
    ports="16384-16639",
    claims=("tcp *:6379 shared", "tcp [2001:db8:1:2:3:4:5:6]:16379"),
    flows=1234567,
    packets_in=10,
    packets_out=20,
    octets_in=1000,
    octets_out=2000,
    dropped=5,
    drops={"RATE_EXCEEDED": 5},
    broken=0,
)


@pytest.mark.parametrize("kind", LISTED)
def test_tables_fit_on_80_columns(kind: str, run: Run, daemon: Daemon) -> None:
    code, out, complaints = run("show", kind)
    assert (code, complaints) == (0, "")
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "\x1b" not in out  # no colour where no terminal is
    for text in SEEN[kind]:
        assert text in out


@pytest.mark.parametrize("kind", LISTED)
def test_json_has_the_documented_fields(kind: str, run: Run, daemon: Daemon) -> None:
    row = json.loads(run("show", kind, "--json")[1])[kind][0]
    assert list(row) == list(get_type_hints(KINDS[kind]))


def test_programs(run: Run, daemon: Daemon) -> None:
    assert run("show", "programs")[1] == "no programs\n"
    assert json.loads(run("show", "programs", "--json")[1]) == {"programs": []}
    out = StringIO()
    Console(file=out, width=80, highlight=False, markup=False).print(table("programs", [dataclasses.asdict(PROGRAM)]))
    for text in ("redis-server", " tcp *:6379 shared", " tcp [2001:db8:1:2:3:4:5:6]:16379", "1.23 M", "nobody", "1m15"):
        assert text in out.getvalue()


def test_limits_and_lists(run: Run, daemon: Daemon) -> None:
    assert run("show", "conns", "--limit", "0")[1] == "no connections\n"
    assert run("show", "persistence", "--limit", "0")[1] == "no clients\n"
    assert "web tcp" in run("service", "list")[1]


def test_sockets_can_be_chosen(run: Run, daemon: Daemon) -> None:
    assert run("show", "tcp", "--listening")[1].splitlines()[1].split() == ["*:80", "listening", "3", "128", "0", "1"]
    shown = json.loads(run("show", "tcp", "--state", "syn-sent", "--state", "time-wait", "--port", "7", "--json")[1])
    (view,) = shown["tcp"]
    assert view["local"].endswith(":7")
    assert view["state"] == "time-wait"  # the last of those that were asked for
    assert run("show", "udp", "--address", "10.0.0.0/8", "--limit", "0")[1] == "no UDP sockets\n"
    code, out, complaints = run("show", "tcp", "--state", "time-weight")
    assert (code, out) == (1, "")
    assert "state = time-weight: unknown; did you mean time-wait?" in complaints
    assert "limit = 20001 is not a number 0..20000" in run("show", "tcp", "--limit", "20001")[2]
    assert "is no address and no prefix" in run("show", "udp", "--address", "10.0.0.0/64")[2]


def test_counters_that_are_zero_are_shown_on_request(run: Run, daemon: Daemon) -> None:
    assert "TcpActiveOpens" not in run("show", "snmp")[1]
    assert "TcpActiveOpens" in run("show", "snmp", "--zeros")[1]


def test_watching_goes_on_until_it_is_interrupted(daemon: Daemon) -> None:
    command = [sys.executable, "-m", "pronghorn.cli", "show", "drops", "--json", "--watch", "--every", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        looks = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    assert all(look["drops"][0]["count"] == 7 for look in looks)
