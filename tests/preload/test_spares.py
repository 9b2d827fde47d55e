"""Kernel sockets behind outgoing connections are used again: nothing of an earlier use is to be seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pronghorn.compiled import mode
from tests.preload.link import finish, linked, say

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")

SERVER = """
import json, socket
listener = socket.create_server(("10.77.0.1", 6040), backlog=64)
print(json.dumps("ready"), flush=True)
while True:
    listener.accept()[0].close()
"""

CLIENT = """
import fcntl, json, os, select, socket, threading
here = socket.create_server(("127.0.0.1", 0))

def serve():
    while True:
        there = here.accept()[0]
        there.sendall(there.recv(9)[::-1])
        there.close()

threading.Thread(target=serve, daemon=True).start()

def far(waits=False, option=False):
    one = socket.socket()
    number = one.fileno()
    if option:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    one.setblocking(waits)
    error = one.connect_ex(("10.77.0.1", 6040))
    select.select([], [one], [])
    one.setblocking(True)
    assert one.recv(1) == b"", error
    one.close()
    return number

def near():
    one = socket.socket()
    flags, alive = fcntl.fcntl(one, fcntl.F_GETFL), one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    watch = select.epoll()
    watch.register(one, select.EPOLLIN)
    one.connect(here.getsockname())
    assert os.get_blocking(one.fileno())
    one.sendall(b"abc")
    assert [seen for _, seen in watch.poll(5)][0] & select.EPOLLIN
    answer = one.recv(9)
    one.close()
    assert watch.poll(0) == []
    return [flags & os.O_NONBLOCK, alive, answer.decode()]

def nonblocking():
    one = socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    flags = fcntl.fcntl(one, fcntl.F_GETFL) & os.O_NONBLOCK
    error = one.connect_ex(here.getsockname())
    os.get_blocking(one.fileno())
    kept = fcntl.fcntl(one, fcntl.F_GETFL) & os.O_NONBLOCK
    one.close()
    return flags == kept == os.O_NONBLOCK

numbers = [far() for _ in range(5)]
before = len(os.listdir("/proc/self/fd"))
said = [near(), nonblocking(), near()]
far(option=True)
said.append(near())
far()
child = os.fork()
if child == 0:
    os._exit(0 if near() == said[0] else 1)
said.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
for _ in range(200):
    far(True)
    near()
grown = len(os.listdir("/proc/self/fd")) - before
print(json.dumps([len(set(numbers)), said, grown <= 2]))
"""


def test_a_socket_that_is_used_again_is_as_new(interposer: Path, tmp_path: Path) -> None:
    with linked(interposer, tmp_path) as link:
        say(link.python(1, SERVER))
        status, out, err = finish(link.python(2, CLIENT))
        assert status == 0, err
        assert json.loads(out) == [1, [[0, 0, "cba"], True, [0, 0, "cba"], [0, 0, "cba"], 0], True], err
