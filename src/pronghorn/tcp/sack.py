"""Selective acknowledgements (RFC 2018) and reports of duplicates (RFC 2883), from a peer that may be a liar.

A block counts only if it lies inside what is in flight, the right way round; others are counted and ignored. Inside a
record it is rounded inward to multiples of the segment size, as Linux does, so one-octet blocks mark nothing and split
nothing (CVE-2019-11477, -11478, -11479).

Blocks grow by a segment at a time and are repeated in many acknowledgements. So every SACKED record names in `next` the
end of a run of SACKED records that begins with it; a walk jumps from run to run, and shortens the way for the next
(path compression). An acknowledgement costs O(log n) and what it newly reports, wherever its blocks begin.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, sequence
from pronghorn.state.endpoints import count
from pronghorn.state.mib import DSACK_OFO_RECV, DSACK_RECV, SACK_DISCARD
from pronghorn.state.worker import Worker
from pronghorn.tcp.delivery import deliver
from pronghorn.tcp.sample import DATA_SACKED, DSACK_SEEN, DSACK_WAITS, UNDO_ARMED, Sample
from pronghorn.tcp.segments import (
    PROBE_RESENT,
    PROBED,
    SACK_HIGH,
    SACKED,
    Flight,
    end_of,
    find,
    flight_of,
    record,
    split,
    unmark,
)
from pronghorn.tcp.statistics import count_duplicates
from pronghorn.tcp.tcb import Tcb
from pronghorn.wire.tcp import TCPOptions

STEPS_MOST = 255
PERSIST = 16
"""RFC 8985 6.2, step 4: recoveries after which the reordering window is narrow again."""


@hot
def take_blocks(worker: Worker, tcb: Tcb, options: TCPOptions, sample: Sample) -> None:
    """Mark what the SACK option reports. snd_una is the acknowledgement's already."""
    first = 0
    if _reports_duplicate(tcb, options):
        _take_duplicate(worker, tcb, options.sack[0], options.sack[1], sample)
        first = 1
    flight = flight_of(worker, tcb)
    if flight.address == 0:
        return
    sample.sack_end = tcb.snd_una
    for k in range(first, options.sack_blocks):
        left, right = options.sack[2 * k], options.sack[2 * k + 1]
        if _is_valid(tcb, left, right):
            _take_block(worker, tcb, left, right, sample)
        elif sequence.after(right, tcb.snd_una):
            count(worker, SACK_DISCARD, 1)
    if sample.sacked != 0:
        sample.flags |= DATA_SACKED
        flight = flight_of(worker, tcb)
        if flight.flags & SACK_HIGH == 0 or sequence.after(sample.sack_end, flight.sack_high):
            flight.flags |= SACK_HIGH
            flight.sack_high = sample.sack_end


@leaf
def _is_valid(tcb: Tcb, left: int, right: int) -> bool:
    """Whether the block lies in what is in flight. One that begins at snd_una would have been acknowledged."""
    return sequence.before(left, right) and sequence.after(left, tcb.snd_una) and not sequence.after(right, tcb.snd_nxt)


@hot
def _take_block(worker: Worker, tcb: Tcb, left: int, right: int, sample: Sample) -> None:
    """Mark the records that the block covers as SACKED."""
    flight = flight_of(worker, tcb)
    number = find(flight, left)
    run = -1  # number of the first of the SACKED records that have followed each other so far
    while number < flight.count:
        segment = record(flight, number)
        if not sequence.before(segment.start, right):
            break
        if segment.flags & SACKED != 0:
            if run < 0:
                run = number
            number = _skip(flight, number, right)
            continue
        head, tail = _covered(tcb, segment.start, segment.octets, left, right)
        cut = head < tail and _cut(worker, tcb, number, segment.octets, head, tail)
        flight = flight_of(worker, tcb)
        if not cut:
            run = _end_run(flight, run, number)
            number += 1
            continue
        if head > 0:  # the block begins here
            number += 1
        if run < 0:
            run = number
        _sack(tcb, flight, number, sample)
        number += 1
    _end_run(flight, run, number)


@leaf
def _covered(tcb: Tcb, start: int, octets: int, left: int, right: int) -> tuple[int, int]:
    """Which octets of a record the block covers: from the first number on, up to the second; whole segments only."""
    head = max(sequence.difference(left, start), 0)
    tail = min(sequence.difference(right, start), octets)
    if head > 0:
        head += (tcb.mss - head % tcb.mss) % tcb.mss
    if tail < octets:
        tail -= tail % tcb.mss
    return head, tail


@hot
def _cut(worker: Worker, tcb: Tcb, number: int, octets: int, head: int, tail: int) -> bool:
    """Let octets head .. tail of the record be a record of their own. False: no memory; what was cut is still true."""
    if tail < octets and not split(worker, tcb, number, tail):
        return False
    return head == 0 or split(worker, tcb, number, head)


@leaf
def _sack(tcb: Tcb, flight: Flight, number: int, sample: Sample) -> None:
    segment = record(flight, number)
    deliver(tcb, flight, segment, sample, segment.octets)
    unmark(tcb, flight, segment)
    segment.flags |= SACKED
    end = end_of(segment)
    segment.next = end
    tcb.sacked += segment.octets
    sample.sacked += segment.octets
    if sequence.after(end, sample.sack_end):
        sample.sack_end = end


@leaf
def _end_run(flight: Flight, run: int, number: int) -> int:
    """The records run .. number - 1 are SACKED: let the first one say so. Returns -1: no run."""
    if run >= 0:
        record(flight, run).next = end_of(record(flight, number - 1))
    return -1


@hot
def _skip(flight: Flight, number: int, right: int) -> int:
    """The number of the first record after `number` that is not SACKED, or starts at `right` or later."""
    here = number
    while here < flight.count:
        segment = record(flight, here)
        if segment.flags & SACKED == 0 or not sequence.before(segment.start, right):
            break
        here = _at(flight, here, segment.next)
    last = end_of(record(flight, here - 1))
    while number < here:
        segment = record(flight, number)
        number = _at(flight, number, segment.next)
        segment.next = last
    return here


@leaf
def _at(flight: Flight, number: int, seq: int) -> int:
    """The number of the record that starts at `seq`, which is after record `number`; the count for the end of all."""
    if end_of(record(flight, number)) == seq:
        return number + 1
    found = find(flight, seq)
    return found if record(flight, found).start == seq else found + 1


# --- duplicates ---------------------------------------------------------------------------------------------------


@leaf
def _reports_duplicate(tcb: Tcb, options: TCPOptions) -> bool:
    """RFC 2883 4: the first block is below the acknowledgement, or inside the second."""
    left, right = options.sack[0], options.sack[1]
    if not sequence.before(left, right):
        return False
    if sequence.before(left, tcb.snd_una):
        return not sequence.after(right, tcb.snd_una)
    if options.sack_blocks < 2:
        return False
    return not sequence.before(left, options.sack[2]) and not sequence.after(right, options.sack[3])


@hot
def _take_duplicate(worker: Worker, tcb: Tcb, left: int, right: int, sample: Sample) -> None:
    """Something arrived twice: a retransmission was needless, or the network duplicates."""
    sample.flags |= DSACK_SEEN
    octets = sequence.difference(right, left)
    count_duplicates(tcb, 1 if octets <= tcb.mss else (octets + tcb.mss - 1) // max(tcb.mss, 1))
    count(worker, DSACK_RECV if sequence.before(left, tcb.snd_una) else DSACK_OFO_RECV, 1)
    # RFC 8985 6.2, step 4: once a round trip
    if tcb.marks & DSACK_WAITS == 0 or not sequence.before(sample.before, tcb.dsack_round):
        tcb.reorder_steps = min(tcb.reorder_steps + 1, STEPS_MOST)
        tcb.segments.persist = PERSIST
        tcb.marks |= DSACK_WAITS
        tcb.dsack_round = tcb.snd_nxt
    if tcb.marks & UNDO_ARMED != 0 and sequence.after(right, tcb.undo_from):
        tcb.undo_count -= min(octets, tcb.undo_count)
    flight = flight_of(worker, tcb)
    if flight.address != 0 and flight.flags & PROBE_RESENT != 0 and right == flight.probe_end:
        flight.flags &= ~(PROBED | PROBE_RESENT)  # RFC 8985 7.4.2: the probe was needless
