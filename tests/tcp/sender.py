"""A sender alone: a bare Tcb on a worker whose clock the test sets, driven as output, input and timers drive it.

    with Sender(mss=1000) as sender:
        sender.send(10)                         # ten segments
        sender.ack(3, sack=[(4, 6)])            # segments, counted from the first: 3 arrived in order, 4 and 5 besides
        sender.resend()                         # what next_lost gives, as far as allowance permits: [(3, 1)]
        sender.pass_ms(200)                     # the clock
        sender.timer()                          # what timer_due says, if it is due

Sequence numbers begin so that they wrap soon.
"""

from __future__ import annotations

from typing import Any

from pronghorn.memory.arena import Arena
from pronghorn.memory.buddy import create_buddy
from pronghorn.memory.wheel import create_wheel
from pronghorn.state.endpoints import Endpoints
from pronghorn.state.mib import COUNTERS
from pronghorn.state.worker import Worker
from pronghorn.tcp.recovery import (
    acknowledge,
    allowance,
    next_lost,
    probe_range,
    recovery_established,
    recovery_open,
    segment_resent,
    segment_sent,
    timer_due,
)
from pronghorn.tcp.sample import PROBE, PURE, SEND
from pronghorn.tcp.segments import EVER, LOST, RESENT, SACKED, end_of, flight_of, record
from pronghorn.tcp.tcb import ESTABLISHED, NEVER, SACK, TICK, TIMESTAMPS, Tcb, Tcp
from pronghorn.wire.tcp import HAS_SACK, HAS_TIMESTAMPS, TCPOptions

START = 1000 * 1_000_000_000
FIRST = 0xFFFF_F000
MASK = 0xFFFF_FFFF


class Sender:
    """One connection's sending half, established, with an RTT of 100 ms known unless `rtt_ms` says otherwise."""

    def __init__(
        self,
        mss: int = 1000,
        congestion: int = 0,
        agreed: int = SACK,
        rtt_ms: int = 100,
        memory: int = 1 << 23,
        limit: int = 1 << 30,
    ) -> None:
        self.arena = Arena.create(limit=limit)
        self.worker: Worker = self.arena.table("workers", Worker, 1)[0]
        self.worker.now = START
        self.endpoints: Endpoints = self.arena.table("endpoints", Endpoints, 1)[0]
        self.worker.transports = self.endpoints.address
        self.buddy = create_buddy(self.arena, "buffers", memory)
        self.endpoints.buddy = self.buddy.address
        self.tcp: Tcp = self.arena.table("tcp", Tcp, 1)[0]
        self.endpoints.tcp = self.tcp.address
        self.tcp.tcbs = self.arena.table("tcbs", Tcb, 2)
        self.tcp.initial_window = 10
        wheel = create_wheel(
            self.arena, "wheel", self.tcp.tcbs.address + Tcb.offset("timer"), Tcb.SIZE, self.worker.now >> TICK
        )
        self.tcp.wheel = wheel.address
        self.options: TCPOptions = self.arena.table("options", TCPOptions, 1)[0]
        self.tcb: Tcb = self.tcp.tcbs[0]
        tcb = self.tcb
        tcb.state, tcb.mss, tcb.congestion, tcb.agreed = ESTABLISHED, mss, congestion, agreed
        tcb.snd_una = tcb.snd_nxt = FIRST - 1 & MASK
        tcb.snd_end = FIRST + (1 << 30) & MASK
        tcb.snd_window = 1 << 30
        tcb.ts_offset = 77
        self.mss = mss
        recovery_open(self.worker, self.tcp, tcb)
        if rtt_ms:
            assert segment_sent(self.worker, self.tcp, tcb, 1)
            self.pass_ms(rtt_ms)
            self.acknowledge(FIRST)
        else:
            tcb.snd_una = tcb.snd_nxt = FIRST
        recovery_established(self.worker, self.tcp, tcb)

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: Any) -> None:
        self.arena.close()

    # --- what the network and the clock do ---

    def pass_ms(self, ms: float) -> None:
        """Move the clock."""
        self.worker.now += round(ms * 1_000_000)

    def at(self, segment: int) -> int:
        """The sequence number at which segment `segment` begins."""
        return FIRST + segment * self.mss & MASK

    def acknowledge(
        self, ack: int, sack: list[tuple[int, int]] | None = None, signals: int = PURE, echo_ms: int | None = None
    ) -> int:
        """An acknowledgement in sequence numbers."""
        options = self.options
        options.present, options.sack_blocks = 0, 0
        if sack:
            options.present |= HAS_SACK
            options.sack_blocks = len(sack)
            for k, (left, right) in enumerate(sack):
                options.sack[2 * k], options.sack[2 * k + 1] = left & MASK, right & MASK
        if self.tcb.agreed & TIMESTAMPS:
            options.present |= HAS_TIMESTAMPS
            options.echo = self.stamp_ms() if echo_ms is None else echo_ms
        return acknowledge(self.worker, self.tcp, self.tcb, ack, options, signals)

    def ack(
        self, segment: int, sack: list[tuple[int, int]] | None = None, signals: int = PURE, echo_ms: int | None = None
    ) -> int:
        """An acknowledgement in segments."""
        blocks = [(self.at(left), self.at(right)) for left, right in sack or []]
        return self.acknowledge(self.at(segment), blocks, signals, echo_ms)

    def stamp_ms(self) -> int:
        """Our timestamp now."""
        return self.worker.now // 1_000_000 + self.tcb.ts_offset & MASK

    # --- what output and timers do ---

    def send(self, segments: int, octets: int = 0) -> None:
        """Send so many new segments, whatever the window."""
        for _ in range(segments):
            assert segment_sent(self.worker, self.tcp, self.tcb, octets or self.mss)

    def fill(self, most: int = 1 << 20) -> int:
        """Send new segments as the window permits; returns how many."""
        sent = 0
        while sent < most and allowance(self.worker, self.tcp, self.tcb) >= self.mss:
            assert segment_sent(self.worker, self.tcp, self.tcb, self.mss)
            sent += 1
        return sent

    def window(self, segments: int) -> None:
        """Send so many, with a window that permits it, and let a round trip pass."""
        self.tcb.cwnd = segments * self.mss
        self.send(segments)
        self.pass_ms(100)

    def resend(self, most: int = 1 << 20) -> list[tuple[int, int]]:
        """Send again what is lost, as the window permits: (first segment, segments) of each range."""
        ranges: list[tuple[int, int]] = []
        while len(ranges) < most and allowance(self.worker, self.tcp, self.tcb) > 0:
            seq, octets = next_lost(self.worker, self.tcp, self.tcb)
            if octets == 0:
                break
            segment_resent(self.worker, self.tcp, self.tcb, seq, octets)
            ranges.append(((seq - FIRST & MASK) // self.mss, -(-octets // self.mss)))
        return ranges

    def due_ms(self) -> float:
        """Milliseconds until the retransmission timer; -1 when none runs."""
        at = self.tcb.retransmit_at
        return -1 if at == NEVER else (at - self.worker.now) / 1_000_000

    def timer(self) -> int:
        """Move the clock to the timer, and let it run out. A probe is sent at once."""
        assert self.tcb.retransmit_at != NEVER
        self.worker.now = max(self.worker.now, self.tcb.retransmit_at)
        result = timer_due(self.worker, self.tcp, self.tcb)
        if result == PROBE:
            seq, octets = probe_range(self.worker, self.tcp, self.tcb)
            if octets:
                segment_resent(self.worker, self.tcp, self.tcb, seq, octets)
            else:
                self.send(1)
        assert result in (0, SEND, PROBE)
        return result

    # --- what is so ---

    def count(self, name: str) -> int:
        """A TcpExt counter."""
        return self.endpoints.mib[COUNTERS.index(("TcpExt", name))]

    def records(self) -> list[tuple[int, int, str]]:
        """The scoreboard: first octet from FIRST, octets, and letters S, L, R, e for SACKED, LOST, RESENT, EVER."""
        flight = flight_of(self.worker, self.tcb)
        found = []
        for number in range(flight.count if flight.address else 0):
            segment = record(flight, number)
            letters = {SACKED: "S", LOST: "L", RESENT: "R", EVER: "e"}
            flags = "".join(letter for bit, letter in letters.items() if segment.flags & bit)
            found.append((segment.start - FIRST & MASK, segment.octets, flags))
            if number + 1 < flight.count:
                assert end_of(segment) == record(flight, number + 1).start
        self.check()
        return found

    def check(self) -> None:
        """The counts agree with the records, and the records with what is in flight."""
        tcb = self.tcb
        flight = flight_of(self.worker, tcb)
        sums = {SACKED: 0, LOST: 0, RESENT: 0}
        listed = 0
        position = tcb.snd_una
        for number in range(flight.count if flight.address else 0):
            segment = record(flight, number)
            assert segment.start == position
            assert segment.octets > 0
            position = end_of(segment)
            assert bin(segment.flags & (SACKED | LOST | RESENT)).count("1") <= 1
            for bit in sums:
                sums[bit] += segment.octets if segment.flags & bit else 0
            listed += 1 if segment.flags & RESENT else 0
        assert position == tcb.snd_nxt
        assert (tcb.lost, tcb.resent) == (sums[LOST], sums[RESENT])
        if tcb.agreed & SACK:
            assert tcb.sacked == sums[SACKED]
        assert tcb.sacked + tcb.lost <= tcb.snd_nxt - tcb.snd_una & MASK
