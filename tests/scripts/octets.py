"""Segments as octets and as text: what the players put on the wire, and what they read from it.

Packets begin with the IP header. Written from RFC 791, 8200, 9293, 792 and 4443, and on purpose not with the product's
own code, which is what the scripts judge.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import ip_address

from tests.scripts.dialect import FLAGS, Option

TCP = 6
HOPS = 64
PERIOD = 251
_PATTERN = bytes(range(PERIOD)) * 300


def pattern(position: int, octets: int) -> bytes:
    """The octets of a stream from a position on: every octet is its position modulo 251."""
    return _PATTERN[position % PERIOD :][:octets]


@dataclass
class Packet:
    """A TCP segment in live numbers."""

    source: str
    destination: str
    source_port: int
    destination_port: int
    seq: int
    ack: int
    flags: int
    window: int
    urgent: int
    options: tuple[Option, ...]
    payload: bytes
    ecn: int


def checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) & 1:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ip(source: str, destination: str, protocol: int, payload: bytes, ecn: int) -> bytes:
    own, other = ip_address(source).packed, ip_address(destination).packed
    if len(own) == 16:
        return struct.pack("!IHBB", 6 << 28 | ecn << 20, len(payload), protocol, HOPS) + own + other + payload
    header = struct.pack("!BBHHHBBH", 0x45, ecn, 20 + len(payload), 0, 0x4000, HOPS, protocol, 0) + own + other
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + payload


def _pseudo(source: str, destination: str, protocol: int, octets: int) -> bytes:
    return ip_address(source).packed + ip_address(destination).packed + struct.pack("!II", octets, protocol)


def write_segment(packet: Packet) -> bytes:
    """The segment as an IP packet, checksums right."""
    options = b"".join(_write_option(option) for option in packet.options)
    options += b"\0" * (-len(options) % 4)
    if len(options) > 40:
        raise ValueError("more than 40 octets of options")
    header = struct.pack(
        "!HHIIBBHHH",
        packet.source_port,
        packet.destination_port,
        packet.seq % 2**32,
        packet.ack % 2**32,
        (20 + len(options)) << 2,
        packet.flags,
        packet.window,
        0,
        packet.urgent,
    )
    segment = header + options + packet.payload
    summed = checksum(_pseudo(packet.source, packet.destination, TCP, len(segment)) + segment)
    segment = segment[:16] + summed.to_bytes(2, "big") + segment[18:]
    return _ip(packet.source, packet.destination, TCP, segment, packet.ecn)


def read_segment(data: bytes, summed: bool = True) -> Packet | None:
    """The TCP segment in an IP packet; None where there is none. A wrong checksum is an error, if it is to be right."""
    if data[0] >> 4 == 4:
        start, end, protocol, ecn = (data[0] & 15) * 4, int.from_bytes(data[2:4], "big"), data[9], data[1] & 3
        source, destination = str(ip_address(data[12:16])), str(ip_address(data[16:20]))
        if protocol == TCP and checksum(data[:start]):
            raise ValueError("wrong IPv4 header checksum in " + data.hex())
    else:
        start, end, protocol, ecn = 40, 40 + int.from_bytes(data[4:6], "big"), data[6], data[1] >> 4 & 3
        source, destination = str(ip_address(data[8:24])), str(ip_address(data[24:40]))
    if protocol != TCP:
        return None
    segment = data[start:end]
    if summed and checksum(_pseudo(source, destination, TCP, len(segment)) + segment):
        raise ValueError("wrong TCP checksum in " + data.hex())
    sport, dport, seq, ack, offset, flags, window, _, urgent = struct.unpack_from("!HHIIBBHHH", segment)
    header = (offset >> 4) * 4
    options = tuple(_read_options(segment[20:header]))
    payload = segment[header:]
    return Packet(source, destination, sport, dport, seq, ack, flags, window, urgent, options, payload, ecn)


def write_icmp(router: str, about: bytes, kind: str, mtu: int) -> bytes:
    """The error that a router sends about a packet."""
    four = about[0] >> 4 == 4
    names = {"net": (3, 0), "host": (3, 1), "protocol": (3, 2), "port": (3, 3), "frag_needed": (3, 4)}
    names |= {"admin": (3, 13), "ttl": (11, 0)}
    if not four:
        names = {"net": (1, 0), "admin": (1, 1), "host": (1, 3), "port": (1, 4), "frag_needed": (2, 0)}
        names |= {"ttl": (3, 0), "protocol": (4, 1)}
    destination = str(ip_address(about[12:16] if four else about[8:24]))
    pointer = 6 if kind == "protocol" and not four else 0  # at IPv6's next header
    body = struct.pack("!BBHI", *names[kind], 0, mtu or pointer) + about[: 28 if four else 1232]
    summed = checksum(body if four else _pseudo(router, destination, 58, len(body)) + body)
    body = body[:2] + summed.to_bytes(2, "big") + body[4:]
    return _ip(router, destination, 1 if four else 58, body, 0)


def _write_option(option: Option) -> bytes:
    name, numbers, octets = option
    values = [(number or 0) % 2**32 for number in numbers]
    match name:
        case "mss":
            return struct.pack("!BBH", 2, 4, *values)
        case "wscale":
            return struct.pack("!BBB", 3, 3, *values)
        case "sackOK":
            return b"\4\2"
        case "sack":
            return struct.pack(f"!BB{len(values)}I", 5, 2 + 4 * len(values), *values)
        case "TS":
            return struct.pack("!BBII", 8, 10, *values)
        case "FO":
            return bytes((34, 2 + len(octets))) + octets
        case "nop":
            return b"\1"
        case "eol":
            return b"\0"
    return octets


def _read_options(data: bytes) -> list[Option]:
    found: list[Option] = []
    while data:
        if data[0] < 2:
            found.append((("eol", "nop")[data[0]], (), b""))
            data = data[1:]
            continue
        length = data[1] if len(data) > 1 else 0
        if length < 2 or length > len(data):
            raise ValueError("bad options: " + data.hex())
        body, kind = data[2:length], data[0]
        if kind == 2 and length == 4:
            found.append(("mss", struct.unpack("!H", body), b""))
        elif kind == 3 and length == 3:
            found.append(("wscale", (body[0],), b""))
        elif kind == 4 and length == 2:
            found.append(("sackOK", (), b""))
        elif kind == 5 and length % 8 == 2:
            found.append(("sack", struct.unpack(f"!{len(body) // 4}I", body), b""))
        elif kind == 8 and length == 10:
            found.append(("TS", struct.unpack("!II", body), b""))
        elif kind == 34:
            found.append(("FO", (), body))
        else:
            found.append(("hex", (), data[:length]))
        data = data[length:]
    return found


def option_text(option: Option) -> str:
    """As a script has it."""
    name, numbers, octets = option
    words = ["*" if number is None else str(number) for number in numbers]
    if name == "TS":
        return f"TS val {words[0]} ecr {words[1]}"
    if name == "sack":
        pairs = zip(words[::2], words[1::2], strict=True)
        return "sack " + " ".join(f"{left}:{right}" for left, right in pairs)
    return " ".join([name, *words, *([octets.hex()] if octets else [])])


def segment_text(packet: Packet) -> str:
    """As a script has it; the numbers are the packet's."""
    flags = "".join(letter for letter in "FSRPUEW." if packet.flags & FLAGS[letter])
    octets, text = len(packet.payload), f"[{('noecn', 'ect1', 'ect0', 'ce')[packet.ecn]}] " if packet.ecn else ""
    text += f"{flags or '-'} {packet.seq}:{(packet.seq + octets) % 2**32}({octets})"
    if packet.flags & FLAGS["."]:
        text += f" ack {packet.ack}"
    text += f" win {packet.window}"
    if packet.urgent:
        text += f" urg {packet.urgent}"
    if packet.options:
        text += " <" + ",".join(map(option_text, packet.options)) + ">"
    return text
