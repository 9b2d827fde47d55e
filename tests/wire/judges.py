"""Scapy, as an outside opinion: imported here once, with the warnings of its own imports kept out of the tests."""

from __future__ import annotations

import logging
import warnings

logging.getLogger("scapy").setLevel(logging.CRITICAL)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy.layers.inet import (
        ICMP,
        IP,
        TCP,
        UDP,
        ICMPerror,
        IPerror,
        IPOption,
        IPOption_LSRR,
        IPOption_RR,
        IPOption_Router_Alert,
        TCPerror,
        UDPerror,
    )
    from scapy.layers.inet6 import (
        ICMPv6DestUnreach,
        ICMPv6EchoReply,
        ICMPv6EchoRequest,
        ICMPv6ND_NA,
        ICMPv6ND_NS,
        ICMPv6ND_RA,
        ICMPv6ND_Redirect,
        ICMPv6ND_RS,
        ICMPv6NDOptDstLLAddr,
        ICMPv6NDOptMTU,
        ICMPv6NDOptPrefixInfo,
        ICMPv6NDOptRDNSS,
        ICMPv6NDOptRedirectedHdr,
        ICMPv6NDOptSrcLLAddr,
        ICMPv6PacketTooBig,
        ICMPv6TimeExceeded,
        IPv6,
        IPv6ExtHdrDestOpt,
        IPv6ExtHdrFragment,
        IPv6ExtHdrHopByHop,
        IPv6ExtHdrRouting,
        Jumbo,
        Pad1,
        PadN,
        RouterAlert,
    )
    from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
    from scapy.packet import Packet, Raw
    from scapy.utils import checksum as scapy_checksum
