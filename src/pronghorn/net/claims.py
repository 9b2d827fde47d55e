"""Other stations that claim an address of ours (RFC 5227 section 2.4; RFC 4861 appendix D leaves it open for IPv6).

The claim changes nothing here. It is counted, and answered with an announcement of our own, so that those who heard
the claim know better; at most once in DEFEND_INTERVAL for each address, or two stations would shout at each other for
ever.
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.net.state import SECOND, net_of
from pronghorn.state.worker import Worker

DEFEND_INTERVAL = 10 * SECOND


@hot
def refuse_claim(worker: Worker, interface: int, index: int, mac: int) -> None:
    """The station `mac` says that our address `index` is its own. Our own frame that came back is no claim."""
    net = net_of(worker)
    owned = net.owned[index]
    if mac == net.interfaces[interface].mac:
        return
    net.conflicts += 1
    owned.conflicts += 1
    if owned.defended != 0 and worker.now < owned.defended + DEFEND_INTERVAL:
        return
    owned.defended = worker.now
    owned.announce_at = worker.now
    if owned.announcements == 0:
        owned.announcements = 1
        net.announcing += 1
