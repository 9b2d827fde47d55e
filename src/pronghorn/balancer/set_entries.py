"""How members of sets are written: ipset's way, each kind its own. Plain Python.

    ip           192.0.2.1                  2001:db8::1              hash:ip
    net          192.0.2.0/24               2001:db8::/32            hash:net
    ip:port      192.0.2.1,443              2001:db8::1,udp:53       hash:ip,port
    net:port     192.0.2.0/24,tcp:443       ::/0,udp:53              hash:net,port
    mac          02:00:00:00:00:01                                   hash:mac
    port         443                                                 bitmap:port
    interface    the name of a port of the gateway

Addresses and hardware addresses are those that packets come from, ports those that they go to; without a protocol it
is TCP, as in ipset. After it, in any order: `timeout SECONDS`, `comment "TEXT"`, `nomatch`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import AF_INET, inet_pton

from pronghorn.balancer.addresses import NAMES, PROTOCOLS
from pronghorn.balancer.sets import INTERFACE, IP, IP_PORT, MAC, NET, NET_PORT, OTHER, PORT
from pronghorn.wire.text import format_mac, parse_mac, signed, unsigned

KINDS = {
    "ip": IP, "net": NET, "ip:port": IP_PORT, "net:port": NET_PORT, "mac": MAC, "port": PORT, "interface": INTERFACE,
}  # fmt: skip

IPSET_KINDS = {
    "hash:ip": "ip",
    "hash:net": "net",
    "hash:ip,port": "ip:port",
    "hash:net,port": "net:port",
    "hash:mac": "mac",
    "bitmap:port": "port",
}
"""ipset's names of the same kinds."""

LONGEST_TIMEOUT = 2_147_483
"""Seconds, as in ipset."""

LONGEST_COMMENT = 255


@dataclass(frozen=True, slots=True)
class Member:
    """An entry as it is written, and the words it becomes. `name`: the interface whose number `lo` is to become."""

    text: str
    hi: int
    lo: int
    key: int
    timeout: int | None = None  # seconds; 0: never; None: the set's
    comment: str = ""
    nomatch: bool = False
    name: str | None = None


def read_member(kind: str, text: str) -> Member:
    """Read one. ValueError says what is wrong."""
    if " " not in text.strip():  # most of them, quickly
        return _READERS[kind](text.strip())
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError("has a quotation mark without its other one") from None
    if not words:
        raise ValueError("is empty")
    member = _READERS[kind](words[0])
    rest = iter(words[1:])
    for word in rest:
        if word == "nomatch":
            member = replace(member, nomatch=True)
        elif word in ("timeout", "comment"):
            value = next(rest, None)
            if value is None:
                raise ValueError(f"has nothing after {word}")
            member = _with(member, word, value)
        else:
            raise ValueError(f"has {word!r} behind it; known are timeout, comment and nomatch")
    return member


def _with(member: Member, word: str, value: str) -> Member:
    if word == "comment":
        if len(value) > LONGEST_COMMENT or not value.isprintable() or '"' in value:
            raise ValueError(f"has a comment of more than {LONGEST_COMMENT} characters, or unprintable ones")
        return replace(member, comment=value)
    if not re.fullmatch(r"\d{1,7}", value) or int(value) > LONGEST_TIMEOUT:
        raise ValueError(f"has a timeout that is not 0 to {LONGEST_TIMEOUT} seconds")
    return replace(member, timeout=int(value))


def write_member(member: Member) -> str:
    """The text with its options."""
    parts = [member.text]
    if member.timeout is not None:
        parts.append(f"timeout {member.timeout}")
    if member.comment:
        parts.append(f'comment "{member.comment}"')
    if member.nomatch:
        parts.append("nomatch")
    return " ".join(parts)


def write_words(kind: int, hi: int, lo: int, key: int) -> str:
    """The text of an entry's words. An interface is its number."""
    if kind == MAC:
        return format_mac(lo)
    if kind in (PORT, INTERFACE):
        return str(lo)
    length, port, protocol, family = key & 0xFF, key >> 8 & 0xFFFF, key >> 24 & 0xFF, key >> 32 & 0xFF
    address = IPv4Address(lo) if family == 4 else IPv6Address(unsigned(hi) << 64 | unsigned(lo))
    text = f"{address}/{length}" if kind in (NET, NET_PORT) else str(address)
    return f"{text},{NAMES[protocol]}:{port}" if kind in (IP_PORT, NET_PORT) else text


# --- kinds --------------------------------------------------------------------------------------------------------


def _ip(text: str) -> Member:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError("is not an address") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError("has a zone")
    return _addressed(str(address), int(address), address.version, address.max_prefixlen, 0)


def _net(text: str) -> Member:
    """Most are written plainly; the others, and those that are wrong, take ten times as long."""
    host, _, bits = text.partition("/")
    try:
        address = int.from_bytes(inet_pton(AF_INET, host), "big")
        if bits.isascii() and bits.isdigit() and int(bits) <= 32 and not address & (0xFFFF_FFFF >> int(bits)):
            return Member(f"{host}/{int(bits)}", 0, address, 4 << 32 | int(bits))
    except (OSError, ValueError):
        pass
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError("is not a prefix, or has bits set after its length") from None
    return _addressed(str(network), int(network.network_address), network.version, network.prefixlen, 0)


def _with_port(read: Callable[[str], Member], text: str) -> Member:
    where, comma, what = text.partition(",")
    protocol, colon, port = what.rpartition(":")
    if not comma or (colon and protocol not in PROTOCOLS):
        raise ValueError("has no port behind a comma, such as ,443 or ,udp:53")
    number = _number(port)
    place = read(where)
    name = protocol or "tcp"
    return replace(place, text=f"{place.text},{name}:{number}", key=place.key | number << 8 | PROTOCOLS[name] << 24)


def _addressed(text: str, address: int, family: int, length: int, tail: int) -> Member:
    return Member(text, signed(address >> 64), signed(address), family << 32 | tail | length)


def _mac(text: str) -> Member:
    mac = parse_mac(text)
    return Member(format_mac(mac), 0, mac, OTHER)


def _port(text: str) -> Member:
    return Member(str(_number(text)), 0, _number(text), OTHER)


def _interface(text: str) -> Member:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,30}[A-Za-z0-9])?", text):
        raise ValueError("is not the name of a port of the gateway")
    return Member(text, 0, 0, OTHER, name=text)


def _number(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or int(text) > 65535:
        raise ValueError("has a port that is not 0 to 65535")
    return int(text)


_READERS: dict[str, Callable[[str], Member]] = {
    "ip": _ip,
    "net": _net,
    "ip:port": lambda text: _with_port(_ip, text),
    "net:port": lambda text: _with_port(_net, text),
    "mac": _mac,
    "port": _port,
    "interface": _interface,
}
