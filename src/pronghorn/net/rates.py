"""How often ICMP may speak: token buckets, each a single word (the generic cell rate algorithm, ITU-T I.371).

The word is the time at which the bucket will be full again. A token costs 1/rate seconds of it; a token is refused
when the word lies more than the burst's worth ahead of now.

Errors pass two buckets (RFC 4443 2.4 (f)): one for each destination, by a keyed hash, and one for all. What is taken
from the common one varies at random: from its state a stranger could else tell which of his probes were answered
(CVE-2020-25705).

Errors of others that are passed on (balancer/icmp_errors.py) pass a bucket of their own.

Errors that an attached program causes pass one bucket, its own: programs share addresses, and one must not use up what
the others hear of the network.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.compiled.hashing import mix
from pronghorn.net.state import SECOND, net_of
from pronghorn.state.packet import Packet
from pronghorn.state.port import PROGRAM
from pronghorn.state.worker import Worker, random_number

ERROR_COST = SECOND // 1000  # all errors: 1000 in a second,
ERROR_BURST = 50  # 50 at once
DESTINATION_COST = SECOND // 10  # errors to one destination: 10 in a second,
DESTINATION_BURST = 6  # 6 at once
ECHO_COST = SECOND // 10_000  # echo replies: 10,000 in a second,
ECHO_BURST = 1000  # 1000 at once


@leaf
def _after(now: int, full: int, cost: int, burst: int) -> int:
    """The bucket's word after one more token, or -1 when it is empty."""
    start = full if full > now else now
    return -1 if start - now > cost * (burst - 1) else start + cost


@hot
def take_error(worker: Worker, hi: int, lo: int) -> bool:
    """Whether an error may go to the destination now."""
    net = net_of(worker)
    now = worker.now
    place = mix(hi, lo, worker.secret) & net.destination_mask
    own = _after(now, net.destinations[place], DESTINATION_COST, DESTINATION_BURST)
    common = _after(now, net.error_next, ERROR_COST, ERROR_BURST)
    if own < 0 or common < 0:
        net.errors_limited += 1
        return False
    net.destinations[place] = own
    net.error_next = common + (random_number(worker) & 1) * ERROR_COST
    return True


@hot
def take_error_about(worker: Worker, packet: Packet, hi: int, lo: int) -> bool:
    """Whether an error about the packet may go to its source now."""
    if worker.programs == 0 or worker.ports[packet.port].role != PROGRAM:
        return take_error(worker, hi, lo)
    net = net_of(worker)
    place = mix(packet.port, PROGRAM, worker.secret) & net.destination_mask
    own = _after(worker.now, net.destinations[place], DESTINATION_COST, DESTINATION_BURST)
    if own < 0:
        net.errors_limited += 1
        return False
    net.destinations[place] = own
    return True


@hot
def take_passage(worker: Worker) -> bool:
    """Whether somebody else's error may be passed on now: as often as echoes are answered."""
    net = net_of(worker)
    following = _after(worker.now, net.passage_next, ECHO_COST, ECHO_BURST)
    if following < 0:
        return False
    net.passage_next = following
    return True


@hot
def take_echo(worker: Worker) -> bool:
    """Whether an echo may be answered now."""
    net = net_of(worker)
    following = _after(worker.now, net.echo_next, ECHO_COST, ECHO_BURST)
    if following < 0:
        return False
    net.echo_next = following
    return True
