"""Which local address and port a connection to a server comes from.

The pair must be free towards this server only: (server, local address, port, protocol) is the five-tuple of the
replies, and the index of flows knows whether there is one. So the same port serves any number of servers at once.

Replies must come back to the worker that owns the connection. Each worker therefore uses only the ports whose
remainder by the number of workers is its own index, and `steer_reply` tells any worker where a reply belongs.

The choice is random (RFC 6056 3.3.1: ports that an outsider can guess help forged segments): RANDOM tries anywhere,
then one after another from a random place. With nine ports of ten in use it fails about once in a hundred million
times; a range of fewer than SERIES ports is searched completely.
"""

from __future__ import annotations

from pronghorn.balancer.forwarding.rewrite import swap16
from pronghorn.balancer.lookup import flow_hash, has_flow
from pronghorn.balancer.tables import LOCALS, REPLY, Balancer
from pronghorn.compiled import hot, leaf
from pronghorn.memory.hashtable import HashIndex
from pronghorn.state.worker import Worker, random_number

RANDOM = 8
SERIES = 128


@leaf
def steer_reply(worker: Worker, port: int) -> int:
    """Index of the worker that owns replies to this local port."""
    return port % worker.workers


@hot
def choose_local(worker: Worker, balancer: Balancer, number: int) -> tuple[int, int]:
    """Complete where the connection's replies go. Their source (the server), protocol and family are set, the
    destination port is 0.

    Returns the index of the local address and the flow's hash, or (-1, 0) when no port is left.
    """
    conn, flow = balancer.conns[number], 2 * number + REPLY
    key = conn.keys[REPLY]
    family = key >> 40
    first = 0 if family == 4 else LOCALS
    count = balancer.local_counts[0 if family == 4 else 1]
    places = count * balancer.port_count
    if places == 0:
        return -1, 0
    secret = HashIndex(balancer.index).secret
    place = random_number(worker) % places
    for attempt in range(RANDOM + SERIES):
        local = balancer.local_lists[first + place % count]
        port = balancer.first_port + balancer.port_step * (place // count)
        conn.keys[REPLY] = key | swap16(port) << 16
        set_destination(balancer, flow, balancer.locals[local].hi, balancer.locals[local].lo)
        hash = flow_hash(balancer, flow, secret)
        if not has_flow(balancer, flow, hash):
            return local, hash
        if attempt < RANDOM:
            place = random_number(worker) % places
        else:
            place = place + 1 if place + 1 < places else 0
    return -1, 0


@leaf
def set_destination(balancer: Balancer, flow: int, hi: int, lo: int) -> None:
    """Set the destination address of a flow's packets; raw."""
    conn, direction = balancer.conns[flow >> 1], flow & 1
    if conn.keys[direction] >> 40 == 4:
        conn.addresses[direction] = conn.addresses[direction] & 0xFFFFFFFF | lo << 32
    else:
        words = balancer.wide[flow >> 1].words
        words[4 * direction + 2] = hi
        words[4 * direction + 3] = lo
