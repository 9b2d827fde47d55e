"""The headers of tunnels as the control plane writes them. Plain Python.

What is the packet's own (lengths, traffic class, flow label, checksums, UDP's source port) is 0 here, and so is the
source address, which the worker knows.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from pronghorn.balancer.addresses import Address, ConfigureError
from pronghorn.balancer.forwarding.tunnel import HOPS
from pronghorn.balancer.tables import TUNNEL_GRE, TUNNEL_GUE
from pronghorn.balancer.tunnels import OVER_UDP, ROOM, SUMMED, Tunnel
from pronghorn.wire import gre, gue
from pronghorn.wire.ipv4 import DO_NOT_FRAGMENT
from pronghorn.wire.numbers import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    PROTOCOL_GRE,
    PROTOCOL_IPV4,
    PROTOCOL_IPV6,
    PROTOCOL_UDP,
)


@dataclass(frozen=True)
class Outer:
    """What is asked of a tunnel beyond its kind."""

    port: int = gue.PORT  # of GUE: where the server takes it
    key: int | None = None  # of GRE
    checksum: bool = False  # of GRE and GUE: whether there is one


def write_header(tunnel: Tunnel, method: int, family: int, server: Address, outer: Outer) -> None:
    """Let the tunnel take packets of this family to the server."""
    if not 1 <= outer.port <= 65535 or not 0 <= (outer.key or 0) < 1 << 32:
        raise ConfigureError(f"tunnel to {server}: port {outer.port}, key {outer.key}: out of range")
    inner = PROTOCOL_IPV4 if family == 4 else PROTOCOL_IPV6
    protocol, behind, marks = inner, b"", 0
    if method == TUNNEL_GRE:
        protocol, behind = PROTOCOL_GRE, _gre(family, outer)
    elif method == TUNNEL_GUE:
        protocol, marks = PROTOCOL_UDP, OVER_UDP
        behind = bytes(2) + outer.port.to_bytes(2) + bytes(4) + bytes((0, inner, 0, 0))
    if outer.checksum and behind:
        marks |= SUMMED
    octets = _ip(server, protocol) + behind
    ctypes.memmove(tunnel.header.address, octets.rjust(ROOM, b"\0"), ROOM)
    tunnel.family, tunnel.protocol, tunnel.marks = server.version, protocol, marks
    tunnel.octets = len(octets)


def _gre(family: int, outer: Outer) -> bytes:
    flags = (gre.CHECKSUM_PRESENT if outer.checksum else 0) | (gre.KEY_PRESENT if outer.key is not None else 0)
    ethertype = ETHERTYPE_IPV4 if family == 4 else ETHERTYPE_IPV6
    header = flags.to_bytes(2) + ethertype.to_bytes(2)
    if outer.checksum:
        header += bytes(gre.OPTION)
    return header if outer.key is None else header + outer.key.to_bytes(4)


def _ip(server: Address, protocol: int) -> bytes:
    if server.version == 6:
        return bytes((0x60, 0, 0, 0, 0, 0, protocol, HOPS)) + bytes(16) + server.packed
    fragment = DO_NOT_FRAGMENT.to_bytes(2)
    return bytes((0x45, 0, 0, 0, 0, 0)) + fragment + bytes((HOPS, protocol, 0, 0)) + bytes(4) + server.packed
