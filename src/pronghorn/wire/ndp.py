"""Neighbour discovery for IPv6 (RFC 4861; DNS servers in router advertisements: RFC 8106).

Five messages: router solicitation (RS) and advertisement (RA), neighbour solicitation (NS) and advertisement (NA), and
redirect. `check` holds a message against RFC 4861's validity rules (6.1, 7.1, 8.1) and reads its options into a small
view. Hop limit 255 shows that it comes from this link. An option of length 0, past the end, or of a length that its
kind cannot have drops the whole message (CVE-2021-21279, CVE-2020-16898); unknown kinds are passed over. The ICMPv6
checksum is icmpv6.verify's. Left out: secured neighbour discovery, and what to believe, which is the neighbour table's.
"""

from pronghorn.compiled import View, be16, be32, be64, hot, leaf, u8, u16, u32, u64
from pronghorn.wire.icmpv6 import (
    NEIGHBOUR_ADVERTISEMENT,
    NEIGHBOUR_SOLICITATION,
    REDIRECT,
    ROUTER_ADVERTISEMENT,
    ROUTER_SOLICITATION,
    ICMPv6,
    fill_checksum,
)
from pronghorn.wire.ipv6 import ALL_NODES_HI, IPv6, is_link_local, is_multicast, solicited_node_lo
from pronghorn.wire.reasons import (
    GOOD,
    ND_BAD_CODE,
    ND_BAD_DESTINATION,
    ND_BAD_SOURCE,
    ND_BAD_TARGET,
    ND_HOP_LIMIT,
    ND_OPTION_BEYOND,
    ND_OPTION_LENGTH,
    ND_OPTION_SOURCE,
    ND_OPTION_ZERO,
    ND_TRUNCATED,
)

HOP_LIMIT = 255
OPTION_SOURCE = 1  # link-layer address of the sender
OPTION_TARGET = 2  # link-layer address of the target
OPTION_PREFIX = 3
OPTION_REDIRECTED = 4
OPTION_MTU = 5
OPTION_DNS_SERVERS = 25
FLAG_ROUTER = 0x8000_0000  # of a neighbour advertisement
FLAG_SOLICITED = 0x4000_0000
FLAG_OVERRIDE = 0x2000_0000
# bits in NDOptions.present
HAS_SOURCE = 1
HAS_TARGET = 2
HAS_PREFIX = 4
HAS_REDIRECTED = 8
HAS_MTU = 16


class Neighbour(View, size=24):
    """Neighbour solicitation and advertisement."""

    type: u8
    code: u8
    checksum: be16
    flags: be32  # FLAG_..., in an advertisement
    target_hi: be64
    target_lo: be64


class RouterAdvertisement(View, size=16):
    """Router advertisement."""

    type: u8
    code: u8
    checksum: be16
    hop_limit: u8  # for hosts to use, 0: unspecified
    flags: u8
    lifetime: be16  # seconds as a default router
    reachable: be32  # milliseconds
    retransmit: be32  # milliseconds


class Redirect(View, size=40):
    """Redirect."""

    type: u8
    code: u8
    checksum: be16
    reserved: be32
    target_hi: be64  # the better next hop
    target_lo: be64
    destination_hi: be64  # for packets to this address
    destination_lo: be64


class Option(View, size=8):
    """An option: the shortest is one unit of eight octets, and most are as long."""

    kind: u8
    units: u8  # size in units of 8 octets
    mac_hi: be32  # in link-layer address options: first four octets
    mac_lo: be16  # last two


class Prefix(View, size=32):
    """The prefix information option."""

    kind: u8
    units: u8
    prefix_length: u8  # bits
    flags: u8
    valid: be32  # seconds
    preferred: be32  # seconds
    reserved: be32
    prefix_hi: be64
    prefix_lo: be64


class MTUOption(View, size=8):
    """The MTU option."""

    kind: u8
    units: u8
    reserved: be16
    mtu: be32


class NDOptions(View, size=40):
    """Options of one message. A field means something when its bit in `present` is set."""

    source: u64  # link-layer address of the sender, 48 bits
    target: u64  # link-layer address of the target, 48 bits
    prefix: u64  # address of the first prefix information option
    redirected: u64  # address of the redirected-header option
    mtu: u32  # octets
    present: u16  # HAS_...
    prefixes: u16  # prefix information options


@hot
def check(ip: IPv6, address: int, octets: int, options: NDOptions) -> int:
    """The discovery message at address (type 133 to 137): GOOD, or what is wrong with it. Writes options."""
    if ip.hop_limit != HOP_LIMIT:
        return ND_HOP_LIMIT
    if octets < 8:
        return ND_TRUNCATED
    message = ICMPv6(address)
    if message.code != 0:
        return ND_BAD_CODE
    size = message_octets(message.type)
    if octets < size:
        return ND_TRUNCATED
    reason = parse_options(address + size, octets - size, options)
    if reason != GOOD:
        return reason
    if message.type == NEIGHBOUR_SOLICITATION:
        return check_solicitation(ip, Neighbour(address), options)
    if message.type == NEIGHBOUR_ADVERTISEMENT:
        return check_advertisement(ip, Neighbour(address))
    if message.type == ROUTER_SOLICITATION:
        return check_unspecified(ip, options)
    if not is_link_local(ip.src_hi):
        return ND_BAD_SOURCE
    return check_redirect(Redirect(address)) if message.type == REDIRECT else GOOD


@leaf
def message_octets(kind: int) -> int:
    """Octets of a message of this type before its options."""
    if kind == ROUTER_SOLICITATION:
        return 8
    if kind == ROUTER_ADVERTISEMENT:
        return 16
    return 40 if kind == REDIRECT else 24


@leaf
def check_unspecified(ip: IPv6, options: NDOptions) -> int:
    """RFC 4861 6.1.1, 7.1.1: who has no address yet gives no link-layer address."""
    if ip.src_hi == 0 and ip.src_lo == 0 and options.present & HAS_SOURCE != 0:
        return ND_OPTION_SOURCE
    return GOOD


@leaf
def is_target(hi: int, lo: int) -> bool:
    """Whether an address can be a neighbour's: not a group, unspecified or loopback."""
    return not is_multicast(hi) and (hi != 0 or lo >> 1 != 0)


@hot
def check_solicitation(ip: IPv6, message: Neighbour, options: NDOptions) -> int:
    """RFC 4861 7.1.1."""
    if not is_target(message.target_hi, message.target_lo):
        return ND_BAD_TARGET
    if ip.src_hi == 0 and ip.src_lo == 0:
        if ip.dst_hi != ALL_NODES_HI or ip.dst_lo != solicited_node_lo(message.target_lo):
            return ND_BAD_DESTINATION
        return check_unspecified(ip, options)
    return GOOD


@hot
def check_advertisement(ip: IPv6, message: Neighbour) -> int:
    """RFC 4861 7.1.2."""
    if not is_target(message.target_hi, message.target_lo):
        return ND_BAD_TARGET
    if ip.src_hi == 0 and ip.src_lo == 0:
        return ND_BAD_SOURCE
    if is_multicast(ip.dst_hi) and message.flags & FLAG_SOLICITED != 0:
        return ND_BAD_DESTINATION
    return GOOD


@hot
def check_redirect(message: Redirect) -> int:
    """RFC 4861 8.1: the better hop is a router on this link, or the destination itself."""
    if is_multicast(message.destination_hi):
        return ND_BAD_DESTINATION
    same = message.target_hi == message.destination_hi and message.target_lo == message.destination_lo
    return GOOD if same or is_link_local(message.target_hi) else ND_BAD_TARGET


# --- options ------------------------------------------------------------------------------------------------------


@hot
def parse_options(address: int, octets: int, options: NDOptions) -> int:
    """Read the options at address. GOOD, or why the whole message is dropped."""
    options.present = 0
    options.prefixes = 0
    i = 0
    while i < octets:
        if octets - i < 8:
            return ND_OPTION_BEYOND
        option = Option(address + i)
        units = option.units
        if units == 0:
            return ND_OPTION_ZERO
        if i + (units << 3) > octets:
            return ND_OPTION_BEYOND
        if not is_fitting(option.kind, units):
            return ND_OPTION_LENGTH
        read_option(option, options)
        i += units << 3
    return GOOD


@leaf
def is_fitting(kind: int, units: int) -> bool:
    """Whether an option of this kind can have this size."""
    if kind == OPTION_SOURCE or kind == OPTION_TARGET or kind == OPTION_MTU:
        return units == 1
    if kind == OPTION_PREFIX:
        return units == 4
    if kind == OPTION_REDIRECTED:
        return units >= 6  # RFC 4861 4.6.3: at least the IPv6 header of the packet
    if kind == OPTION_DNS_SERVERS:
        return units >= 3 and units & 1 == 1  # RFC 8106 5.1: one unit and two for each server
    return True


@leaf
def read_option(option: Option, options: NDOptions) -> None:
    """Take over one option; of repeated ones the last, of prefixes the first."""
    kind = option.kind
    if kind == OPTION_SOURCE:
        options.source = option.mac_hi << 16 | option.mac_lo
        options.present |= HAS_SOURCE
    elif kind == OPTION_TARGET:
        options.target = option.mac_hi << 16 | option.mac_lo
        options.present |= HAS_TARGET
    elif kind == OPTION_MTU:
        options.mtu = MTUOption(option.address).mtu
        options.present |= HAS_MTU
    elif kind == OPTION_REDIRECTED:
        options.redirected = option.address
        options.present |= HAS_REDIRECTED
    elif kind == OPTION_PREFIX:
        if options.prefixes == 0:
            options.prefix = option.address
        options.prefixes += 1
        options.present |= HAS_PREFIX


# --- emit ---------------------------------------------------------------------------------------------------------


@leaf
def emit_link_address(address: int, kind: int, mac: int) -> None:
    """Write the option that gives a link-layer address: OPTION_SOURCE or OPTION_TARGET."""
    option = Option(address)
    option.kind = kind
    option.units = 1
    option.mac_hi = mac >> 16
    option.mac_lo = mac


@hot
def emit_neighbour(ip: IPv6, address: int, kind: int, flags: int, target_hi: int, target_lo: int, mac: int) -> int:
    """Write a neighbour solicitation or advertisement behind a written IPv6 header, checksum included.

    mac goes into the option that fits the kind; 0 leaves the option out (a probe for a duplicate). Returns octets.
    """
    message = Neighbour(address)
    message.type = kind
    message.code = 0
    message.flags = flags
    message.target_hi = target_hi
    message.target_lo = target_lo
    octets = Neighbour.SIZE
    if mac != 0:
        emit_link_address(address + octets, OPTION_SOURCE if kind == NEIGHBOUR_SOLICITATION else OPTION_TARGET, mac)
        octets += 8
    fill_checksum(ip, address, octets)
    return octets


@hot
def emit_router_solicitation(ip: IPv6, address: int, mac: int) -> int:
    """Write a router solicitation behind a written IPv6 header, checksum included; as emit_neighbour."""
    message = ICMPv6(address)
    message.type = ROUTER_SOLICITATION
    message.code = 0
    message.identifier = 0
    message.sequence = 0
    octets = 8
    if mac != 0:
        emit_link_address(address + octets, OPTION_SOURCE, mac)
        octets += 8
    fill_checksum(ip, address, octets)
    return octets
