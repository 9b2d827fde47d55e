"""Connections of this program with itself, where its addresses may be other programs' too (Net.shared).

A segment to an address of ours goes to the connection or the listener that takes it here; what nobody here takes
leaves by the link, as to any other address. Where addresses are ours alone, routes say so and nothing is asked here.
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.net.addresses import owned_find
from pronghorn.net.resolve import neighbour_on
from pronghorn.net.state import LINK_LOCAL_HI, MAPPED, net_of
from pronghorn.state.worker import Worker
from pronghorn.tcp.lookup import find_listener, find_tcb, tuple_hash
from pronghorn.tcp.tcb import FREE, PASSIVE, SYN_SENT, Tcb, tcp_of


@hot
def route_here(worker: Worker, tcb: Tcb) -> int:
    """The neighbour that leads back here, when the other side is in this program; otherwise -1."""
    net = net_of(worker)
    if owned_find(net, tcb.remote_hi, tcb.remote_lo) < 0 or not _is_here(worker, tcb):
        return -1
    if tcb.family == 4:
        return neighbour_on(worker, net.here - 1, 0, MAPPED)
    return neighbour_on(worker, net.here - 1, LINK_LOCAL_HI, 0)


@hot
def _is_here(worker: Worker, tcb: Tcb) -> bool:
    """Whether a connection with the ends exchanged, or, for one that is being opened, a listener is here."""
    tcp = tcp_of(worker)
    hash = tuple_hash(
        tcb.local_hi, tcb.local_lo, tcb.remote_hi, tcb.remote_lo, tcb.local_port, tcb.remote_port, worker.secret
    )
    found = find_tcb(
        tcp, hash, tcb.local_hi, tcb.local_lo, tcb.remote_hi, tcb.remote_lo, tcb.local_port, tcb.remote_port
    )
    if found >= 0:
        return True
    opening = tcb.flags & PASSIVE == 0 and (tcb.state == FREE or tcb.state == SYN_SENT)
    return opening and find_listener(tcp, tcb.family, tcb.remote_hi, tcb.remote_lo, tcb.remote_port, 0) >= 0
