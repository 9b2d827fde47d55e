"""Which socket takes a datagram, against Linux's rule written down naively: the best score, the latest of equal ones.

compute_score of net/ipv4/udp.c and net/ipv6/udp.c: whatever a socket has fixed must agree, and each thing that it has
fixed makes it better.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from pronghorn.compiled import mode
from pronghorn.state.endpoints import REUSE_ADDRESS
from tests.support.feed import OWN4, OWN6
from tests.udp.bench import UdpBench
from tests.udp.frames import PEER, incoming

ROUNDS = 4 if mode() == "interpreted" else 40
LOCAL = {4: OWN4, 6: OWN6}


@dataclass
class Model:
    """A socket as the rule sees it."""

    number: int
    family: int
    host: str  # "" for any
    port: int
    remote: tuple[str, int] | None
    order: int

    def score(self, family: int, dst: str, dport: int, src: str, sport: int) -> int:
        """-1: not for it."""
        if self.port != dport or (self.family != 10 and self.family != family):
            return -1
        if (self.host and self.host != dst) or (self.remote and self.remote != (src, sport)):
            return -1
        return 8 * bool(self.remote) + 4 * bool(self.host) + (1 if self.family == family == 4 else 0)


def opened(bench: UdpBench, chance: random.Random, order: int) -> Model:
    """A socket of any kind."""
    family = chance.choice((4, 6, 10))
    side = chance.choice((4, 6)) if family == 10 else family
    port, host = chance.choice((7, 8)), chance.choice(("", "", *LOCAL[side]))
    made = Model(0, family, host, port, None, order)
    made.number = bench.open(family, port, host or ("0.0.0.0" if family == 4 else "::"), options=REUSE_ADDRESS)
    if chance.random() < 0.5:
        made.remote = (PEER[side], chance.choice((4000, 4001)))
        assert bench.connect(made.number, *made.remote) == 0
        made.host = made.host or LOCAL[side][0]
    return made


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_against_the_rule(seed: int) -> None:
    chance = random.Random(seed)
    with UdpBench() as bench:
        sockets: list[Model] = []
        for order in range(ROUNDS):
            while len(sockets) > 12 or (sockets and chance.random() < 0.3):
                gone = sockets.pop(chance.randrange(len(sockets)))
                bench.close_socket(gone.number)
            sockets.append(opened(bench, chance, order))
            for _ in range(6):
                family = chance.choice((4, 6))
                dst, dport = chance.choice(LOCAL[family]), chance.choice((7, 8))
                src, sport = PEER[family], chance.choice((4000, 4001, 4002))
                found = bench.hear(incoming(family, dport, b"x", sport, src, dst))
                scores = [(one.score(family, dst, dport, src, sport), one.order, one) for one in sockets]
                best, _, winner = max(scores, key=lambda scored: scored[:2])
                assert ("delivered" in found) == (best >= 0)
                if best >= 0:
                    assert bench.endpoint(winner.number).waiting == 1, (winner, family, dst, dport, sport, sockets)
                    bench.receive(winner.number)
