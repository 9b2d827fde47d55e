"""What the configuration says about health: `[[services.checks]]`, `[services.passive]` (model.py has the rest).

Defaults follow HAProxy where it has the same setting (rise 2, fall 3, interval 2 s) and DPVS's --dest-check for passive
checks (one failure within 3 s; 5 s to an hour of inhibition, doubling).
"""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from pronghorn.control.fields import AddressField, NameField, NotStrict, PathField, _from_text
from pronghorn.control.health.durations import Duration, allowed, reader

T = TypeVar("T")
Many = Annotated[tuple[T, ...], NotStrict]
Interval = Annotated[Duration, reader("50ms", "1h"), allowed("50ms", "1h")]
Timeout = Annotated[Duration, reader("10ms", "10m"), allowed("10ms", "10m")]
Inhibition = Annotated[Duration, reader("1s", "24h"), allowed("1s", "24h")]
Text = Annotated[str, Field(max_length=4096, json_schema_extra={"allowed": "a string of at most 4096 characters"})]


def _read_statuses(text: str) -> str:
    """Like 200,204,300-399."""
    for part in text.split(","):
        match = re.fullmatch(r"([1-5]\d\d)(?:-([1-5]\d\d))?", part)
        if not match or int(match[1]) > int(match[2] or match[1]):
            raise ValueError("is not a list of status codes")
    return text


def _read_header(text: str) -> str:
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not value.strip().isprintable():
        raise ValueError("is not a header field")
    return f"{name}: {value.strip()}"


def _read_path(text: str) -> str:
    if not re.fullmatch(r"(/|\*)[!-~]*", text):
        raise ValueError("is not the path of a request")
    return text


def _read_variable(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*=[^\0]*", text):
        raise ValueError("is not a variable")
    return text


def _allowed(sentence: str) -> Any:
    return Field(json_schema_extra={"allowed": sentence})


Statuses = Annotated[
    str,
    _from_text(_read_statuses),
    _allowed('status codes and ranges of them, such as "200,204,300-399", each 100..599'),
]
Header = Annotated[str, _from_text(_read_header), _allowed('"NAME: VALUE"')]
RequestPath = Annotated[
    str, _from_text(_read_path), _allowed('a path with its query, such as "/health?full=1"; no spaces')
]
Variable = Annotated[str, _from_text(_read_variable), _allowed('"NAME=VALUE"')]


class Check(BaseModel):
    """A way to find out whether each server of the service can be used; all checks of a server must pass.

    What a kind of check does not know may not be given. `send` and `expect` are text, or octets as "hex:0d0a".
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    type: Literal["tcp", "http", "https", "udp", "dns", "ping", "grpc", "script", "agent"] = Field(
        description="tcp: connects; http, https: asks for a page; udp: sends, and takes an ICMP error for a failure; "
        "dns: asks for a name; ping: ICMP echo; grpc: grpc.health.v1; script: a command ends with 0; agent: HAProxy's "
        "agent-check: the server says itself how it is"
    )
    name: NameField | None = Field(default=None, description="tells checks of one service apart; its type otherwise")
    via: Literal["gateway", "kernel"] = Field(
        default="gateway",
        description="gateway: from the gateway's own addresses, the way of the traffic (needs programs.enabled); "
        "kernel: by the kernel's sockets",
    )
    port: int | None = Field(default=None, ge=1, le=65_535, description="where to ask; the server's own if absent")
    interval: Interval = Field(default=Duration("2s"), description="from the beginning of one to that of the next")
    fast_interval: Interval | None = Field(
        default=None, description="the same while the state is about to change; `interval` if absent"
    )
    down_interval: Interval | None = Field(default=None, description="the same while it is down; `interval` if absent")
    down_interval_max: Interval | None = Field(
        default=None, description="while it stays down, the interval doubles with each check, up to this; absent: never"
    )
    timeout: Timeout = Field(default=Duration("1s"), description="how long one check may take in all")
    jitter: int = Field(default=10, ge=0, le=50, description="percent by which intervals differ at random")
    rise: int = Field(default=2, ge=1, le=1_000, description="passed checks in a row that make it up")
    fall: int = Field(default=3, ge=1, le=1_000, description="failed checks in a row that make it down")
    start: Literal["up", "down"] = Field(
        default="up", description="the state at first; when the first check passes, it is up at once"
    )
    send: Text | None = Field(default=None, description="tcp, udp, agent: sent first; udp sends a zero octet without")
    expect: Text | None = Field(default=None, description="tcp, udp, http, https: what the answer (or page) contains")
    method: Literal["GET", "HEAD", "POST", "PUT", "OPTIONS"] = Field(default="GET", description="http, https")
    path: RequestPath = Field(default="/", description="http, https")
    host: Text | None = Field(default=None, description="http, https, grpc: the name asked for; the address if absent")
    headers: Many[Header] = Field(default=(), description="http, https: more header fields")
    body: Text | None = Field(default=None, description="http, https: what is sent with the request")
    status: Statuses = Field(default="200-399", description="http, https: good answers")
    tls: bool = Field(default=False, description="grpc: over TLS")
    verify: bool = Field(default=True, description="https, grpc: whether the certificate must be good")
    ca: PathField | None = Field(
        default=None, description="https, grpc: a file with the certificates that are believed; the system's if absent"
    )
    server_name: Text | None = Field(
        default=None, description="https, grpc: the name in TLS (SNI, certificate); `host` if absent"
    )
    query: Text | None = Field(default=None, description="dns: the name")
    record: Literal["A", "AAAA", "NS", "SOA", "MX", "TXT", "CNAME", "SRV", "PTR", "ANY"] = Field(
        default="A", description="dns: the type"
    )
    rcode: Literal["NOERROR", "NXDOMAIN", "REFUSED", "SERVFAIL", "any"] = Field(
        default="NOERROR", description="dns: the expected response code"
    )
    answer: AddressField | None = Field(default=None, description="dns: an address that the answer must have")
    service: Text = Field(default="", description="grpc: the service asked for; empty: the whole server")
    command: Many[Text] = Field(
        default=(), description="script: the command and its arguments; no shell. Variables tell what is checked"
    )
    environment: Many[Variable] = Field(default=(), description="script: more variables")

    @property
    def label(self) -> str:
        return self.name or self.type


class Passive(BaseModel):
    """What traffic says about servers: connections that are refused (RST) or get no answer to their SYN.

    A server that fails too often gets no new connections for a while (`inhibit`); then new ones show how it is. When
    they fail, it is left alone for twice as long.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    failures: int = Field(default=1, ge=1, le=1_000_000, description="failed connections that make a server down")
    window: Inhibition = Field(default=Duration("3s"), description="within which they are counted")
    confirm: int = Field(default=1, ge=1, le=1_000_000, description="good connections after which it counts as up")
    inhibit: Inhibition = Field(default=Duration("5s"), description="how long it gets no connections at first")
    inhibit_max: Inhibition = Field(default=Duration("1h"), description="and at most")


def octets_of(text: str | None) -> bytes:
    """What `send`, `expect` and `body` stand for: text, or octets as "hex:0d0a". Raises ValueError."""
    if text is None:
        return b""
    return bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode()
