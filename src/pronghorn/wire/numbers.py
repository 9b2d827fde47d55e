"""Numbers that one protocol uses to name another: EtherTypes and IP protocol numbers (IANA registries).

Numbers that a protocol uses within itself (flags, types, option kinds) stand in its own file.
"""

# EtherTypes (IEEE 802 numbers); a value below 0x600 is the length field of an 802.3 frame
ETHERTYPE_LEAST = 0x0600
ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806
ETHERTYPE_VLAN = 0x8100  # IEEE 802.1Q customer tag
ETHERTYPE_SERVICE_VLAN = 0x88A8  # IEEE 802.1ad service tag
ETHERTYPE_IPV6 = 0x86DD

# IP protocol numbers, shared by IPv4's protocol and IPv6's next header
PROTOCOL_HOP_BY_HOP = 0
PROTOCOL_ICMP = 1
PROTOCOL_IGMP = 2
PROTOCOL_IPV4 = 4
PROTOCOL_TCP = 6
PROTOCOL_UDP = 17
PROTOCOL_IPV6 = 41
PROTOCOL_ROUTING = 43
PROTOCOL_FRAGMENT = 44
PROTOCOL_GRE = 47
PROTOCOL_AUTHENTICATION = 51
PROTOCOL_ICMPV6 = 58
PROTOCOL_NONE = 59
PROTOCOL_DESTINATION_OPTIONS = 60
PROTOCOL_SCTP = 132
