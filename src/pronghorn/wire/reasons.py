"""Why a header is refused: one number, one name and one sentence for each kind of malformation.

`check` and `verify` return these. GOOD is 0; the others are dense from 1, so that the verdict table maps them one to
one. A new reason goes at the end of its group and everything after it is renumbered: nothing keeps the numbers.
"""

from typing import NamedTuple

GOOD = 0

# Ethernet and VLAN
ETHERNET_RUNT = 1
ETHERNET_OVERSIZE = 2
ETHERNET_LENGTH_FIELD = 3
ETHERNET_BAD_LENGTH = 4
ETHERNET_GROUP_SOURCE = 5
VLAN_TRUNCATED = 6
VLAN_TOO_DEEP = 7
VLAN_RESERVED = 8
VLAN_LENGTH_FIELD = 9

# ARP
ARP_TRUNCATED = 10
ARP_BAD_HARDWARE = 11
ARP_BAD_PROTOCOL = 12
ARP_BAD_LENGTHS = 13
ARP_BAD_OPERATION = 14
ARP_BAD_SENDER = 15

# IPv4
IPV4_TRUNCATED = 16
IPV4_BAD_VERSION = 17
IPV4_BAD_IHL = 18
IPV4_BAD_LENGTH = 19
IPV4_BAD_CHECKSUM = 20
IPV4_BAD_OPTION = 21
IPV4_SOURCE_ROUTE = 22
IPV4_LAND = 23
IPV4_MARTIAN_SOURCE = 24
IPV4_MARTIAN_DESTINATION = 25
IPV4_FRAGMENT_EMPTY = 26
IPV4_FRAGMENT_UNALIGNED = 27
IPV4_FRAGMENT_BEYOND = 28
IPV4_FRAGMENT_TINY = 29

# IPv6
IPV6_TRUNCATED = 30
IPV6_BAD_VERSION = 31
IPV6_BAD_LENGTH = 32
IPV6_LAND = 33
IPV6_UNSPECIFIED_SOURCE = 34
IPV6_MARTIAN_SOURCE = 35
IPV6_MARTIAN_DESTINATION = 36
EXTENSION_TRUNCATED = 37
EXTENSION_TOO_MANY = 38
EXTENSION_HOP_BY_HOP = 39
EXTENSION_ROUTING = 40
EXTENSION_BAD_OPTION = 41
EXTENSION_TOO_MANY_OPTIONS = 42
EXTENSION_JUMBO = 43
EXTENSION_OPTION_DISCARD = 44
EXTENSION_OPTION_REPORT = 45
EXTENSION_OPTION_REPORT_UNICAST = 46
EXTENSION_FRAGMENT_ATOMIC = 47
EXTENSION_FRAGMENT_NESTED = 48
IPV6_FRAGMENT_EMPTY = 49
IPV6_FRAGMENT_UNALIGNED = 50
IPV6_FRAGMENT_BEYOND = 51

# ICMP
ICMP_TRUNCATED = 52
ICMP_BAD_CHECKSUM = 53
ICMP_QUOTE_TRUNCATED = 54
ICMP_QUOTE_BAD = 55
ICMP_QUOTE_FRAGMENT = 56
ICMPV6_TRUNCATED = 57
ICMPV6_BAD_CHECKSUM = 58
ICMPV6_QUOTE_TRUNCATED = 59
ICMPV6_QUOTE_BAD = 60
ICMPV6_QUOTE_FRAGMENT = 61

# Neighbour discovery
ND_HOP_LIMIT = 62
ND_BAD_CODE = 63
ND_TRUNCATED = 64
ND_BAD_SOURCE = 65
ND_BAD_DESTINATION = 66
ND_BAD_TARGET = 67
ND_OPTION_ZERO = 68
ND_OPTION_BEYOND = 69
ND_OPTION_LENGTH = 70
ND_OPTION_SOURCE = 71

# UDP
UDP_TRUNCATED = 72
UDP_BAD_LENGTH = 73
UDP_BAD_CHECKSUM = 74
UDP_NO_CHECKSUM = 75

# TCP
TCP_TRUNCATED = 76
TCP_BAD_OFFSET = 77
TCP_OFFSET_BEYOND = 78
TCP_BAD_FLAGS = 79
TCP_BAD_CHECKSUM = 80
TCP_BAD_OPTION = 81

# IGMP and multicast listener discovery
IGMP_TRUNCATED = 82
IGMP_BAD_CHECKSUM = 83
MLD_TRUNCATED = 84
MLD_BAD_SENDER = 85

# SCTP
SCTP_TRUNCATED = 86
SCTP_BAD_PORT = 87
SCTP_BAD_CHUNK = 88
SCTP_BAD_INIT = 89
SCTP_BAD_TAG = 90


class Reason(NamedTuple):
    """One malformation: its number, its name (that of the constant), and an English sentence about the packet."""

    number: int
    name: str
    sentence: str


REASONS: tuple[Reason, ...] = (
    # Ethernet and VLAN
    Reason(ETHERNET_RUNT, "ETHERNET_RUNT", "The frame is shorter than an Ethernet header."),
    Reason(ETHERNET_OVERSIZE, "ETHERNET_OVERSIZE", "The frame is longer than the port's MTU allows."),
    Reason(
        ETHERNET_LENGTH_FIELD,
        "ETHERNET_LENGTH_FIELD",
        "The frame is IEEE 802.3 with a length field, not Ethernet II with an EtherType.",
    ),
    Reason(
        ETHERNET_BAD_LENGTH,
        "ETHERNET_BAD_LENGTH",
        "The IEEE 802.3 length field states more octets than the frame has.",
    ),
    Reason(
        ETHERNET_GROUP_SOURCE,
        "ETHERNET_GROUP_SOURCE",
        "The source address of the frame is a multicast or broadcast address.",
    ),
    Reason(VLAN_TRUNCATED, "VLAN_TRUNCATED", "The frame ends within a VLAN tag."),
    Reason(VLAN_TOO_DEEP, "VLAN_TOO_DEEP", "The frame has more than two VLAN tags."),
    Reason(VLAN_RESERVED, "VLAN_RESERVED", "The VLAN identifier is 4095, which is reserved."),
    Reason(
        VLAN_LENGTH_FIELD,
        "VLAN_LENGTH_FIELD",
        "The VLAN tag is followed by an IEEE 802.3 length field, not by an EtherType.",
    ),
    # ARP
    Reason(ARP_TRUNCATED, "ARP_TRUNCATED", "The frame ends within the ARP packet."),
    Reason(ARP_BAD_HARDWARE, "ARP_BAD_HARDWARE", "The ARP packet is not about Ethernet."),
    Reason(ARP_BAD_PROTOCOL, "ARP_BAD_PROTOCOL", "The ARP packet is not about IPv4."),
    Reason(ARP_BAD_LENGTHS, "ARP_BAD_LENGTHS", "The address lengths in the ARP packet are not 6 and 4."),
    Reason(ARP_BAD_OPERATION, "ARP_BAD_OPERATION", "The ARP operation is neither request nor reply."),
    Reason(
        ARP_BAD_SENDER,
        "ARP_BAD_SENDER",
        "The sender of the ARP packet has an address that no single station can have.",
    ),
    # IPv4
    Reason(IPV4_TRUNCATED, "IPV4_TRUNCATED", "The frame ends within the IPv4 header."),
    Reason(IPV4_BAD_VERSION, "IPV4_BAD_VERSION", "The version field of the IPv4 header is not 4."),
    Reason(IPV4_BAD_IHL, "IPV4_BAD_IHL", "The IPv4 header length is below 20 octets or beyond the frame."),
    Reason(
        IPV4_BAD_LENGTH,
        "IPV4_BAD_LENGTH",
        "The IPv4 total length is shorter than the header or longer than the frame.",
    ),
    Reason(IPV4_BAD_CHECKSUM, "IPV4_BAD_CHECKSUM", "The IPv4 header checksum is wrong."),
    Reason(IPV4_BAD_OPTION, "IPV4_BAD_OPTION", "An IPv4 option has an impossible length or pointer."),
    Reason(IPV4_SOURCE_ROUTE, "IPV4_SOURCE_ROUTE", "The IPv4 packet carries a source route."),
    Reason(IPV4_LAND, "IPV4_LAND", "The IPv4 source address is the destination address."),
    Reason(
        IPV4_MARTIAN_SOURCE,
        "IPV4_MARTIAN_SOURCE",
        "The IPv4 source address cannot send on a network: 0/8, 127/8, multicast or reserved.",
    ),
    Reason(
        IPV4_MARTIAN_DESTINATION,
        "IPV4_MARTIAN_DESTINATION",
        "The IPv4 destination address cannot be reached on a network: 0/8, 127/8 or reserved.",
    ),
    Reason(IPV4_FRAGMENT_EMPTY, "IPV4_FRAGMENT_EMPTY", "The IPv4 fragment carries no data."),
    Reason(
        IPV4_FRAGMENT_UNALIGNED,
        "IPV4_FRAGMENT_UNALIGNED",
        "An IPv4 fragment that is not the last has a length that is no multiple of 8.",
    ),
    Reason(IPV4_FRAGMENT_BEYOND, "IPV4_FRAGMENT_BEYOND", "The IPv4 fragment would end beyond 65,535 octets."),
    Reason(IPV4_FRAGMENT_TINY, "IPV4_FRAGMENT_TINY", "The IPv4 fragment hides a part of the TCP header."),
    # IPv6
    Reason(IPV6_TRUNCATED, "IPV6_TRUNCATED", "The frame ends within the IPv6 header."),
    Reason(IPV6_BAD_VERSION, "IPV6_BAD_VERSION", "The version field of the IPv6 header is not 6."),
    Reason(IPV6_BAD_LENGTH, "IPV6_BAD_LENGTH", "The IPv6 payload length is longer than the frame."),
    Reason(IPV6_LAND, "IPV6_LAND", "The IPv6 source address is the destination address."),
    Reason(
        IPV6_UNSPECIFIED_SOURCE,
        "IPV6_UNSPECIFIED_SOURCE",
        "The IPv6 source address is ::, which only address resolution may use.",
    ),
    Reason(
        IPV6_MARTIAN_SOURCE,
        "IPV6_MARTIAN_SOURCE",
        "The IPv6 source address cannot send on a network: loopback, multicast or IPv4-mapped.",
    ),
    Reason(
        IPV6_MARTIAN_DESTINATION,
        "IPV6_MARTIAN_DESTINATION",
        "The IPv6 destination address cannot be reached on a network: ::, loopback, IPv4-mapped or node-local.",
    ),
    Reason(EXTENSION_TRUNCATED, "EXTENSION_TRUNCATED", "The packet ends within its IPv6 extension headers."),
    Reason(EXTENSION_TOO_MANY, "EXTENSION_TOO_MANY", "The packet has more IPv6 extension headers than are followed."),
    Reason(EXTENSION_HOP_BY_HOP, "EXTENSION_HOP_BY_HOP", "A hop-by-hop options header stands elsewhere than first."),
    Reason(EXTENSION_ROUTING, "EXTENSION_ROUTING", "The packet carries a routing header that asks for further hops."),
    Reason(EXTENSION_BAD_OPTION, "EXTENSION_BAD_OPTION", "An IPv6 option ends beyond its header."),
    Reason(
        EXTENSION_TOO_MANY_OPTIONS,
        "EXTENSION_TOO_MANY_OPTIONS",
        "An IPv6 extension header holds more options than are followed.",
    ),
    Reason(EXTENSION_JUMBO, "EXTENSION_JUMBO", "The packet carries a jumbo payload option."),
    Reason(
        EXTENSION_OPTION_DISCARD,
        "EXTENSION_OPTION_DISCARD",
        "An unknown IPv6 option asks for the packet to be discarded.",
    ),
    Reason(
        EXTENSION_OPTION_REPORT,
        "EXTENSION_OPTION_REPORT",
        "An unknown IPv6 option asks for the packet to be discarded and reported.",
    ),
    Reason(
        EXTENSION_OPTION_REPORT_UNICAST,
        "EXTENSION_OPTION_REPORT_UNICAST",
        "An unknown IPv6 option asks for the packet to be discarded and, unless multicast, reported.",
    ),
    Reason(EXTENSION_FRAGMENT_ATOMIC, "EXTENSION_FRAGMENT_ATOMIC", "The IPv6 fragment is a whole packet."),
    Reason(
        EXTENSION_FRAGMENT_NESTED,
        "EXTENSION_FRAGMENT_NESTED",
        "The IPv6 packet has a fragment header within a fragment.",
    ),
    Reason(IPV6_FRAGMENT_EMPTY, "IPV6_FRAGMENT_EMPTY", "The IPv6 fragment carries no data."),
    Reason(
        IPV6_FRAGMENT_UNALIGNED,
        "IPV6_FRAGMENT_UNALIGNED",
        "An IPv6 fragment that is not the last has a length that is no multiple of 8.",
    ),
    Reason(IPV6_FRAGMENT_BEYOND, "IPV6_FRAGMENT_BEYOND", "The IPv6 fragment would end beyond 65,535 octets."),
    # ICMP
    Reason(ICMP_TRUNCATED, "ICMP_TRUNCATED", "The packet ends within the ICMP header."),
    Reason(ICMP_BAD_CHECKSUM, "ICMP_BAD_CHECKSUM", "The ICMP checksum is wrong."),
    Reason(
        ICMP_QUOTE_TRUNCATED,
        "ICMP_QUOTE_TRUNCATED",
        "The packet quoted by the ICMP error lacks its IPv4 header or the eight octets behind it.",
    ),
    Reason(ICMP_QUOTE_BAD, "ICMP_QUOTE_BAD", "The packet quoted by the ICMP error has no legal IPv4 header."),
    Reason(
        ICMP_QUOTE_FRAGMENT,
        "ICMP_QUOTE_FRAGMENT",
        "The packet quoted by the ICMP error is not a first fragment, so its ports are unknown.",
    ),
    Reason(ICMPV6_TRUNCATED, "ICMPV6_TRUNCATED", "The packet ends within the ICMPv6 header."),
    Reason(ICMPV6_BAD_CHECKSUM, "ICMPV6_BAD_CHECKSUM", "The ICMPv6 checksum is wrong."),
    Reason(
        ICMPV6_QUOTE_TRUNCATED,
        "ICMPV6_QUOTE_TRUNCATED",
        "The packet quoted by the ICMPv6 error lacks its headers or the eight octets behind them.",
    ),
    Reason(ICMPV6_QUOTE_BAD, "ICMPV6_QUOTE_BAD", "The packet quoted by the ICMPv6 error has no legal IPv6 headers."),
    Reason(
        ICMPV6_QUOTE_FRAGMENT,
        "ICMPV6_QUOTE_FRAGMENT",
        "The packet quoted by the ICMPv6 error is not a first fragment, so its ports are unknown.",
    ),
    # Neighbour discovery
    Reason(
        ND_HOP_LIMIT,
        "ND_HOP_LIMIT",
        "The neighbour discovery message came from beyond the link: its hop limit is not 255.",
    ),
    Reason(ND_BAD_CODE, "ND_BAD_CODE", "The code of the neighbour discovery message is not 0."),
    Reason(ND_TRUNCATED, "ND_TRUNCATED", "The packet ends within the neighbour discovery message."),
    Reason(
        ND_BAD_SOURCE,
        "ND_BAD_SOURCE",
        "The neighbour discovery message comes from an address that may not send it.",
    ),
    Reason(
        ND_BAD_DESTINATION,
        "ND_BAD_DESTINATION",
        "The neighbour discovery message goes to an address that does not fit its kind.",
    ),
    Reason(
        ND_BAD_TARGET,
        "ND_BAD_TARGET",
        "The target of the neighbour discovery message is not an address of a neighbour.",
    ),
    Reason(ND_OPTION_ZERO, "ND_OPTION_ZERO", "An option of the neighbour discovery message has length 0."),
    Reason(
        ND_OPTION_BEYOND,
        "ND_OPTION_BEYOND",
        "An option of the neighbour discovery message ends beyond the packet.",
    ),
    Reason(
        ND_OPTION_LENGTH,
        "ND_OPTION_LENGTH",
        "An option of the neighbour discovery message has a length that its kind does not allow.",
    ),
    Reason(
        ND_OPTION_SOURCE,
        "ND_OPTION_SOURCE",
        "The sender of the neighbour discovery message gives a link address but has no address yet.",
    ),
    # UDP
    Reason(UDP_TRUNCATED, "UDP_TRUNCATED", "The packet ends within the UDP header."),
    Reason(UDP_BAD_LENGTH, "UDP_BAD_LENGTH", "The UDP length is below 8 or not what the IP header states."),
    Reason(UDP_BAD_CHECKSUM, "UDP_BAD_CHECKSUM", "The UDP checksum is wrong."),
    Reason(UDP_NO_CHECKSUM, "UDP_NO_CHECKSUM", "The UDP datagram over IPv6 has no checksum."),
    # TCP
    Reason(TCP_TRUNCATED, "TCP_TRUNCATED", "The packet ends within the TCP header."),
    Reason(TCP_BAD_OFFSET, "TCP_BAD_OFFSET", "The TCP data offset is below 20 octets."),
    Reason(TCP_OFFSET_BEYOND, "TCP_OFFSET_BEYOND", "The TCP data offset is beyond the end of the segment."),
    Reason(TCP_BAD_FLAGS, "TCP_BAD_FLAGS", "The TCP flags contradict each other."),
    Reason(TCP_BAD_CHECKSUM, "TCP_BAD_CHECKSUM", "The TCP checksum is wrong."),
    Reason(TCP_BAD_OPTION, "TCP_BAD_OPTION", "A TCP option has a length of 0 or 1 or ends beyond the header."),
    # IGMP and multicast listener discovery
    Reason(IGMP_TRUNCATED, "IGMP_TRUNCATED", "The packet ends within the IGMP message or its sources."),
    Reason(IGMP_BAD_CHECKSUM, "IGMP_BAD_CHECKSUM", "The IGMP checksum is wrong."),
    Reason(MLD_TRUNCATED, "MLD_TRUNCATED", "The packet ends within the multicast listener query or its sources."),
    Reason(
        MLD_BAD_SENDER,
        "MLD_BAD_SENDER",
        "The multicast listener query did not come from a link-local address with a hop limit of 1.",
    ),
    # SCTP
    Reason(SCTP_TRUNCATED, "SCTP_TRUNCATED", "The packet ends within the SCTP header or that of its first chunk."),
    Reason(SCTP_BAD_PORT, "SCTP_BAD_PORT", "An SCTP port is 0."),
    Reason(SCTP_BAD_CHUNK, "SCTP_BAD_CHUNK", "The first SCTP chunk has a length below 4 or ends beyond the packet."),
    Reason(SCTP_BAD_INIT, "SCTP_BAD_INIT", "The SCTP INIT chunk is too short or not alone."),
    Reason(SCTP_BAD_TAG, "SCTP_BAD_TAG", "An SCTP INIT has a verification tag, or another packet has none."),
)
