"""Solicited-node groups as routers and snooping switches hear of them: RFC 4861 7.2.1, RFC 3810, as Linux does it.

Neighbour discovery hears these groups without being a member (addresses.py). Where `nodes_report` was called, worker 0
is a member of the group of every IPv6 address as well, so that a switch that snoops on MLD lets solicitations through.
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.net.groups import EXCLUDE, group_find, group_join, group_leave, group_settle, groups_of
from pronghorn.net.state import net_of
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv6 import ALL_NODES_HI, solicited_node_lo


@hot
def nodes_report(worker: Worker) -> None:
    """Report the groups of the addresses that there are, and of those that come. For worker 0; once."""
    net = net_of(worker)
    groups = groups_of(net)
    if worker.index != 0 or groups.nodes != 0:
        return
    groups.nodes = 1
    for index in range(net.owned_high):
        owned = net.owned[index]
        if owned.uses != 0:
            node_join(worker, owned.interface, owned.hi, owned.lo)


@hot
def node_join(worker: Worker, interface: int, hi: int, lo: int) -> None:
    """The address is ours now. Without room for its group it is not reported."""
    if groups_of(net_of(worker)).nodes == 0 or hi == 0:
        return
    number = group_join(worker, interface, ALL_NODES_HI, solicited_node_lo(lo), EXCLUDE)
    if number >= 0:
        group_settle(worker, number)


@hot
def node_leave(worker: Worker, interface: int, hi: int, lo: int) -> None:
    """It is so no more; addresses that end alike share a group."""
    if groups_of(net_of(worker)).nodes == 0 or hi == 0:
        return
    number = group_find(worker, interface, ALL_NODES_HI, solicited_node_lo(lo))
    if number >= 0 and groups_of(net_of(worker)).groups[number].members != 0:
        group_leave(worker, number, EXCLUDE)
        group_settle(worker, number)
