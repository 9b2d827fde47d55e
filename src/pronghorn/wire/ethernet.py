"""Ethernet II frames (IEEE 802.3, RFC 894).

A frame is destination, source, EtherType and payload; the frame check sequence is the device's. An address is a 48-bit
integer, most significant octet first; in the view it is a high part of four octets and a low part of two, so that it
is read and written without masks. A number below 0x600 in the place of the EtherType is the length of an IEEE 802.3
frame: those (spanning tree, IPX) are not ours and are refused with a reason of their own.
"""

from pronghorn.compiled import View, be16, be32, hot, leaf, u32, u64
from pronghorn.wire.numbers import ETHERTYPE_LEAST
from pronghorn.wire.reasons import (
    ETHERNET_BAD_LENGTH,
    ETHERNET_GROUP_SOURCE,
    ETHERNET_LENGTH_FIELD,
    ETHERNET_OVERSIZE,
    ETHERNET_RUNT,
    GOOD,
)

HEADER = 14  # octets
GROUP = 0x0100_0000  # in dst_hi: a multicast or broadcast destination
BROADCAST = 0xFFFF_FFFF_FFFF


class Ethernet(View, size=14):
    """The header of a frame."""

    dst_hi: be32  # destination address, first four octets
    dst_lo: be16  # last two
    src_hi: be32
    src_lo: be16
    ethertype: be16  # of the payload, or a length below 0x600


class Addresses(View, size=12):
    """The two addresses as machine words in memory order, to move both in two loads and two stores."""

    first: u64  # destination, and the first two octets of the source
    second: u32  # the rest of the source


@leaf
def destination(eth: Ethernet) -> int:
    """The destination address, 48 bits."""
    return eth.dst_hi << 16 | eth.dst_lo


@leaf
def source(eth: Ethernet) -> int:
    """The source address, 48 bits."""
    return eth.src_hi << 16 | eth.src_lo


@leaf
def set_destination(eth: Ethernet, mac: int) -> None:
    """Write the destination address, 48 bits."""
    eth.dst_hi = mac >> 16
    eth.dst_lo = mac


@leaf
def set_source(eth: Ethernet, mac: int) -> None:
    """Write the source address, 48 bits."""
    eth.src_hi = mac >> 16
    eth.src_lo = mac


@leaf
def is_group(mac: int) -> bool:
    """Whether an address is multicast or broadcast."""
    return mac >> 40 & 1 != 0


@leaf
def is_group_frame(eth: Ethernet) -> bool:
    """Whether the frame goes to a multicast or broadcast address."""
    return eth.dst_hi & GROUP != 0


@leaf
def is_broadcast_frame(eth: Ethernet) -> bool:
    """Whether the frame goes to everybody."""
    return eth.dst_hi == 0xFFFF_FFFF and eth.dst_lo == 0xFFFF


@leaf
def check(address: int, octets: int) -> int:
    """The frame at address: GOOD, or why it is not an Ethernet II frame from a single station."""
    if octets < HEADER:
        return ETHERNET_RUNT
    eth = Ethernet(address)
    if eth.src_hi & GROUP != 0 or eth.ethertype < ETHERTYPE_LEAST:
        return check_unusual(address, octets)
    return GOOD


@hot
def check_unusual(address: int, octets: int) -> int:
    """The reason for a frame of at least a header that `check` found not to be ordinary."""
    eth = Ethernet(address)
    if eth.ethertype < ETHERTYPE_LEAST:
        return ETHERNET_BAD_LENGTH if eth.ethertype > octets - HEADER else ETHERNET_LENGTH_FIELD
    return ETHERNET_GROUP_SOURCE


@leaf
def check_size(octets: int, mtu: int) -> int:
    """Whether a frame fits a port of this MTU, with room for two VLAN tags."""
    return ETHERNET_OVERSIZE if octets > mtu + HEADER + 8 else GOOD


@leaf
def emit(address: int, dst: int, src: int, ethertype: int) -> None:
    """Write a header."""
    eth = Ethernet(address)
    eth.dst_hi = dst >> 16
    eth.dst_lo = dst
    eth.src_hi = src >> 16
    eth.src_lo = src
    eth.ethertype = ethertype


@leaf
def swap(eth: Ethernet) -> None:
    """Exchange destination and source."""
    words = Addresses(eth.address)
    first, second = words.first, words.second
    words.first = first >> 48 & 0xFFFF | second << 16 | first << 48
    words.second = first >> 16
