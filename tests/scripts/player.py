"""Play a script against a host: Linux (linux.py) or this project's engine (ours.py).

The player is the remote side of every connection. It translates the script's numbers to live ones, lets time pass until
an event is due, and compares what comes out with what is expected: content, order and time. A packet that nobody
expects is an error as well, also after the last line.
"""

from __future__ import annotations

import errno
import re
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Protocol

from tests.scripts import calls
from tests.scripts.dialect import ANY, PSH, Call, Check, Event, Icmp, Option, Script, Segment
from tests.scripts.octets import (
    Packet,
    option_text,
    pattern,
    read_segment,
    segment_text,
    write_icmp,
    write_segment,
)

REMOTE_PORT = 40000
"""Flow 1's remote port is the one after."""
LOCAL_PORT = 8080
UNKNOWN_ISN = 3_000_000_000
"""Script number 0 of the local side before a SYN of its was seen."""
SYN, RST, ACK = 2, 4, 16
LINES = 12
"""What passed before a mismatch is shown with it, so many lines."""
TICKS = 2
"""Timestamp values may differ by so many ms beside the tolerance for times."""


class Host(Protocol):
    """What is judged. Packets begin with the IP header; times are seconds since the start; calls return -errno."""

    name: str
    slack: float  # s, added to a script's tolerance
    local: str
    remote: str
    packets: deque[tuple[float, bytes]]  # what came out and was not looked at yet
    shifted: float  # s that the script's clock was set back altogether

    def now(self) -> float: ...
    def advance(self, until: float, until_packet: bool) -> None:
        """Let time pass until then, or until a packet has come out."""

    def lateness(self, delay: float) -> float:
        """How much later than asked for a timer may expire."""

    def shift(self, seconds: float) -> None:
        """Set the script's clock back: what follows is relative to something that was late."""

    def inject(self, packet: bytes) -> None: ...
    def socket(self) -> int: ...
    def bind(self, handle: int, port: int) -> int: ...
    def listen(self, handle: int, backlog: int) -> int: ...
    def accept(self, handle: int) -> int: ...
    def connect(self, handle: int, port: int) -> int: ...
    def send(self, handle: int, data: bytes, flags: int) -> int: ...
    def send_to(self, handle: int, data: bytes, flags: int, port: int) -> int: ...
    def receive(self, handle: int, octets: int, flags: int) -> tuple[int, bytes]: ...
    def shutdown(self, handle: int, how: int) -> int: ...
    def close(self, handle: int) -> int: ...
    def set_option(self, handle: int, level: int, option: int, value: bytes) -> int: ...
    def get_option(self, handle: int, level: int, option: int, octets: int) -> tuple[int, bytes]: ...
    def poll(self, handle: int, events: int) -> int: ...


class Mismatch(AssertionError):
    """The host did something else than the script says."""


@dataclass
class Flow:
    """One remote port: how script numbers become live ones."""

    port: int
    remote_base: int
    local_base: int = UNKNOWN_ISN
    local_known: bool = False
    local_port: int = LOCAL_PORT
    stamp_base: int | None = None  # live TSval minus the script's
    sent: dict[int, bytes] = field(default_factory=dict)  # headers of what came out, by script number, for ICMP errors


@dataclass
class Descriptor:
    """A script's descriptor."""

    handle: int
    written: int = 1  # position of the next octet
    read: int = 1


class Player:
    """One run of one script."""

    def __init__(self, script: Script, host: Host) -> None:
        self.script, self.host = script, host
        self.flows: dict[int, Flow] = {}
        self.descriptors: dict[int, Descriptor] = {}
        self.subject: int | None = None  # the descriptor that assertions are about
        self.port = LOCAL_PORT
        self.due = (0.0, 0.0)
        self.passed: deque[str] = deque(maxlen=LINES)
        self.tolerance = script.tolerance + host.slack

    def play(self) -> None:
        """Raises Mismatch. Host errors pass through."""
        for event in self.script.events:
            if event.only in ("", self.host.name):
                self._event(event)
        self.host.advance(max(self.host.now(), self.due[1]) + 0.001, False)
        if self.host.packets:
            self._fail(self.script.events[-1], "nothing more", self._seen())

    def _event(self, event: Event) -> None:
        when = event.when
        start = self.due if when.relative else (0.0, 0.0)
        self.due = (start[0] + when.low, start[1] + when.high) if not when.free else (0.0, self.host.now() + 10)
        if isinstance(event.action, Segment) and not event.action.incoming:
            self._expect(event, event.action)
            if when.free or when.low != when.high:
                self.due = (self.host.now(), self.host.now())
            return
        if when.free:
            self.due = (self.host.now(), self.host.now())
        self.host.advance(self.due[1], False)
        if self.host.packets:
            self._fail(event, event.text, "before it, " + self._seen())
        match event.action:
            case Segment() as segment:
                self._inject(segment)
            case Icmp() as error:
                about = self.flow(error.flow).sent.get(error.seq)
                if about is None:
                    self._fail(event, event.text, "no segment that began there was sent")
                else:
                    self.host.inject(write_icmp(self.host.remote, about, error.kind, error.mtu))
            case Call() as call:
                self._call(event, call)
            case Check(expression):
                self._check(event, expression)
        self._note(event.text)

    def flow(self, number: int) -> Flow:
        """A flow of the script, made when it is named first."""
        if number not in self.flows:
            self.flows[number] = Flow(REMOTE_PORT + number, self.script.remote_isn, local_port=self.port)
        return self.flows[number]

    # --- segments -----------------------------------------------------------------------------------------------------

    def _inject(self, segment: Segment) -> None:
        flow = self.flow(segment.flow)
        options = tuple(self._live_option(flow, option) for option in segment.options or ())
        packet = Packet(
            self.host.remote,
            self.host.local,
            flow.port,
            flow.local_port,
            ((segment.seq or 0) + flow.remote_base) % 2**32,
            ((segment.ack or 0) + flow.local_base) % 2**32 if segment.flags & ACK else 0,
            segment.flags,
            segment.window or 0,
            segment.urgent,
            options,
            pattern(segment.seq or 0, segment.octets),
            segment.ecn or 0,
        )
        if segment.flags & SYN:
            packet.payload = pattern((segment.seq or 0) + 1, segment.octets)
        self.host.inject(write_segment(packet))

    def _live_option(self, flow: Flow, option: Option) -> Option:
        name, numbers, octets = option
        if name == "sack":
            return name, tuple(((edge or 0) + flow.local_base) % 2**32 for edge in numbers), octets
        if name == "TS" and numbers[1]:
            return name, (numbers[0], (numbers[1] + (flow.stamp_base or 0)) % 2**32), octets
        return option

    def _expect(self, event: Event, expected: Segment) -> None:
        late = self.host.lateness(event.when.high)
        deadline = self.due[1] + self.tolerance + late
        if not self.host.packets:
            self.host.advance(deadline, True)
        if not self.host.packets:
            self._fail(event, event.text, f"nothing until {self.host.now():.3f}")
        at, data = self.host.packets[0]
        live = read_segment(data)
        if live is None:
            self._fail(event, event.text, self._seen())
            return
        flow = self.flow(live.destination_port - REMOTE_PORT)
        if live.flags & SYN and not flow.local_known:
            flow.local_base, flow.local_known = (live.seq - (expected.seq or 0)) % 2**32, True
            flow.local_port = live.source_port
        stamp = next((o[1] for o in expected.options or () if o[0] == "TS"), (ANY, ANY))
        value = next((o[1][0] for o in live.options if o[0] == "TS"), None)
        if flow.stamp_base is None and stamp[0] is not ANY and value is not None:
            flow.stamp_base = (value - stamp[0]) % 2**32
        seen = self._script_numbers(live, flow)
        flow.sent[seen.seq] = data[: 120 if data[0] >> 4 == 4 else 1280]
        wrong = self._differences(expected, seen, live, flow, late)
        if not self.due[0] - self.tolerance <= at <= deadline:
            wrong.append(f"time {at:.4f}, not {self._due_text()}")
        if wrong:
            self._fail(event, event.text, self._seen(), "; ".join(wrong))
        self.host.packets.popleft()
        self._note(f">{_flow_text(flow.port)} {segment_text(seen)}", at)
        if late and self.due[0] < at < 1e6 and self.due[0] == self.due[1]:
            self.host.shift(at - self.due[0])

    def _script_numbers(self, live: Packet, flow: Flow) -> Packet:
        """The packet with the script's numbers."""

        def translate(option: Option) -> Option:
            name, numbers, octets = option
            if name == "sack":
                return name, tuple(((edge or 0) - flow.remote_base) % 2**32 for edge in numbers), octets
            if name == "TS" and flow.stamp_base is not None:
                return name, (((numbers[0] or 0) - flow.stamp_base) % 2**32, numbers[1]), octets
            return option

        foreign = live.flags & RST and not flow.local_known and live.seq == 0  # RFC 9293 3.10.7.1: SEQ=0
        return replace(
            live,
            seq=0 if foreign else (live.seq - flow.local_base) % 2**32,
            ack=(live.ack - flow.remote_base) % 2**32,
            options=tuple(map(translate, live.options)),
        )

    def _differences(self, expected: Segment, seen: Packet, live: Packet, flow: Flow, late: float) -> list[str]:
        found = []
        ignored = PSH if expected.loose_psh else 0
        if flow.port != REMOTE_PORT + expected.flow:
            found.append(f"flow {flow.port - REMOTE_PORT}, not {expected.flow}")
        if (live.source, live.destination) != (self.host.local, self.host.remote):
            found.append(f"{live.source} to {live.destination}")
        if seen.flags | ignored != expected.flags | ignored:
            found.append("flags")
        pairs = [("seq", expected.seq, seen.seq), ("octets", expected.octets, len(seen.payload))]
        pairs += [("win", expected.window, seen.window), ("urg", expected.urgent, seen.urgent)]
        pairs += [("ecn", expected.ecn, seen.ecn)]
        if expected.flags & ACK:
            pairs.append(("ack", expected.ack, seen.ack))
        found += [f"{name} {is_so}, not {wanted}" for name, wanted, is_so in pairs if wanted not in (ANY, is_so)]
        if expected.options is not None:
            found += self._option_differences(expected.options, seen.options, late)
        start = seen.seq + (1 if seen.flags & SYN else 0)
        if self.script.content and seen.payload != pattern(start, len(seen.payload)) and len(seen.payload) > 1:
            found.append("the content is not what was written")
        return found

    def _option_differences(self, expected: tuple[Option, ...], seen: tuple[Option, ...], late: float) -> list[str]:
        ticks = TICKS + round((self.tolerance + self.host.shifted + late) * 1000)
        for one, other in zip(expected, seen, strict=False):
            same = one[0] == other[0] and len(one[1]) <= max(len(other[1]), 1)
            if same and one[0] == "TS":
                far = ((other[1][0] or 0) - (one[1][0] or 0) + 2**31) % 2**32 - 2**31
                same = (one[1][0] is ANY or abs(far) <= ticks) and one[1][1] in (ANY, other[1][1])
            elif same and ANY not in one[1]:
                same = one == other
            if not same:
                return [f"option {option_text(other)}, not {option_text(one)}"]
        if len(expected) != len(seen):
            return [f"{len(seen)} options, not {len(expected)}"]
        return []

    # --- calls --------------------------------------------------------------------------------------------------------

    def _call(self, event: Event, call: Call) -> None:
        result, note = calls.perform(self, call)
        wanted = -getattr(errno, call.errno) if call.errno else call.result
        if call.name in ("socket", "accept") and result >= 0 and not call.errno:
            self.descriptors[call.result] = Descriptor(result)
            if call.name == "accept":
                self.subject = call.result
        elif result != wanted:
            said = f"-1 {errno.errorcode.get(-result, '?')}" if result < 0 else str(result)
            self._fail(event, event.text, f"{call.name} = {said}")
        if note:
            self._fail(event, event.text, note)

    def _check(self, event: Event, expression: str) -> None:
        if self.subject is None:
            self._fail(event, event.text, "no connection that it could be about")
            return
        status, data = self.host.get_option(self.descriptors[self.subject].handle, *calls.TCP_INFO)
        if status < 0:
            self._fail(event, event.text, f"TCP_INFO: {errno.errorcode[-status]}")
        values = calls.read_info(data)
        try:
            exec(f"assert {expression}", {"abs": abs, **calls.NUMBERS}, values)
        except AssertionError:
            names = [name for name in values if re.search(rf"\b{name}\b", expression)]
            self._fail(event, event.text, ", ".join(f"{name} = {values[name]}" for name in names))

    # --- what went wrong ----------------------------------------------------------------------------------------------

    def _note(self, text: str, at: float | None = None) -> None:
        self.passed.append(f"    {self.host.now() if at is None else at:9.4f}  {text}")

    def _due_text(self) -> str:
        low, high = self.due
        return f"{low:.4f}" if low == high else f"{low:.4f} to {high:.4f}"

    def _seen(self) -> str:
        at, data = self.host.packets[0]
        live = read_segment(data)
        if live is None:
            return f"at {at:.4f} a packet that is not TCP: {data.hex()}"
        flow = self.flow(live.destination_port - REMOTE_PORT)
        return f"at {at:.4f} >{_flow_text(flow.port)} " + segment_text(self._script_numbers(live, flow))

    def _fail(self, event: Event, expected: str, seen: str, why: str = "") -> None:
        place = f"{event.place} (IPv{self.script.family}, {self.host.name}, {self.script.path.stem})"
        lines = [place, f"  expected at {self._due_text()}: {expected}", f"  seen: {seen}"]
        if why:
            lines.append(f"  difference: {why}")
        raise Mismatch("\n".join([*lines, "  before it:", *self.passed]))


def _flow_text(port: int) -> str:
    return "" if port == REMOTE_PORT + 1 else str(port - REMOTE_PORT)
