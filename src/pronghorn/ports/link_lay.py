"""Laying one worker's end of a user-veth between processes over lanes in shared memory.

    memory    queues x queues lanes from end 0 to end 1, then as many from end 1 to end 0; sender by sender

Worker w of an end sends on queue w, and receives what was sent to queue w, w + workers, ... (veth_link.py).
"""

from __future__ import annotations

from pronghorn.compiled import Array, array_at, entry, hot, leaf, u64
from pronghorn.memory.ring import RING_HEADER
from pronghorn.ports.veth_lane import LANE, LANE_RING, SIDES, LaneEnd, LaneSide
from pronghorn.ports.veth_link import LinkQueue

LANE_STEP = -(-LANE // 64) * 64
"""Octets of shared memory from one lane to the next."""


@leaf
def lanes_octets(queues: int) -> int:
    """Octets of shared memory for both directions."""
    return 2 * queues * queues * LANE_STEP


@leaf
def lane_at(memory: int, queues: int, end: int, sender: int, receiver: int) -> int:
    """Address of the lane from queue `sender` of `end`, 0 or 1, to queue `receiver` of the other."""
    return memory + LANE_STEP * (end * queues * queues + sender * queues + receiver)


@leaf
def link_lanes(queues: int, worker: int, workers: int) -> int:
    """Lanes that the worker has a side of."""
    return queues * ((queues - worker + workers - 1) // workers + 1)


@entry
def link_lay(
    own: LinkQueue, lanes: int, marks: Array[u64], memory: int, queues: int, end: int, worker: int, workers: int,
    consent: int,
) -> int:  # fmt: skip
    """Lay the worker's lanes out at `lanes`, zeroed LaneEnds: how many (link_lanes). `marks`: LANE_RING for each queue.

    The lanes are to be opened then. `consent`: offloads that we take, of CHECKSUM_RX and SEGMENTATION.
    """
    table: Array[LaneEnd] = array_at(LaneEnd, lanes)
    own.incoming, count, receiver = table, 0, worker
    while receiver < queues:
        for sender in range(queues):
            _lay(table[count], lane_at(memory, queues, 1 - end, sender, receiver), 0, consent)
            count += 1
        receiver += workers
    own.incoming_count, own.outgoing_count = count, queues
    own.outgoing = array_at(LaneEnd, table[count].address)
    for there in range(queues):
        lane = table[count]
        _lay(lane, lane_at(memory, queues, end, worker, there), 1, 0)
        lane.marks = array_at(u64, marks.address + 8 * LANE_RING * there)
        count += 1
    return count


@hot
def _lay(lane: LaneEnd, start: int, sender: int, consent: int) -> None:
    """A lane that begins at `start`: the sender's side comes first."""
    lane.sender, lane.consent = sender, consent
    lane.own = start if sender != 0 else start + LaneSide.SIZE
    lane.other = start + LaneSide.SIZE if sender != 0 else start
    lane.ring, lane.data = start + SIDES, start + SIDES + RING_HEADER + 8 * LANE_RING
