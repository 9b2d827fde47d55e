"""Gaps to tell of and full segments to send, in both directions at once: no frame becomes longer than the MTU."""

from __future__ import annotations

import pytest

from pronghorn.ports.wire_port import Impairment
from tests.tcp.ends import Pair

OCTETS = 200_000
ROUNDS = 1500  # of 20 ms


@pytest.mark.parametrize("family", [4, 6])
def test_both_directions_full_over_a_wire_that_loses(family: int) -> None:
    pair = Pair(family)
    with pair.network:
        client, server = pair.connected()
        for driver in pair.link.drivers:
            driver.impair(Impairment(loss=50_000, delay=5_000_000))
        sides = (pair.client, client), (pair.server, server)
        left, got = [OCTETS, OCTETS], [0, 0]
        for _ in range(ROUNDS):
            for place, (end, number) in enumerate(sides):
                left[place] -= max(end.send(number, bytes(min(left[place], 50_000))), 0) if left[place] else 0
                while isinstance(read := end.receive(number), bytes) and read:
                    got[place] += len(read)
            if got == [OCTETS, OCTETS]:
                break
            pair.run(0.02)
        assert got == [OCTETS, OCTETS]
