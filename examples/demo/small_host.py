"""A host on a wire, in plain Python and as small as can be: Ethernet, ARP (RFC 826), neighbour discovery (RFC 4861).

For demonstrations and tests where no kernel is at hand. It owns one IPv4 and one IPv6 address, answers for them, finds
its next hop's hardware address by asking, and hands TCP segments to `on_tcp`. Frames go out through `send`. It checks
every checksum of what arrives, and counts what is wrong in `wrong`.

Left out: fragments, options, ICMP errors, expiry of what was learned.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from dataclasses import dataclass

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

TCP, ICMPV6 = 6, 58
_IPV4, _ARP, _IPV6 = 0x0800, 0x0806, 0x86DD
_SOLICIT, _ADVERTISE = 135, 136
_BROADCAST = b"\xff" * 6


@dataclass(frozen=True)
class Segment:
    """A TCP segment with the addresses it travels between."""

    source: bytes
    target: bytes
    sport: int
    dport: int
    sequence: int
    acknowledged: int
    flags: int
    payload: bytes


class SmallHost:
    """One host. `hop4` and `hop6` are who forwards for it."""

    def __init__(self, number: int, addresses: tuple[str, str], hops: tuple[str, str]) -> None:
        self.mac = bytes([2, 0, 0, 0, 1, number])
        self.addresses = [ipaddress.ip_address(address).packed for address in addresses]
        self.send: Callable[[bytes], None] = lambda frame: None
        self.on_tcp: Callable[[Segment], None] = lambda segment: None
        self.wrong = 0
        self._hops = {len(packed): packed for packed in (ipaddress.ip_address(hop).packed for hop in hops)}
        self._neighbours: dict[bytes, bytes] = {}
        self._waiting: dict[bytes, list[bytes]] = {}
        self._solicited = b"\x33\x33\xff" + self.addresses[1][-3:]

    # --- what arrives -------------------------------------------------------------------------------------------------

    def receive(self, frame: bytes) -> None:
        """A frame from the wire."""
        if len(frame) < 34 or frame[:6] not in (self.mac, _BROADCAST, self._solicited):
            return
        kind, source, packet = int.from_bytes(frame[12:14]), frame[6:12], frame[14:]
        if kind == _ARP:
            self._arp(packet)
        elif kind == _IPV4 and packet[16:20] == self.addresses[0]:
            header, length = (packet[0] & 15) * 4, int.from_bytes(packet[2:4])
            if packet[9] == TCP and self._good(checksum(packet[:header])):
                self._tcp(packet[12:16], packet[16:20], packet[header:length], source)
        elif kind == _IPV6:
            payload = packet[40 : 40 + int.from_bytes(packet[4:6])]
            if packet[6] == ICMPV6:
                self._discovery(packet[8:24], packet[24:40], payload)
            elif packet[6] == TCP and packet[24:40] == self.addresses[1]:
                self._tcp(packet[8:24], packet[24:40], payload, source)

    def _good(self, sum_: int) -> bool:
        self.wrong += sum_ != 0
        return sum_ == 0

    def _arp(self, packet: bytes) -> None:
        operation, mac, address, asked = int.from_bytes(packet[6:8]), packet[8:14], packet[14:18], packet[24:28]
        if asked != self.addresses[0]:
            return
        self._learn(address, mac)
        if operation == 1:
            answer = struct.pack("!HHBBH", 1, _IPV4, 6, 4, 2) + self.mac + asked + mac + address
            self._frame(mac, _ARP, answer)

    def _discovery(self, source: bytes, target: bytes, message: bytes) -> None:
        if len(message) < 32 or not self._good(checksum(_pseudo(source, target, ICMPV6, message) + message)):
            return
        asked, option, mac = message[8:24], message[24], message[26:32]
        if message[0] == _ADVERTISE and option == 2:
            self._learn(asked, mac)
        elif message[0] == _SOLICIT and asked == self.addresses[1] and option == 1:
            self._learn(source, mac)
            self._icmpv6(source, mac, struct.pack("!BBHI", _ADVERTISE, 0, 0, 0x60000000) + asked + b"\2\1" + self.mac)

    def _tcp(self, source: bytes, target: bytes, segment: bytes, mac: bytes) -> None:
        if len(segment) < 20 or not self._good(checksum(_pseudo(source, target, TCP, segment) + segment)):
            return
        sport, dport, sequence, acknowledged, offset, flags = struct.unpack_from("!HHIIBB", segment)
        self._neighbours.setdefault(self._next_hop(source), mac)
        payload = segment[(offset >> 4) * 4 :]
        self.on_tcp(Segment(source, target, sport, dport, sequence, acknowledged, flags, payload))

    # --- what leaves --------------------------------------------------------------------------------------------------

    def send_tcp(self, segment: Segment) -> None:
        """A segment on its way, as soon as the next hop is known."""
        header = struct.pack(
            "!HHIIBBHHH", segment.sport, segment.dport, segment.sequence, segment.acknowledged, 5 << 4, segment.flags,
            65535, 0, 0,
        )  # fmt: skip
        octets = header + segment.payload
        sum_ = checksum(_pseudo(segment.source, segment.target, TCP, octets) + octets)
        octets = octets[:16] + sum_.to_bytes(2) + octets[18:]
        self._to(self._next_hop(segment.target), _packet(segment.source, segment.target, TCP, octets))

    def _next_hop(self, address: bytes) -> bytes:
        """On-link are the first 24 bits of IPv4, 64 of IPv6."""
        own = self.addresses[0 if len(address) == 4 else 1]
        near = 3 if len(address) == 4 else 8
        return address if own[:near] == address[:near] else self._hops[len(address)]

    def _to(self, hop: bytes, packet: bytes) -> None:
        mac = self._neighbours.get(hop)
        if mac is not None:
            self._frame(mac, _IPV4 if len(hop) == 4 else _IPV6, packet)
            return
        waiting = self._waiting.setdefault(hop, [])
        waiting.append(packet)
        del waiting[:-64]
        if len(hop) == 4:
            question = struct.pack("!HHBBH", 1, _IPV4, 6, 4, 1) + self.mac + self.addresses[0] + bytes(6) + hop
            self._frame(_BROADCAST, _ARP, question)
        else:
            group = ipaddress.ip_address("ff02::1:ff00:0").packed[:13] + hop[-3:]
            message = struct.pack("!BBHI", _SOLICIT, 0, 0, 0) + hop + b"\1\1" + self.mac
            self._icmpv6(group, b"\x33\x33" + group[-4:], message)

    def _learn(self, address: bytes, mac: bytes) -> None:
        self._neighbours[address] = mac
        for packet in self._waiting.pop(address, ()):
            self._to(address, packet)

    def _icmpv6(self, target: bytes, mac: bytes, message: bytes) -> None:
        source = self.addresses[1]
        sum_ = checksum(_pseudo(source, target, ICMPV6, message) + message)
        message = message[:2] + sum_.to_bytes(2) + message[4:]
        self._frame(mac, _IPV6, _packet(source, target, ICMPV6, message))

    def _frame(self, mac: bytes, kind: int, packet: bytes) -> None:
        self.send((mac + self.mac + kind.to_bytes(2) + packet).ljust(60, b"\0"))


def checksum(octets: bytes) -> int:
    """The Internet checksum (RFC 1071); 0 over octets that hold a right one."""
    if len(octets) % 2:
        octets += b"\0"
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _pseudo(source: bytes, target: bytes, protocol: int, payload: bytes) -> bytes:
    """The pseudo header (RFC 9293 3.1, RFC 8200 8.1)."""
    return source + target + struct.pack("!II", len(payload), protocol)


def _packet(source: bytes, target: bytes, protocol: int, payload: bytes) -> bytes:
    if len(source) == 16:
        hops = 255 if protocol == ICMPV6 else 64
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + source + target + payload
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0) + source + target
    return header[:10] + checksum(header).to_bytes(2) + header[12:] + payload
