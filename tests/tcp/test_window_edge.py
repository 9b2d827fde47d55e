"""The right edge of the peer's window: nothing is sent beyond it, and what is sent when it goes back is acceptable."""

from __future__ import annotations

import pytest

from pronghorn.ports.wire_port import Impairment
from pronghorn.tcp.tcb import Tcb
from tests.tcp.ends import Pair

NOTHING_ARRIVES = Impairment(loss=1_000_000)
MASK = 0xFFFF_FFFF


def beyond(tcb: Tcb) -> int:
    """Octets that were sent and do not fit the peer's window."""
    return (tcb.snd_nxt - tcb.snd_una & MASK) - tcb.snd_window


@pytest.mark.parametrize("family", [4, 6])
def test_a_loss_probe_does_not_go_beyond_the_window(family: int) -> None:
    """Two segments are in flight, and a part of a third would fit: the probe is the second one again."""
    pair = Pair(family)
    with pair.network:
        client, _ = pair.connected()
        for octets in (b"a round trip", b"is known"):
            pair.client.send(client, octets)
            pair.run()
        tcb = pair.client.tcb(client)
        tcb.snd_window = 4000
        for driver in pair.link.drivers:
            driver.impair(NOTHING_ARRIVES)
        pair.client.send(client, bytes(20_000))
        sent, resent = tcb.snd_nxt, tcb.retransmits
        pair.run(0.15)
        assert tcb.retransmits == resent + 1
        assert tcb.snd_nxt == sent
        assert beyond(tcb) <= 0


@pytest.mark.parametrize("family", [4, 6])
def test_acknowledgements_are_acceptable_to_a_peer_that_has_shrunk_its_window(family: int) -> None:
    """Both directions are full, and the window's edge goes back behind what is in flight."""
    pair = Pair(family)
    with pair.network:
        client, server = pair.connected()
        tcb, other = pair.client.tcb(client), pair.server.tcb(server)
        pair.link.drivers[0].impair(NOTHING_ARRIVES)
        pair.client.send(client, bytes(10_000))
        pair.run(0.001)
        pair.link.drivers[0].impair(Impairment(delay=10_000_000))
        tcb.snd_window = 3000  # as a peer says that has shrunk it
        other.rcv_right, other.receive_limit = other.rcv_nxt + 3000 & MASK, 3000
        assert beyond(tcb) > 0
        pair.server.send(server, b"hear me")
        before = other.snd_una
        pair.run(0.05)
        assert other.snd_una == before + len(b"hear me") & MASK
