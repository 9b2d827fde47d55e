"""Path MTU discovery across the gateway (RFC 1191, RFC 8201): the sender hears of a narrow link and goes on."""

from __future__ import annotations

import pytest

from pronghorn.compiled import mode
from tests.interop.conftest import Gateway
from tests.peers.topology import SERVICE4, SERVICE6, Topology

pytestmark = pytest.mark.root

OCTETS = 100_000 if mode() == "interpreted" else 1_000_000


@pytest.mark.parametrize("narrow", [["client"], ["server1", "server2"]])
def test_the_sender_hears_of_a_narrow_link(stage: Topology, driver: str, narrow: list[str]) -> None:
    # The ends agree on 1460 octets, which do not fit one way. With `packet` they come unsegmented, 64 KB at a time.
    gateway = Gateway(stage, driver, dict.fromkeys(narrow, 1400))
    process = gateway.start()
    for vip in (SERVICE4, SERVICE6):
        gateway.ask("transfer", vip, OCTETS)
    assert "too_big" in {drop["verdict"] for drop in gateway.show("drops")}
    stage.stage.stop(process)
    for node in stage.nodes:  # what they have learned
        node.namespace.run("sh", "-c", "ip route flush cache; ip -6 route flush cache; ip tcp_metrics flush")
