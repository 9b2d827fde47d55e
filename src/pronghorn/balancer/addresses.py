"""Addresses and ports between the control plane's objects and the raw words of the tables. Plain Python."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from pronghorn.balancer.tables import Balancer
from pronghorn.wire.text import signed, unsigned

Address = IPv4Address | IPv6Address


class ConfigureError(ValueError):
    """The balancer cannot be configured so; the text says why."""


PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
NAMES = {number: name for name, number in PROTOCOLS.items()}


def to_raw(address: Address) -> tuple[int, int]:
    """(hi, lo) as the tables hold them; an IPv4 address is (0, 32 bits)."""
    octets = address.packed
    if len(octets) == 4:
        return 0, int.from_bytes(octets, "little")
    return signed(int.from_bytes(octets[:8], "little")), signed(int.from_bytes(octets[8:], "little"))


def from_raw(family: int, hi: int, lo: int) -> Address:
    """The address of the raw words."""
    if family == 4:
        return IPv4Address((lo & 0xFFFFFFFF).to_bytes(4, "little"))
    return IPv6Address(unsigned(hi).to_bytes(8, "little") + unsigned(lo).to_bytes(8, "little"))


def raw_port(port: int) -> int:
    """A port as it lies on the wire, read in the machine's order; its own inverse."""
    return (port & 0xFF) << 8 | port >> 8


def service_ports(protocol: str, address: Address, port: int) -> int:
    """Service.ports."""
    return raw_port(port) << 16 | PROTOCOLS[protocol] << 32 | address.version << 40


def ends(balancer: Balancer, flow: int) -> tuple[tuple[Address, int], tuple[Address, int]]:
    """Where packets of the flow come from and go to, as they arrive. Both ("0.0.0.0", 0) when it has none."""
    conn, direction = balancer.conns[flow >> 1], flow & 1
    key, addresses, words = conn.keys[direction], conn.addresses[direction], balancer.wide[flow >> 1].words
    ports = raw_port(key & 0xFFFF), raw_port(key >> 16 & 0xFFFF)
    if key >> 40 == 6:
        first = 4 * direction
        return (
            (from_raw(6, words[first], words[first + 1]), ports[0]),
            (from_raw(6, words[first + 2], words[first + 3]), ports[1]),
        )
    return (from_raw(4, 0, addresses), ports[0]), (from_raw(4, 0, addresses >> 32), ports[1])
