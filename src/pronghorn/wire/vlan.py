"""VLAN tags (IEEE 802.1Q, and 802.1ad for the outer of two).

A tag is four octets between the source address and the EtherType: a tag protocol identifier where the EtherType was
(0x8100, or 0x88a8 for a service tag), then priority (3 bits), drop eligibility (1), VLAN identifier (12), then the
EtherType of the payload. The view begins after the identifier. Identifier 0 is a priority tag, 0xfff is reserved.
"""

from pronghorn.compiled import View, be16, hot, leaf
from pronghorn.wire.ethernet import HEADER, Addresses, Ethernet
from pronghorn.wire.numbers import ETHERTYPE_LEAST, ETHERTYPE_SERVICE_VLAN, ETHERTYPE_VLAN
from pronghorn.wire.reasons import GOOD, VLAN_LENGTH_FIELD, VLAN_RESERVED, VLAN_TOO_DEEP, VLAN_TRUNCATED

TAG = 4  # octets
LIMIT = 2  # tags in a frame
IDENTIFIER = 0x0FFF  # mask in tci
ELIGIBLE = 0x1000  # may be dropped first
PRIORITY_SHIFT = 13


class VLAN(View, size=4):
    """What follows the tag protocol identifier."""

    tci: be16  # tag control: priority, drop eligibility, identifier
    ethertype: be16  # of what follows the tag


@leaf
def is_tag(ethertype: int) -> bool:
    """Whether an EtherType announces a tag."""
    return ethertype == ETHERTYPE_VLAN or ethertype == ETHERTYPE_SERVICE_VLAN


@hot
def check(address: int, octets: int) -> int:
    """The tags of the frame at address (an Ethernet header was checked): GOOD, or what is wrong with them."""
    ethertype = Ethernet(address).ethertype
    end = HEADER
    tags = 0
    while is_tag(ethertype):
        if tags == LIMIT:
            return VLAN_TOO_DEEP
        if octets < end + TAG:
            return VLAN_TRUNCATED
        tag = VLAN(address + end)
        if tag.tci & IDENTIFIER == IDENTIFIER:
            return VLAN_RESERVED
        ethertype = tag.ethertype
        end += TAG
        tags += 1
    return VLAN_LENGTH_FIELD if ethertype < ETHERTYPE_LEAST else GOOD


@hot
def payload(address: int) -> tuple[int, int]:
    """EtherType of the payload and octets before it, of a frame that `check` found good."""
    ethertype = Ethernet(address).ethertype
    end = HEADER
    while is_tag(ethertype):
        ethertype = VLAN(address + end).ethertype
        end += TAG
    return ethertype, end


@leaf
def outer(address: int) -> int:
    """Tag control of the outer tag of the frame at address, which has one."""
    return VLAN(address + HEADER).tci


@leaf
def emit(address: int, tci: int, ethertype: int) -> None:
    """Write a tag; address is where the view begins, after the tag protocol identifier."""
    tag = VLAN(address)
    tag.tci = tci
    tag.ethertype = ethertype


@leaf
def push(address: int, identifier: int, tci: int) -> int:
    """Put a tag into the frame at address, using four octets in front of it. Returns the frame's new address.

    `identifier` is the tag protocol identifier (ETHERTYPE_VLAN or ETHERTYPE_SERVICE_VLAN).
    """
    addresses = Addresses(address)
    first, second = addresses.first, addresses.second
    moved = Addresses(address - TAG)
    moved.first, moved.second = first, second
    Ethernet(address - TAG).ethertype = identifier
    VLAN(address - TAG + HEADER).tci = tci  # the EtherType behind it is where it was
    return address - TAG


@leaf
def pop(address: int) -> int:
    """Take the outer tag out of the frame at address. Returns the frame's new address, four octets on."""
    addresses = Addresses(address)
    first, second = addresses.first, addresses.second
    moved = Addresses(address + TAG)
    moved.first, moved.second = first, second
    return address + TAG
