"""Servers that fork in many manners, at a gateway: who serves, what becomes of what nobody uses, rights, images."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pronghorn.compiled import mode
from tests.preload.link import finish, say
from tests.preload.test_calls import script
from tests.preload.test_fork import Programs, programs, running
from tests.support.patience import eventually

__all__ = ["programs", "running"]

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")


def begin(programs: Programs, port: int, kind: str) -> tuple[str, set[str]]:
    """A server: the parent, and its children."""
    said = say(programs.start(*script("fork_servers", str(port), kind)))
    return str(said["ready"]), {str(child) for child in said["children"]}


def servers(said: list[Any]) -> set[str]:
    """Who has answered; everybody was."""
    assert all(isinstance(answers, list) for answers in said), said
    assert all(answers[0][1] == answers[1][1] for answers in said)
    return {answers[0][1] for answers in said}


def until_all_serve(programs: Programs, port: int, wanted: set[str]) -> None:
    """Each of them answers, and nobody else."""
    found: set[str] = set()
    for _ in range(8):
        found |= servers(programs.ask(port, 16))
        assert found <= wanted, (found, wanted)
        if found == wanted:
            return
    raise AssertionError(f"{found} of {wanted}")


@pytest.mark.parametrize(("port", "how"), [(7320, "accept"), (7321, "epoll"), (7322, "poll"), (7323, "select")])
def test_a_parent_that_waits_for_its_listener_serves_beside_its_children(
    programs: Programs, port: int, how: str
) -> None:
    parent, children = begin(programs, port, f"beside-{how}")
    until_all_serve(programs, port, {parent, *children})


@pytest.mark.parametrize(("port", "how"), [(7324, "epoll"), (7325, "select")])
def test_a_parent_that_waits_for_something_else_does_not(programs: Programs, port: int, how: str) -> None:
    _, children = begin(programs, port, f"master-{how}")
    until_all_serve(programs, port, children)


@pytest.mark.parametrize(("port", "kind"), [(7326, "processes"), (7327, "threads")])
def test_all_children_serve(programs: Programs, port: int, kind: str) -> None:
    _, children = begin(programs, port, kind)
    until_all_serve(programs, port, children)


def test_a_server_of_the_standard_library(programs: Programs) -> None:
    parent, _ = begin(programs, 7328, "forking")
    found = servers(programs.ask(7328, 10))
    assert len(found) == 10
    assert parent not in found


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give it up")
def test_children_that_give_up_root_serve(programs: Programs) -> None:
    """Only root's processes may attach here."""
    _, children = begin(programs, 7329, "user")
    until_all_serve(programs, 7329, children)


@pytest.mark.parametrize("kind", ["execl", "execlp", "execle", "fexecve", "spawn"])
def test_another_image_serves(programs: Programs, kind: str) -> None:
    port = 7330 + ["execl", "execlp", "execle", "fexecve", "spawn"].index(kind)
    server, _ = begin(programs, port, kind)
    assert servers(programs.ask(port, 3)) == {server}


def test_a_connection_that_a_child_never_uses_ends(programs: Programs) -> None:
    """When the child ends, or closes it; the parent hears of it when it waits."""
    begin(programs, 7336, "late")
    before = time.monotonic()
    said = programs.ask(7336, 4)
    assert time.monotonic() - before < 14
    assert [answers for answers in said if answers not in ([[], []], [[]]) and "Reset" not in str(answers)] == []


PATIENT = """
import json, socket, sys, time
begun = time.monotonic()
with socket.create_connection(("192.0.2.1", 7337), timeout=float(sys.argv[1])) as s:
    try:
        said = s.recv(10).decode()
    except OSError as error:
        said = type(error).__name__
    taken = time.monotonic() - begun
    if said:
        s.sendall(b"late")
    socket.create_connection(("192.0.2.1", 7337), timeout=10).close()
print(json.dumps([said, taken]))
"""


@pytest.mark.parametrize(
    ("leave", "patience", "peers", "childs"),
    [("0.4", "20", "", "ConnectionResetError"), ("60", "0.4", "TimeoutError", "late")],
)
def test_a_connection_that_a_child_leaves_alone_for_long(
    programs: Programs, leave: str, patience: str, peers: str, childs: str
) -> None:
    """Its parent takes it back and closes it, and the child has it no more; until then it is the child's."""
    server = programs.start(*script("fork_servers", "7337", "never"), PRONGHORN_LEAVE=leave)
    say(server)
    status, out, err = finish(programs.start(sys.executable, "-c", PATIENT, patience))
    assert status == 0, err
    said, taken = json.loads(out)
    assert said == peers
    assert taken >= 0.4
    assert say(server) == childs


EARLY = """
import os, select, signal, socket
s = socket.create_connection(("192.0.2.1", 7338), timeout=10)
input()
s.sendall(b"early")
select.select([s], [], [], 0.05)
os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_what_comes_before_the_child_has_the_connection(programs: Programs) -> None:
    """Its parent hands it on: the client, which is stopped, does not send it again."""
    server = programs.start(*script("fork_servers", "7338", "early"))
    say(server)
    client = programs.start(sys.executable, "-c", EARLY)
    say(server)
    assert client.stdin is not None
    print(file=client.stdin, flush=True)
    assert os.WIFSTOPPED(os.waitpid(client.pid, os.WUNTRACED)[1])
    other = "import socket; socket.create_connection(('192.0.2.1', 7338), timeout=10)"
    assert finish(programs.start(sys.executable, "-c", other))[0] == 0
    assert say(server) == "early"


NGINX = """
worker_processes 4; daemon off; pid {folder}/pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen 192.0.2.1:7340; return 200 "$pid"; }}
}}"""
ASK_NGINX = """
import json, urllib.request
print(json.dumps([urllib.request.urlopen("http://192.0.2.1:7340/", timeout=5).read().decode() for _ in range(40)]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give it up")
def test_nginx_with_its_own_user(programs: Programs, tmp_path: Path) -> None:
    """A master and four workers; no `user` line: they become whoever this nginx was built for."""
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH')}:/usr/sbin")
    if nginx is None:
        pytest.skip("needs nginx")
    (tmp_path / "conf").write_text(NGINX.format(folder=tmp_path))
    master = programs.start(nginx, "-c", str(tmp_path / "conf"), "-p", str(tmp_path), "-e", "stderr")
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
    assert eventually(lambda: len(children.read_text().split()) == 4, 10)
    workers = set(children.read_text().split())
    found: set[str] = set()
    for _ in range(8):
        status, out, err = finish(programs.start(sys.executable, "-c", ASK_NGINX), 60)
        if status == 0:  # it is there
            found |= set(json.loads(out))
        if found == workers:
            break
    assert found == workers, err
    assert all(Path(f"/proc/{worker}").stat().st_uid != 0 for worker in workers)
