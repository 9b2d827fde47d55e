"""Addresses and ports between the control plane's objects and the raw words of the tables. Plain Python."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from pronghorn.balancer.tables import Flow
from pronghorn.wire.text import signed, unsigned

Address = IPv4Address | IPv6Address


class ConfigureError(ValueError):
    """The balancer cannot be configured so; the text says why."""


PROTOCOLS = {"tcp": 6, "udp": 17}
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


def source(flow: Flow) -> tuple[Address, int]:
    """Where packets of the flow come from."""
    family, port = flow.ports >> 40, raw_port(flow.ports & 0xFFFF)
    if family == 4:
        return from_raw(4, 0, flow.addresses), port
    return from_raw(6, flow.src_hi, flow.src_lo), port


def destination(flow: Flow) -> tuple[Address, int]:
    """Where packets of the flow go before they are rewritten."""
    family, port = flow.ports >> 40, raw_port(flow.ports >> 16 & 0xFFFF)
    if family == 4:
        return from_raw(4, 0, flow.addresses >> 32), port
    return from_raw(6, flow.dst_hi, flow.dst_lo), port
