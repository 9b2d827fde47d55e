"""The dialect says what is no script, and the player notices every way in which a host can differ from one."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest

from tests.scripts.dialect import Call, Check, Icmp, ScriptError, Segment, load
from tests.scripts.octets import Packet, read_segment, segment_text, write_segment
from tests.scripts.player import Mismatch, Player

SYN = "0 < S 0:0(0) win 1000 <mss 1000,TS val 7 ecr 0>"
ANSWER = "+0.5 > S. 0:0(0) ack 1 win 500 <mss 1460,TS val 100 ecr 7,nop,nop>"


class Echo:
    """Answers a SYN after half a second, in its own way."""

    name, slack, local, remote, shifted = "echo", 0.0, "192.0.2.1", "192.0.2.2", 0.0

    def __init__(self, **changes: object) -> None:
        self.packets: deque[tuple[float, bytes]] = deque()
        self.clock, self.changes = 0.0, changes
        self.waiting: list[tuple[float, bytes]] = []

    def now(self) -> float:
        return self.clock

    def lateness(self, delay: float) -> float:
        return 0.0

    def shift(self, seconds: float) -> None: ...

    def advance(self, until: float, until_packet: bool) -> None:
        while self.waiting and self.waiting[0][0] <= until:
            self.packets.append(self.waiting.pop(0))
            if until_packet:
                self.clock = self.packets[-1][0]
                return
        self.clock = until

    def inject(self, packet: bytes) -> None:
        seen = read_segment(packet)
        assert seen is not None
        options = (("mss", (1460,), b""), ("TS", (900_000, 7), b""), ("nop", (), b""), ("nop", (), b""))
        answer = Packet(
            self.local,
            self.remote,
            seen.destination_port,
            seen.source_port,
            77,
            seen.seq + 1,
            18,
            500,
            0,
            options,
            b"",
            0,
        )
        for name, value in self.changes.items():
            if name not in ("after", "twice"):
                setattr(answer, name, value)
        self.waiting.append((self.clock + float(str(self.changes.get("after", 0.5))), write_segment(answer)))
        if "twice" in self.changes:
            self.waiting.append(self.waiting[-1])

    def poll(self, handle: int, events: int) -> int:
        return 0

    def socket(self) -> int:
        return -24

    def get_option(self, handle: int, level: int, option: int, octets: int) -> tuple[int, bytes]:
        return 0, bytes(octets)


def play(tmp_path: Path, *lines: str, **changes: object) -> str:
    """What the player says."""
    path = tmp_path / "one.pkt"
    path.write_text("\n".join(lines))
    try:
        Player(load(path), Echo(**changes)).play()  # type: ignore[arg-type]
    except Mismatch as why:
        return str(why)
    return ""


def test_a_fit(tmp_path: Path) -> None:
    assert play(tmp_path, SYN, ANSWER) == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ack": 5}, "ack"),
        ({"flags": 16}, "flags"),
        ({"window": 501}, "win 501, not 500"),
        ({"urgent": 3}, "urg 3, not 0"),
        ({"after": 0.6}, "nothing until 0.505"),
        ({"after": 0.4}, "time 0.4000, not 0.5000"),
        ({"twice": True}, "expected at 0.5000: nothing more"),
        ({"payload": b"ab"}, "octets 2, not 0"),
        ({"options": (("mss", (1460,), b""),)}, "1 options, not 4"),
        ({"options": (("mss", (1460,), b""), ("nop", (), b""), ("nop", (), b""))}, "option nop, not TS val 100 ecr 7"),
        ({"options": (("mss", (1400,), b""), ("TS", (1, 7), b""), ("nop", (), b""))}, "option mss 1400, not mss 1460"),
        ({"source": "192.0.2.7"}, "192.0.2.7 to 192.0.2.2"),
    ],
)
def test_a_difference(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    assert said in play(tmp_path, SYN, ANSWER, **changes)


def test_a_mismatch_says_where(tmp_path: Path) -> None:
    said = play(tmp_path, SYN, ANSWER, window=501)
    assert said.startswith(f"{tmp_path}/one.pkt:2 (IPv4, echo, one)\n  expected at 0.5000: {ANSWER}\n")
    assert "seen: at 0.5000 > S. 0:0(0) ack 1 win 501 <mss 1460,TS val 100 ecr 7,nop,nop>" in said
    assert SYN in said.split("before it:")[1]


def test_what_comes_too_early_is_no_surprise_later(tmp_path: Path) -> None:
    said = play(tmp_path, SYN, "+1 < . 1:1(0) ack 1 win 5", "* > S. 0:0(0) ack 1 <...>")
    assert "seen: before it, at 0.5000" in said


def test_calls_and_assertions_are_compared(tmp_path: Path) -> None:
    assert "socket = -1 EMFILE" in play(tmp_path, "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3")
    assert play(tmp_path, "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = -1 EMFILE") == ""
    assert "no connection" in play(tmp_path, "0 %{ assert tcpi_state == 1 }%")


@pytest.mark.parametrize(
    "line",
    [
        "< S 0:5(4) win 1",
        "< S 0:0(0) ack 1 win 1",
        "< S. 0:0(0) win 1",
        "< X 0:0(0) win 1",
        "< S *:*(0) win 1",
        "< S 0:0(0) win 1 <mss>",
        "< S 0:0(0) win 1 <what 5>",
        "< [ect7] S 0:0(0) win 1",
        "< icmp wrong [1:1(0)]",
        "listen(3, 1)",
        "nonsense",
        "--what=5",
        "--rfc=none",
        "[linux] close(3) = 0",
    ],
)
def test_no_script(tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.pkt"
    path.write_text(f"// comment\n{line}\n")
    with pytest.raises(ScriptError, match=r"bad\.pkt"):
        load(path)


def test_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "good.pkt"
    path.write_text(
        "--sysctl=net.ipv4.tcp_ecn=1\n+0.1~+0.2 >2 P.~ 1:11(10) ack * win 7 // said\n"
        "* < icmp frag_needed mtu 1300 [1:1(0)]\n0.5 send(4, ..., ${MSS-1}, MSG_MORE|MSG_DONTWAIT) = -1 EAGAIN\n"
        "%{ assert tcpi_rtt > 5 }%\n"
    )
    script = load(path, 6)
    segment, error, call, check = (event.action for event in script.events)
    assert isinstance(segment, Segment)
    assert (segment.flow, segment.flags, segment.loose_psh, segment.ack, segment.window) == (2, 24, True, None, 7)
    assert (script.events[0].when.low, script.events[0].when.high) == (0.1, 0.2)
    assert error == Icmp(1, "frag_needed", 1300, 1, 0)
    assert call == Call("send", ("4", "...", "1439", "MSG_MORE|MSG_DONTWAIT"), -1, "EAGAIN")
    assert check == Check("tcpi_rtt > 5")
    assert script.sysctls == {"net.ipv4.tcp_ecn": "1"}


@pytest.mark.parametrize("family", [4, 6])
def test_octets_there_and_back(family: int) -> None:
    own, other = ("192.0.2.1", "192.0.2.2") if family == 4 else ("2001:db8::1", "2001:db8::2")
    options = (
        ("mss", (1460,), b""),
        ("sackOK", (), b""),
        ("TS", (1, 2), b""),
        ("sack", (3, 4, 5, 6), b""),
        ("FO", (), b"1234"),
    )
    packet = Packet(own, other, 5, 6, 2**32 - 1, 8, 16, 9, 1, options, b"content", 2)
    data = write_segment(packet)
    assert read_segment(data) == packet
    text = "[ect0] . 4294967295:6(7) ack 8 win 9 urg 1 <mss 1460,sackOK,TS val 1 ecr 2,sack 3:4 5:6,FO 31323334>"
    assert segment_text(packet) == text
    with pytest.raises(ValueError, match="checksum"):
        read_segment(data[:-1] + b"x")
