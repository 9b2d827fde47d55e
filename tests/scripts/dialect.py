"""The language of packet scripts: text to events. docs/howto/write-a-packet-script.md shows it; this is its grammar.

A script is close to what packetdrill takes. One event a line:

    TIME CALL(ARGUMENTS) = RESULT [ERRNO]     a socket call, which never waits
    TIME < SEGMENT                            a segment that the remote side sends
    TIME > SEGMENT                            a segment that must come out now
    TIME < icmp KIND [mtu N] [SEQ:SEQ(N)]     an ICMP error about a segment that was sent
    TIME %{ assert EXPRESSION }%              about TCP_INFO of the last accepted or connected socket

TIME      +0.1 after the event before | 0.1 after the start | +0.1~+0.2 between | * whenever | nothing: +0
SEGMENT   [FLOW] [ecn] FLAGS SEQ:SEQ(OCTETS) [ack N] [win N] [urg N] [<OPTIONS>]
FLAGS     of S F R P . U E W; `~` behind them: PSH may be set or not
OPTIONS   mss N | wscale N | sackOK | TS val N ecr N | sack N:N ... | nop | eol | FO HEX | hex HEX; <...>: any, and none
          of them where they are left out. In an expected segment `*` stands for any number

FLOW numbers the remote port, 1 unless given. Sequence numbers count from the first SYN of a side, as in packetdrill.
`$MSS` is 1460 for IPv4 and 1440 for IPv6; `${MSS-100}` is 100 less. A line that begins with [linux] or [ours] is for
one of the two alone.

Header lines: --family=4, --tolerance=MS, --mtu=N, --remote_isn=N, --content=any, --slow (not run against Linux unless
asked), --sysctl=NAME=VALUE, and --rfc=TEXT: the RFC and section on which the script rests where Linux differs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

COMMON = Path(__file__).parent / "common"
"""Openings that scripts include."""
ANY = None
"""In an expected segment: whatever."""

FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128}
PSH = FLAGS["P"]
ECN = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}
ICMP_KINDS = ("net", "host", "protocol", "port", "admin", "frag_needed", "ttl")

_TIME = re.compile(r"(?P<any>\*)|(?P<plus>\+?)(?P<low>\d*\.?\d+)(?:~\+?(?P<high>\d*\.?\d+))?(?=\s)")
_SEGMENT = re.compile(
    r"(?P<way>[<>])(?P<flow>\d*)\s+(?:\[(?P<ecn>\w+)\]\s+)?(?P<flags>[FSRPUEW.]+)(?P<loose>~?)\s+"
    r"(?P<seq>\d+|\*):(?P<end>\d+|\*)\((?P<octets>\d+)\)"
    r"(?:\s+ack\s+(?P<ack>\d+|\*))?(?:\s+win\s+(?P<win>\d+|\*))?(?:\s+urg\s+(?P<urg>\d+))?"
    r"(?:\s+<(?P<options>[^>]*)>)?$"
)
_ICMP = re.compile(
    r"<(?P<flow>\d*)\s+icmp\s+(?P<kind>\w+)(?:\s+mtu\s+(?P<mtu>\d+))?\s+\[(?P<seq>\d+):\d+\((?P<octets>\d+)\)\]$"
)
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\)\s*=\s*(?P<result>-?\w+)(?:\s+(?P<errno>E[A-Z0-9]+).*)?$")
_MSS = re.compile(r"\$MSS\b|\$\{MSS(?P<more>[+-]\d+)\}")
_CHECK = re.compile(r"%\{\s*assert\s+(?P<expression>.*?)\s*\}%$")

Option = tuple[str, tuple[int | None, ...], bytes]
"""Name, numbers, octets: ("TS", (val, ecr), b"")."""


class ScriptError(ValueError):
    """The text is not a script; says where and why."""


@dataclass(frozen=True)
class When:
    """A time in seconds: relative to the event before or to the start, or `free`: whenever."""

    low: float = 0.0
    high: float = 0.0
    relative: bool = True
    free: bool = False


@dataclass(frozen=True)
class Call:
    """A socket call. `arguments` are as written; `result` is a number, `errno` a name or empty."""

    name: str
    arguments: tuple[str, ...]
    result: int
    errno: str


@dataclass(frozen=True)
class Segment:
    """A segment in the script's numbers. None is whatever; `options` None: any."""

    incoming: bool
    flow: int
    flags: int
    loose_psh: bool
    seq: int | None
    octets: int
    ack: int | None
    window: int | None
    urgent: int
    options: tuple[Option, ...] | None
    ecn: int | None


@dataclass(frozen=True)
class Icmp:
    """An ICMP error that quotes the segment of ours which began at `seq`."""

    flow: int
    kind: str
    mtu: int
    seq: int
    octets: int


@dataclass(frozen=True)
class Check:
    """A Python expression over the fields of TCP_INFO, which must be true."""

    expression: str


@dataclass(frozen=True)
class Event:
    """One line."""

    place: str  # file:line
    text: str
    when: When
    only: str  # "linux", "ours" or empty
    action: Call | Segment | Icmp | Check


@dataclass
class Script:
    """A file, for one family."""

    path: Path
    family: int
    families: tuple[int, ...] = (4, 6)
    tolerance: float = 0.005  # s
    mtu: int = 1500
    remote_isn: int = 1_000_000
    content: bool = True  # what is sent and received must be the pattern
    slow: bool = False
    sysctls: dict[str, str] = field(default_factory=dict)
    rfc: str = ""
    only: str = ""
    open: str = ""  # what the stack does not do yet, so that the script does not fit
    events: list[Event] = field(default_factory=list)


def load(path: Path, family: int = 4) -> Script:
    """Read a script. Raises ScriptError."""
    script = Script(path, family)
    _read(script, path)
    if (script.only or any(event.only for event in script.events)) and not script.rfc:
        raise ScriptError(f"{path}: lines that are for one of the two alone need a --rfc header")
    return script


def _read(script: Script, path: Path) -> None:
    mss = 1460 if script.family == 4 else 1440
    text = _MSS.sub(lambda found: str(mss + int(found["more"] or 0)), path.read_text())
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)(//|#).*", "", raw).strip()
        if not line:
            continue
        try:
            if line.startswith("--include="):
                _read(script, COMMON / (line.partition("=")[2] + ".inc"))
            elif line.startswith("--"):
                _header(script, line[2:])
            else:
                script.events.append(_event(f"{path}:{number}", line))
        except ScriptError:
            raise
        except (ValueError, KeyError) as why:
            raise ScriptError(f"{path}:{number}: {raw.strip()}: {why}") from None


def scripts(folder: Path) -> list[Path]:
    """All scripts below a folder, or the file itself."""
    return [folder] if folder.is_file() else sorted(folder.rglob("*.pkt"))


def _header(script: Script, line: str) -> None:
    name, _, value = line.partition("=")
    value = value.strip()
    match name:
        case "family":
            script.families = (int(value),)
        case "tolerance":
            script.tolerance = float(value) / 1000
        case "mtu":
            script.mtu = int(value)
        case "remote_isn":
            script.remote_isn = int(value, 0)
        case "content":
            script.content = value != "any"
        case "open":
            script.open = value
        case "only":
            script.only = value
        case "slow":
            script.slow = True
        case "rfc":
            if not re.search(r"\d", value):
                raise ValueError("--rfc names an RFC and a section")
            script.rfc = value
        case "sysctl":
            key, _, setting = value.partition("=")
            script.sysctls[key.strip()] = setting.strip()
        case _:
            raise ValueError("no such header: " + name)


def _event(place: str, line: str) -> Event:
    text, only = line, ""
    if tag := re.match(r"\[(linux|ours)\]\s*", line):
        only, line = tag[1], line[tag.end() :]
    when = When()
    if time := _TIME.match(line):
        line = line[time.end() :].strip()
        if time["any"]:
            when = When(free=True)
        else:
            low = float(time["low"])
            when = When(low, float(time["high"] or low), bool(time["plus"]))
    return Event(place, text, when, only, _action(line))


def _action(line: str) -> Call | Segment | Icmp | Check:
    if found := _CHECK.match(line):
        return Check(found["expression"])
    if found := _ICMP.match(line):
        if found["kind"] not in ICMP_KINDS:
            raise ValueError("ICMP kinds are " + ", ".join(ICMP_KINDS))
        return Icmp(
            int(found["flow"] or 1), found["kind"], int(found["mtu"] or 0), int(found["seq"]), int(found["octets"])
        )
    if line[0] in "<>":
        if not (found := _SEGMENT.match(line)):
            raise ValueError("not a segment: FLAGS SEQ:SEQ(OCTETS) [ack N] [win N] [urg N] [<OPTIONS>]")
        return _segment(found)
    if found := _CALL.match(line):
        result = int(found["result"]) if found["result"] != "..." else 0
        return Call(found["name"], tuple(_split(found["arguments"])), result, found["errno"] or "")
    raise ValueError("neither a call, a segment nor an assertion")


def _segment(found: re.Match[str]) -> Segment:
    incoming, options = found["way"] == "<", found["options"]
    seq, octets = _number(found["seq"]), int(found["octets"])
    if seq is not None and (seq + octets) % 2**32 != int(found["end"]) % 2**32:
        raise ValueError("the range does not have that many octets")
    numbers = (found["seq"], found["ack"], found["win"], options or "")
    if incoming and any("*" in (word or "") for word in numbers):
        raise ValueError("what is sent must be said")
    window = _number(found["win"]) if found["win"] else (0 if incoming else ANY)
    if found["ecn"] and found["ecn"] not in ECN:
        raise ValueError("ECN fields are " + ", ".join(ECN))
    flags = sum(FLAGS[letter] for letter in set(found["flags"]))
    if bool(flags & FLAGS["."]) != (found["ack"] is not None):
        raise ValueError("`.` among the flags and `ack N` go together")
    return Segment(
        incoming,
        int(found["flow"] or 1),
        flags,
        bool(found["loose"]),
        seq,
        octets,
        _number(found["ack"]) if found["ack"] else 0,
        window,
        int(found["urg"] or 0),
        None if options == "..." else tuple(_option(text.strip()) for text in (options or "").split(",") if text),
        ECN[found["ecn"]] if found["ecn"] else (0 if incoming else ANY),
    )


def _option(text: str) -> Option:
    name, *words = text.split()
    match name:
        case "mss" | "wscale":
            (value,) = words
            return name, (_number(value),), b""
        case "sackOK" | "nop" | "eol":
            return name, (), b""
        case "TS":
            _, value, _, echo = words
            return name, (_number(value), _number(echo)), b""
        case "sack":
            return name, tuple(int(edge) for block in words for edge in block.split(":")), b""
        case "FO" if words == ["*"]:
            return name, (ANY,), b""
        case "FO" | "hex":
            return name, (), bytes.fromhex("".join(words))
    raise ValueError(f"no such option: {text}")


def _number(text: str) -> int | None:
    return ANY if text == "*" else int(text)


def _split(text: str) -> list[str]:
    """Arguments between commas; brackets of any kind keep together."""
    found, depth, word = [], 0, ""
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            found.append(word.strip())
            word = ""
        else:
            word += letter
    return [*found, word.strip()] if word.strip() or found else []
