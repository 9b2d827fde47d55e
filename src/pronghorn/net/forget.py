"""Forgetting neighbours at once: when an interface goes, or an address becomes our own."""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.net.neighbours import neighbour_remove
from pronghorn.net.state import FREE, net_of
from pronghorn.net.waiting import end_waiting
from pronghorn.state.verdicts import NEIGHBOUR_FAILED
from pronghorn.state.worker import Worker


@hot
def forget_neighbour(worker: Worker, index: int) -> None:
    """Remove the neighbour; what waits for it ends as NEIGHBOUR_FAILED."""
    end_waiting(worker, index, NEIGHBOUR_FAILED)
    neighbour_remove(net_of(worker), index)


@hot
def forget_neighbours(worker: Worker, interface: int) -> None:
    """Remove all neighbours of the interface."""
    net = net_of(worker)
    for index in range(net.neighbour_high):
        neighbour = net.neighbours[index]
        if neighbour.state != FREE and neighbour.interface == interface:
            forget_neighbour(worker, index)
