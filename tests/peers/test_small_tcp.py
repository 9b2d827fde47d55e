"""The small TCP endpoints of the embedded demonstration: on a wire that loses and repeats, and in the whole story."""

from __future__ import annotations

import io
import random
from collections import deque

import pytest
from rich.console import Console
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from examples.demo.embedded import tell_embedded
from examples.demo.script import Script
from examples.demo.small_host import SmallHost
from examples.demo.small_tcp import SmallClient, SmallServer
from pronghorn.compiled import mode

CLIENT, SERVER = ("10.0.0.1", "fd00::1"), ("10.0.0.2", "fd00::2")


class Wire:
    """Two hosts, a frame at a time, by virtual time."""

    def __init__(self, loss: float = 0.0, twice: float = 0.0) -> None:
        self.rng = random.Random(1)
        self.loss, self.twice = loss, twice
        self.frames: deque[tuple[SmallHost, bytes]] = deque()
        self.seen: list[bytes] = []
        near, far = SmallHost(1, CLIENT, SERVER), SmallHost(2, SERVER, CLIENT)
        near.send, far.send = (lambda frame: self.put(far, frame)), (lambda frame: self.put(near, frame))
        self.hosts = near, far
        self.server = SmallServer(far, "far")
        self.client = SmallClient(near, far.addresses, parallel=4, rate=100)

    def put(self, to: SmallHost, frame: bytes) -> None:
        self.seen.append(frame)
        if self.rng.random() >= self.loss:
            self.frames.append((to, frame))
        if self.rng.random() < self.twice:
            self.frames.append((to, frame))

    def run(self, seconds: float, start: float = 0.0) -> float:
        now = start
        while now < start + seconds:
            now += 0.01
            self.client.tick(now)
            self.server.tick(now)
            while self.frames:
                host, frame = self.frames.popleft()
                host.receive(frame)
        return now


def test_requests_are_answered_over_both_families() -> None:
    wire = Wire()
    wire.run(0.5)
    assert wire.client.by_server["far"] >= 40
    assert not wire.client.failed
    assert wire.server.requests >= wire.client.requests
    kinds = {type(Ether(frame).payload) for frame in wire.seen}
    assert {IP, IPv6} <= kinds
    assert all(host.wrong == 0 for host in wire.hosts)
    for frame in wire.seen:
        parsed = Ether(frame)
        if TCP in parsed:
            again = parsed.copy()
            del again[TCP].chksum
            assert bytes(again) == frame


def test_loss_and_repetition_fail_no_request() -> None:
    wire = Wire(loss=0.1, twice=0.2)
    now = wire.run(5.0)
    wire.client.stopped = True
    wire.run(8.0, now)
    assert wire.client.by_server["far"] > 20
    assert not wire.client.failed
    assert wire.client.under_way == 0


def test_a_dead_server_is_a_failure() -> None:
    wire = Wire()
    wire.server.port = 81
    wire.run(6.0)
    assert wire.client.failed["no answer"] >= 4
    assert not wire.client.by_server


@pytest.mark.skipif(mode() == "interpreted", reason="a gateway's worker needs the interpreter for itself")
def test_the_story() -> None:
    script = Script()
    output = io.StringIO()
    script.console = Console(file=output, width=120)
    assert tell_embedded(script, 2.0) == 0, output.getvalue()
    said = output.getvalue()
    assert "SIMULATED" in said
    assert "none failed, though server1 was drained" in said
