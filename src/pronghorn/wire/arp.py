"""Address resolution for IPv4 over Ethernet (RFC 826; probes and announcements: RFC 5227).

Only the one combination in use is accepted: hardware Ethernet with 6 octets, protocol IPv4 with 4, request or reply.
A sender must be a single station: its hardware address is neither group nor zero; its IPv4 address is an address that
can send, or 0.0.0.0 in a request (a probe). Whether the sender may speak for the address is the neighbour table's.
"""

from pronghorn.compiled import View, be16, be32, hot, leaf, load_be64, store_be64, u8
from pronghorn.wire.ipv4 import is_sender
from pronghorn.wire.numbers import ETHERTYPE_IPV4
from pronghorn.wire.reasons import (
    ARP_BAD_HARDWARE,
    ARP_BAD_LENGTHS,
    ARP_BAD_OPERATION,
    ARP_BAD_PROTOCOL,
    ARP_BAD_SENDER,
    ARP_TRUNCATED,
    GOOD,
)

OCTETS = 28
HARDWARE_ETHERNET = 1
REQUEST = 1
REPLY = 2
ETHERNET_IPV4 = 0x0001_0800_0604  # hardware, protocol and both lengths, as the first six octets


class ARP(View, size=28):
    """A request or reply about an IPv4 address on Ethernet."""

    hardware: be16  # 1: Ethernet
    protocol: be16  # EtherType of the protocol asked about
    hardware_octets: u8  # 6
    protocol_octets: u8  # 4
    operation: be16  # REQUEST or REPLY
    sender_hi: be32  # hardware address of the sender, first four octets
    sender_lo: be16  # last two
    sender_ip: be32
    target_hi: be32  # hardware address of the target, 0 in a request
    target_lo: be16
    target_ip: be32


@leaf
def sender(arp: ARP) -> int:
    """Hardware address of the sender, 48 bits."""
    return arp.sender_hi << 16 | arp.sender_lo


@leaf
def target(arp: ARP) -> int:
    """Hardware address of the target, 48 bits."""
    return arp.target_hi << 16 | arp.target_lo


@hot
def check(address: int, octets: int) -> int:
    """The ARP packet at address: GOOD, or what is wrong with it."""
    if octets < OCTETS:
        return ARP_TRUNCATED
    arp = ARP(address)
    if load_be64(address) >> 16 != ETHERNET_IPV4:
        if arp.hardware != HARDWARE_ETHERNET:
            return ARP_BAD_HARDWARE
        return ARP_BAD_PROTOCOL if arp.protocol != ETHERTYPE_IPV4 else ARP_BAD_LENGTHS
    if arp.operation != REQUEST and arp.operation != REPLY:
        return ARP_BAD_OPERATION
    mac = sender(arp)
    if mac == 0 or mac >> 40 & 1 != 0:
        return ARP_BAD_SENDER
    if arp.sender_ip == 0:
        return GOOD if arp.operation == REQUEST else ARP_BAD_SENDER
    return GOOD if is_sender(arp.sender_ip) else ARP_BAD_SENDER


@hot
def emit(address: int, operation: int, sender_mac: int, sender_ip: int, target_mac: int, target_ip: int) -> None:
    """Write an ARP packet."""
    arp = ARP(address)
    store_be64(address, ETHERNET_IPV4 << 16 | operation)
    arp.sender_hi = sender_mac >> 16
    arp.sender_lo = sender_mac
    arp.sender_ip = sender_ip
    arp.target_hi = target_mac >> 16
    arp.target_lo = target_mac
    arp.target_ip = target_ip


@hot
def emit_reply(arp: ARP, mac: int) -> None:
    """Turn a request into its reply in place: this hardware address has the address that was asked for."""
    asker_ip = arp.sender_ip
    asked_ip = arp.target_ip
    emit(arp.address, REPLY, mac, asked_ip, sender(arp), asker_ip)
