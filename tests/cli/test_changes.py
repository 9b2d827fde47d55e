"""Changing a running gateway from the command line."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.conftest import Run
from tests.control.gateways import CONFIG, Daemon


def services(run: Run) -> dict[str, Any]:
    return {service["name"]: service for service in json.loads(run("show", "services", "--json")[1])["services"]}


def test_services_come_and_go(run: Run, daemon: Daemon) -> None:
    code, out, _ = run(
        *("service", "add", "dns", "[2001:db8::1]:53", "--protocol", "udp", "--scheduler", "mh"),
        *("--server", "[fd00::1]:53*3", "--server", "[fd00::2]:53"),
    )
    assert code == 0
    assert out.splitlines() == [
        "add service dns (udp [2001:db8::1]:53, mh)",
        "add server [fd00::1]:53 to udp [2001:db8::1]:53 (weight 3)",
        "add server [fd00::2]:53 to udp [2001:db8::1]:53 (weight 1)",
        "done",
    ]
    assert [server["weight"] for server in services(run)["dns"]["servers"]] == [3, 1]
    assert run("service", "remove", "dns")[0] == 0
    assert list(services(run)) == ["web"]


def test_servers_come_go_and_change(run: Run, daemon: Daemon) -> None:
    assert run("server", "add", "web", "10.0.2.12:80", "--weight", "3", "--name", "c")[0] == 0
    assert run("server", "weight", "web", "c", "4")[0] == 0
    assert run("server", "drain", "web", "10.0.2.12:80")[0] == 0
    server = services(run)["web"]["servers"][-1]
    assert (server["name"], server["weight"], server["state"]) == ("c", 4, "drain")
    assert run("server", "resume", "web", "c")[1].splitlines()[0] == "resume server 10.0.2.12:80 of tcp 198.51.100.1:80"
    assert run("server", "remove", "web", "c")[0] == 0
    assert [server["name"] for server in services(run)["web"]["servers"]] == ["a", None]


def test_waiting_for_a_drained_server_ends(run: Run, daemon: Daemon) -> None:
    code, _, complaints = run("server", "drain", "web", "a", "--wait", "0.1")
    assert (code, complaints) == (1, "4 connections are left after 0.1 s\n")


def test_what_is_refused_says_why(run: Run, daemon: Daemon) -> None:
    for arguments, sentence in (
        (("server", "weight", "web", "a", "70000"), "error: weight = 70000: is too large; allowed: 0..65535\n"),
        (("server", "drain", "web", "b"), 'error: there is no server of web "b"; there are: a, 10.0.2.11:8080\n'),
        (("service", "remove", "wbe"), 'error: there is no service "wbe"; did you mean "web"?\n'),
        (
            ("service", "add", "x", "198.51.100.1:1", "--server", "10.0.2.1:1*x"),
            'error: servers[0].weight = "x": is a string; allowed: 0..65535\n',
        ),
    ):
        assert run(*arguments) == (1, "", sentence)


def test_a_configuration_is_carried_out(run: Run, daemon: Daemon) -> None:
    daemon.config.write_text(CONFIG.replace("weight = 2", 'state = "drain"'))
    steps = [
        "change weight of server 10.0.2.11:8080 of tcp 198.51.100.1:80: 2 -> 1",
        "drain server 10.0.2.11:8080 of tcp 198.51.100.1:80",
    ]
    assert run("apply", "--dry-run", str(daemon.config))[1].splitlines() == steps
    assert run("apply", str(daemon.config))[1].splitlines() == [*steps, "done"]
    assert run("apply", str(daemon.config))[1] == "nothing to change\n"


def test_a_configuration_that_needs_a_restart_is_refused(run: Run, daemon: Daemon) -> None:
    daemon.config.write_text(CONFIG.replace("[[ports]]", "workers = 2\n[[ports]]"))
    code, _, complaints = run("apply", str(daemon.config))
    assert code == 1
    assert "gateway.workers (1 -> 2); restart it" in complaints


def test_no_gateway_says_where_it_was_looked_for(run: Run) -> None:
    code, out, complaints = run("show", "services")
    assert (code, out) == (1, "")
    assert "no gateway runs at" in complaints
    assert "run/gateway.sock; start one with `pronghorn up CONFIG.toml`" in complaints


def test_another_gateways_name_is_offered(run: Run, daemon: Daemon) -> None:
    assert "gateways seen here: edge" in run("show", "services", "--gateway", "egde")[2]
