"""The scoreboard against a plain list that is searched from end to end, under anything a peer may report."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pronghorn.compiled import sequence
from pronghorn.memory.buddy import buddy_give, buddy_take
from pronghorn.tcp.rack import reorder_window
from pronghorn.tcp.recovery import segment_sent
from pronghorn.tcp.sample import PURE
from pronghorn.tcp.segments import LOST, RACKED, RESENT, SACKED, close_flight, end_of, find, flight_of, record, split
from pronghorn.tcp.tcb import ECN, SACK, TIMESTAMPS, elapsed, stamp
from tests.tcp.sender import FIRST, MASK, Sender

MSS = 100


class Model:
    """What is in flight, as [start, octets, sacked]; numbers count from FIRST and do not wrap."""

    def __init__(self) -> None:
        self.records: list[list[int]] = []
        self.una = self.nxt = 0

    def send(self, octets: int) -> None:
        self.records.append([self.nxt, octets, 0])
        self.nxt += octets

    def ack(self, to: int) -> None:
        self.records = [
            [max(start, to), octets - max(to - start, 0), sacked]
            for start, octets, sacked in self.records
            if start + octets > to
        ]
        self.una = to

    def cut(self, at: int) -> None:
        """A record ends at `at`, which lies on the grid of the one it is in."""
        for number, (start, octets, sacked) in enumerate(self.records):
            if start < at < start + octets:
                self.records[number : number + 1] = [[start, at - start, sacked], [at, start + octets - at, sacked]]
                return

    def sack(self, left: int, right: int) -> None:
        if not (self.una < left < right <= self.nxt):
            return
        for start, octets, sacked in list(self.records):
            head, tail = max(left - start, 0), min(right - start, octets)
            head = -(-head // MSS) * MSS
            tail = tail if tail == octets else tail // MSS * MSS
            if sacked or head >= tail:
                continue
            self.cut(start + head)
            self.cut(start + tail)
            for entry in self.records:
                if start + head <= entry[0] and entry[0] + entry[1] <= start + tail:
                    entry[2] = 1


def check_losses(sender: Sender) -> None:
    """RACK has missed nothing, whatever its cursors skip; the cursors stand before everything they must find."""
    tcb = sender.tcb
    flight = flight_of(sender.worker, tcb)
    if flight.address == 0:
        return
    now = stamp(sender.worker)
    widest = max(reorder_window(tcb), min((tcb.rtt_min >> 2) * max(tcb.reorder_steps, 1), tcb.srtt >> 3))
    for number in range(flight.count):
        segment = record(flight, number)
        if segment.flags & LOST:
            assert not sequence.before(segment.start, flight.lost_from)
        if segment.flags & (SACKED | LOST) or not flight.flags & RACKED:
            continue
        earlier = sequence.before(segment.sent, flight.rack_sent)
        assert not (earlier and elapsed(now, segment.sent) > flight.rack_rtt + widest)


def check_list(sender: Sender) -> None:
    """The list of what was sent again holds exactly the RESENT records, in the order of their transmission."""
    flight = flight_of(sender.worker, sender.tcb)
    if flight.address == 0:
        return
    expected = [n for n in range(flight.count) if record(flight, n).flags & RESENT]
    found: list[int] = []
    seq = flight.resent_first
    while len(found) < len(expected):
        number = find(flight, seq)
        found.append(number)
        seq = record(flight, number).next
    assert sorted(found) == expected
    sent = [record(flight, number).sent for number in found]
    assert all(not sequence.after(a, b) for a, b in pairwise(sent))
    if found:
        assert find(flight, flight.resent_last) == found[-1]


def run(sender: Sender, model: Model, step: tuple[str, int, int, int]) -> None:
    """One thing happens to both."""
    what, a, b, c = step
    if what == "send":
        for _ in range(a % 4 + 1):
            octets = b % (4 * MSS) + 1 if c % 3 == 0 else MSS * (b % 5 + 1)
            sender.send(1, octets)
            model.send(octets)
    elif what == "pass":
        sender.pass_ms(a % 300)
    elif what == "resend":
        sender.resend(a % 3 + 1)
    elif what == "timer" and sender.due_ms() != -1:
        before = sender.tcb.snd_nxt
        sender.timer()
        if sender.tcb.snd_nxt != before:
            model.send(MSS)
    else:
        acked = model.una + (a % (model.nxt - model.una + 1) if c % 2 else 0)
        model.ack(acked)
        blocks = []
        if what == "sack" and model.nxt > model.una:
            span = model.nxt - model.una
            for k in range(c % 3 + 1):
                left = acked + (a * (k + 7) + b) % span
                right = left + (b * (k + 3)) % span - (10 if c % 7 == 0 else 0)
                if c % 5:
                    left, right = left // MSS * MSS, -(-right // MSS) * MSS
                blocks.append((left, right))
            if blocks[0][0] <= acked and blocks[0][1] <= acked:
                blocks = blocks[1:]
        sender.acknowledge(FIRST + acked & MASK, [(FIRST + le, FIRST + ri) for le, ri in blocks], PURE)
        inside = len(blocks) > 1 and blocks[1][0] <= blocks[0][0] < blocks[0][1] <= blocks[1][1]
        below = bool(blocks) and blocks[0][0] < acked and blocks[0][0] < blocks[0][1] <= acked
        for left, right in blocks[1:] if inside or below else blocks:
            model.sack(left, right)


numbers = st.integers(0, 10_000)
steps = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "ack", "sack", "sack", "sack", "resend", "resend", "pass", "timer"]),
        numbers,
        numbers,
        numbers,
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_against_a_list(steps: list[tuple[str, int, int, int]]) -> None:
    with Sender(mss=MSS) as sender:
        model = Model()
        undos = 0
        for step in steps:
            run(sender, model, step)
            records = sender.records()
            if sender.count("TCPSACKReneging"):
                return
            if step[0] in ("resend", "timer"):  # what is sent again is cut out
                for start, _octets, _flags in records:
                    model.cut(start)
            assert model.records == [[start, octets, int("S" in flags)] for start, octets, flags in records]
            check_list(sender)
            undone = sender.count("TCPLossUndo")
            if step[0] in ("ack", "sack") and undone == undos:  # after an undo the next acknowledgement judges anew
                check_losses(sender)
            undos = undone


@settings(max_examples=60, deadline=None)
@given(steps=steps, agreed=st.sampled_from([0, SACK, SACK | TIMESTAMPS | ECN]), congestion=st.integers(0, 2))
def test_counts_agree_in_every_mode(steps: list[tuple[str, int, int, int]], agreed: int, congestion: int) -> None:
    """Without SACK, with timestamps, with each congestion control: the sums are those of the records, no time-out is
    forgotten, and memory goes back."""
    with Sender(mss=MSS, agreed=agreed, congestion=congestion) as sender:
        model = Model()
        for step in steps:
            run(sender, model, step)
            sender.records()
            check_list(sender)
            tcb = sender.tcb
            assert tcb.snd_nxt == tcb.snd_una or tcb.retransmit_at != 0
            assert 0 < tcb.cwnd < 1 << 31
        sender.acknowledge(sender.tcb.snd_nxt)
        assert (sender.tcb.sacked, sender.tcb.lost, sender.tcb.resent) == (0, 0, 0)
        sender.send(1)
        sender.acknowledge(sender.tcb.snd_nxt)
        assert sender.buddy.used == 0


@settings(max_examples=60, deadline=None)
@given(
    turned=st.integers(0, 40),
    sent=st.integers(1, 60),
    gone=st.integers(0, 60),
    cuts=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 99)), max_size=60),
)
def test_splits_anywhere(turned: int, sent: int, gone: int, cuts: list[tuple[int, int]]) -> None:
    """Wherever the ring's memory ends: the records before and after keep their order and what they hold."""
    with Sender(mss=100) as sender:
        sender.send(turned)
        sender.ack(turned)
        sender.send(sent)
        gone = min(gone, sent - 1)
        sender.ack(turned + gone)
        sender.send(3)
        model = [((turned + number) * 100, 100) for number in range(gone, sent + 3)]
        for number, octets in cuts:
            number %= len(model)
            start, whole = model[number]
            if octets < whole:
                assert split(sender.worker, sender.tcb, number, octets)
                model[number : number + 1] = [(start, octets), (start + octets, whole - octets)]
        assert [(start, octets) for start, octets, _flags in sender.records()] == model


def test_memory_comes_and_goes() -> None:
    with Sender() as sender:
        assert sender.tcb.segments.block == 0
        sender.send(1000)
        assert len(sender.records()) == 1000
        assert sender.buddy.used == 1 << 15
        sender.ack(999)
        assert sender.buddy.used == 1 << 15
        sender.ack(1000)
        assert (sender.tcb.segments.block, sender.buddy.used) == (0, 0)


def test_no_memory_changes_nothing() -> None:
    with Sender(memory=1 << 23) as sender:
        taken = []
        sender.send(6)
        while block := buddy_take(sender.buddy, 8):
            taken.append(block)
        before = (sender.records(), sender.tcb.snd_nxt)
        assert not segment_sent(sender.worker, sender.tcp, sender.tcb, 1000)
        assert (sender.records(), sender.tcb.snd_nxt) == before
        sender.ack(1, [(2, 3)])
        buddy_give(sender.buddy, taken.pop(), 8)
        assert sender.ack(6) == 5000
        assert sender.tcb.segments.block == 0


def test_find_is_right_after_wrapping() -> None:
    with Sender() as sender:
        sender.send(50)
        sender.ack(20)
        sender.send(50)
        flight = flight_of(sender.worker, sender.tcb)
        for segment in range(20, 100):
            number = find(flight, sender.at(segment) + 999 & MASK)
            assert record(flight, number).start == sender.at(segment)
            assert end_of(record(flight, number)) == sender.at(segment + 1)
        assert find(flight, sender.at(0)) == 0


def test_one_octet_blocks_split_nothing() -> None:
    """Bad-inputs row 7: CVE-2019-11477, -11478: thousands of one-octet blocks, in records of 60 segments."""
    with Sender(mss=1000) as sender:
        sender.send(4, 60_000)
        for octet in range(1, 60_000, 29):
            sender.acknowledge(
                FIRST, [(FIRST + octet, FIRST + octet + 1), (FIRST + octet + 60_001, FIRST + octet + 60_003)]
            )
        assert len(sender.records()) == 4
        assert sender.tcb.sacked == 0


def test_records_are_bounded_by_segments() -> None:
    """Bad-inputs row 7: every second segment reported, in the worst order: no more records than segments."""
    with Sender(mss=100, agreed=SACK) as sender:
        sender.send(10, 10_000)
        for k in range(0, 1000, 2):
            place = k * 7 % 1000
            sender.ack(0, [(place, place + 1)])
        assert len(sender.records()) <= 1000


def test_close_gives_everything_back() -> None:
    with Sender() as sender:
        sender.send(100)
        close_flight(sender.worker, sender.tcb)
        assert sender.buddy.used == 0
