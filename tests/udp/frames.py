"""Datagrams of a peer to us, and reading ours; scapy makes and judges them."""

from __future__ import annotations

from typing import Any

from tests.support.feed import OWN, OWN4, OWN6, ROUTER
from tests.wire import judges as j

PEER = {4: "100.64.0.77", 6: "2001:db8:9::77"}
HERE = {4: OWN4[0], 6: OWN6[0]}


def ip(family: int, src: str = "", dst: str = "", **fields: Any) -> Any:
    """An IP header of the peer to us."""
    kind = j.IP if family == 4 else j.IPv6
    return kind(src=src or PEER[family], dst=dst or HERE[family], **fields)


def incoming(family: int, dport: int, octets: bytes, sport: int = 4000, src: str = "", dst: str = "") -> Any:
    """A datagram of the peer to us, by the router of port 0."""
    layers = ip(family, src, dst) / j.UDP(sport=sport, dport=dport) / octets
    return j.Ether(src=ROUTER, dst=OWN[0]) / layers


def outgoing(frame: bytes) -> tuple[str, str, int, int, bytes]:
    """Addresses, ports and octets of a datagram whose checksums are right."""
    read, again = j.Ether(frame), j.Ether(frame)
    again[j.UDP].chksum = None
    if again.haslayer(j.IP):
        again[j.IP].chksum = None
    assert bytes(j.Ether(bytes(again))) == frame, "a checksum is wrong"
    header = read.payload
    return header.src, header.dst, read[j.UDP].sport, read[j.UDP].dport, bytes(read[j.UDP].payload)
