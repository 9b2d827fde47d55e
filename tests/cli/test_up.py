"""pronghorn up --check and --plan: look, touch nothing."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run
from tests.control.gateways import CONFIG


def test_a_right_configuration_is_ok(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(CONFIG)
    assert run("up", "--check", str(config)) == (0, f"{config}: ok (ports: 1, services: 1, servers: 2)\n", "")


def test_a_wrong_one_is_told_line_by_line(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(CONFIG.replace("weight = 2", "weight = -2\nwait = 1"))
    for arguments in (["--check"], ["--plan"], []):
        code, out, complaints = run("up", *arguments, str(config))
        assert (code, out) == (1, "")
        assert complaints.splitlines() == [
            f"error: {config}:26: services[0].servers[1].weight = -2: is too small; allowed: 0..65535",
            f"error: {config}:27: services[0].servers[1].wait = 1: unknown key; "
            "allowed: address, name, weight, state, upper_connections, lower_connections, "
            "method, tunnel, check_via, check_port; did you mean weight?",
        ]


def test_the_plan_is_printed(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(CONFIG)
    code, out, _ = run("up", "--plan", str(config))
    assert code == 0
    assert out.splitlines()[0] == "add port outside on null:"
    assert out.splitlines()[-1] == "add server 10.0.2.11:8080 to tcp 198.51.100.1:80 (weight 2)"


def test_versions_and_usage(run: Run) -> None:
    assert run("--version")[1].startswith("pronghorn ")
    assert run("up")[0] == 2
    assert "Usage" in run()[1]
