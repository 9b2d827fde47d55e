"""A datagram leaves although its socket is closed right behind it: its address is given back when it is on its way."""

from __future__ import annotations

import sys

import pytest

from pronghorn.compiled import mode
from tests.preload.link import finish, say
from tests.preload.test_fork import Programs, programs, running

__all__ = ["programs", "running"]

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")

TIMES = 30

HEAR = f"""
import json, socket
heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
heard.bind(("192.0.2.1", 7391))
heard.settimeout(5)
print(json.dumps("ready"), flush=True)
print(json.dumps([int(heard.recv(100)) for _ in range({TIMES})]), flush=True)
"""

SAY = f"""
import socket
for number in range({TIMES}):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as said:
        said.bind(("192.0.2.1", 7392))
        said.sendto(b"%d" % number, ("192.0.2.1", 7391))
"""


@pytest.mark.parametrize("model", ["completion", "wakeup"])
def test_what_is_sent_before_the_socket_is_closed_arrives(programs: Programs, model: str) -> None:
    hears = programs.start(sys.executable, "-c", HEAR, PRONGHORN_STACK=model)
    assert say(hears) == "ready"
    assert finish(programs.start(sys.executable, "-c", SAY, PRONGHORN_STACK=model)) == (0, "", "")
    assert say(hears) == list(range(TIMES))
