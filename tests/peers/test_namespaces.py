"""The stage comes up with both families, and nothing of it is left: not after success, not after a crash."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import namespaces
from tests.peers.http_server import serve
from tests.peers.topology import Topology, topology
from tests.support.patience import eventually

OWNER = """
import sys
from tests.peers.topology import topology
with topology(servers=1) as top:
    process = top.client.namespace.start("sleep", "60")
    print(top.stage.prefix, top.stage.keeper.pid, process.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module", autouse=True)
def allowed() -> None:
    if reason := namespaces.available():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def top() -> Iterator[Topology]:
    with topology(servers=2, forward=True, offload=False) as built:
        yield built


def left(prefix: str) -> list[str]:
    """Everything that still bears the name of a stage."""
    folders = (Path(namespaces.RUN), Path(tempfile.gettempdir()))
    return [str(path) for folder in folders if folder.is_dir() for path in folder.glob(f"{prefix}-*")]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(shutil.which("ping") is None, reason="ping is not installed (package iputils-ping)")
@pytest.mark.parametrize("family", ["address4", "address6"])
def test_the_client_reaches_every_server(top: Topology, family: str) -> None:
    for node in top.servers:
        # With -W 1 and no retry: the addresses are usable at once.
        top.client.namespace.run("ping", "-c", "1", "-W", "1", getattr(node, family))


def test_offload_is_off(top: Topology) -> None:
    script = "import sys; sys.path.insert(0, sys.argv[1]); import offload; print(offload.enabled(sys.argv[2]))"
    for where, interface in ((top.client.namespace, "eth0"), (top.gateway, "server2")):
        done = where.run(sys.executable, "-S", "-E", "-c", script, str(Path(__file__).parent), interface)
        assert done.stdout == "[]\n"


@pytest.mark.parametrize("kind", ["nginx", "python"])
def test_http_servers_say_their_name(top: Topology, kind: str) -> None:
    if kind == "nginx" and shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    port = 8080 if kind == "nginx" else 8081
    for node in top.servers:
        process = serve(node, port, kind)
        for host in (node.address4, f"[{node.address6}]"):
            answer = top.client.namespace.run("curl", "-s", "-w", "%{content_type}", f"http://{host}:{port}/").stdout
            assert answer == f"{node.name}\ntext/plain;server={node.name}"
        top.stage.stop(process)
        assert process.poll() is not None


def test_a_failing_command_says_what_it_said(top: Topology) -> None:
    with pytest.raises(RuntimeError, match=r"exit 3 in .*-client\nsorry"):
        top.client.namespace.run("sh", "-c", "echo sorry >&2; exit 3")


def test_stages_do_not_see_each_other(top: Topology) -> None:
    with topology(servers=1) as other:
        assert other.stage.prefix != top.stage.prefix
    assert left(top.stage.prefix)


def test_nothing_is_left_after_success() -> None:
    with topology(servers=1) as built:
        process = built.client.namespace.start("sleep", "60")
        assert left(built.stage.prefix)
    assert left(built.stage.prefix) == []
    assert process.poll() is not None


def test_nothing_is_left_after_an_exception() -> None:
    prefixes = []

    def crash() -> None:
        with topology(servers=1) as built:
            prefixes.append(built.stage.prefix)
            raise KeyError

    with pytest.raises(KeyError):
        crash()
    assert left(prefixes[0]) == []


def start_owner() -> tuple[subprocess.Popen[str], str, int, int]:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    prefix, keeper, inside = owner.stdout.readline().split()
    return owner, prefix, int(keeper), int(inside)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_after_the_owner_was_killed(how: signal.Signals) -> None:
    owner, prefix, _, inside = start_owner()
    with owner:
        assert left(prefix)
        owner.send_signal(how)
    assert eventually(lambda: not left(prefix) and not alive(inside))


@pytest.mark.parametrize("unprivileged", [False, True])
def test_who_has_opened_a_namespace_and_not_entered_it_is_not_left(
    unprivileged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nsenter between its open and its setns, held there."""
    script = 'exec 3< "$1"; echo opened; exec sleep 60'
    if unprivileged:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        if reason := namespaces.available():
            pytest.skip(reason)
    with namespaces.stage() as one:
        assert one.unprivileged or not unprivileged
        inside = one.namespace("late")
        slow = [*one.enter, "sh", "-c", script, "sh", inside.path]
        monkeypatch.setattr(namespaces.Namespace, "command", lambda *_: slow)
        process = inside.start(log="late.log")
        assert eventually(lambda: (one.scratch / "late.log").read_text() == "opened\n")
        assert process.poll() is None
    assert process.poll() == -signal.SIGKILL


def test_the_next_stage_sweeps_after_owner_and_keeper_were_killed() -> None:
    owner, prefix, keeper, inside = start_owner()
    with owner:
        os.kill(keeper, signal.SIGKILL)
        owner.kill()
    assert eventually(lambda: not alive(keeper))
    namespaces.sweep()
    assert eventually(lambda: not left(prefix) and not alive(inside))


def test_a_refusal_names_everything_that_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    reason = namespaces.available()
    assert reason is not None
    assert reason.count("ip, nsenter, unshare not installed") == 2
