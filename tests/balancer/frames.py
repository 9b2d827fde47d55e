"""Frames for the tests of the balancer, written and judged by scapy."""

from __future__ import annotations

from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from tests.balancer.gateway import CLIENTS, OWN_MAC, PEER_MAC, mac

SERVICE = {4: "203.0.113.1", 6: "2001:db8:3::1"}
CLIENT = {4: "100.64.0.77", 6: "2001:db8:9::77"}
SERVER = {4: "192.0.2.80", 6: "2001:db8:2::80"}
LOCAL = {4: "192.0.2.10", 6: "2001:db8:2::10"}


def frame(
    src: str, sport: int, dst: str, dport: int, flags: str = "", payload: bytes = b"",
    port: int = CLIENTS, ttl: int = 64, df: bool = False, **more: Any,
) -> bytes:  # fmt: skip
    """A frame that arrives at `port`: TCP with these flags, or UDP without."""
    link = Ether(src=mac(PEER_MAC[port]), dst=mac(OWN_MAC[port]))
    ip = IPv6(src=src, dst=dst, hlim=ttl) if ":" in src else IP(src=src, dst=dst, ttl=ttl, id=7, flags=2 * df)
    layer = (
        TCP(sport=sport, dport=dport, flags=flags, seq=1000, ack=2000, **more)
        if flags
        else UDP(sport=sport, dport=dport, **more)
    )
    return bytes(link / ip / layer / Raw(payload))


class Seen:
    """A frame as scapy reads it; its checksums are the ones that scapy would compute."""

    def __init__(self, data: bytes, checksums: str = "full") -> None:
        packet = Ether(data)
        self.ip = packet[IP] if IP in packet else packet[IPv6]
        self.layer = packet[TCP] if TCP in packet else packet[UDP]
        self.link = (packet.src, packet.dst)
        self.source = (self.ip.src, self.layer.sport)
        self.destination = (self.ip.dst, self.layer.dport)
        self.ttl = self.ip.ttl if IP in packet else self.ip.hlim
        self.payload = bytes(self.layer.payload)
        again = Ether(data)
        if IP in again:
            del again[IP].chksum
        if checksums == "full":
            del again[TCP if TCP in again else UDP].chksum
        assert bytes(again) == data, "a checksum is wrong"
