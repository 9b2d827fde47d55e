"""A burst of received packets to their verdicts, each packet in four steps that follow each other at a distance.

    look ahead    parse and hash, ask for the line of the flow index
    look again    AHEAD packets later: read that line, ask for the flow's lines
    look deeper   DEEPER packets before input: read the connection, ask for what it names: records in flight, socket
    input         2 * AHEAD packets after the first: the packet to its verdict

With many connections none of these lines is in the cache. Steps of one packet lie far enough apart for memory to
answer, and steps of different packets are interleaved, so that requests to memory come evenly, between the work of
packets whose lines are there (docs/adr/0005-look-ahead.md).
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.input.ethernet import frame_input
from pronghorn.input.look_ahead import look_again, look_ahead, look_deeper
from pronghorn.state.packet import Packet
from pronghorn.state.packets import finish
from pronghorn.state.verdicts import DELIVERED
from pronghorn.state.worker import Worker

AHEAD = 8
"""Packets between two steps of one packet."""

DEEPER = 4
"""Packets between the last look and the input of one packet."""


@hot
def handle(worker: Worker, count: int) -> None:
    """Every packet of worker.burst to its verdict."""
    if worker.balancer == 0 and worker.transports == 0:
        for place in range(count):
            take(worker, place)
        return
    worker.in_burst = count
    taken = 0  # packets that have their verdict
    for place in range(count + 2 * AHEAD):
        if taken <= place < count:
            look_ahead(worker, Packet(worker.burst[place]))
        if taken + AHEAD <= place < count + AHEAD:
            look_again(worker, Packet(worker.burst[place - AHEAD]))
        if taken + 2 * AHEAD - DEEPER <= place < count + 2 * AHEAD - DEEPER:
            look_deeper(worker, Packet(worker.burst[place - 2 * AHEAD + DEEPER]))
        if taken + 2 * AHEAD <= place:
            taken = take(worker, place - 2 * AHEAD)
    worker.in_burst = 0


@hot
def take(worker: Worker, place: int) -> int:
    """One packet of the burst to its verdict, and those behind it that TCP has taken with it (tcp/train.py). Returns
    the place of the next."""
    packet = Packet(worker.burst[place])
    worker.in_hand = place
    finish(worker, packet, frame_input(worker, worker.ports[packet.port], packet))
    while place < worker.in_hand:
        place += 1
        finish(worker, Packet(worker.burst[place]), DELIVERED)
    return place + 1
