"""Scapy, as an outside opinion: imported here once, with the warnings of its own imports kept out of the tests."""

from __future__ import annotations

import logging
import warnings

logging.getLogger("scapy").setLevel(logging.CRITICAL)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR
    from scapy.layers.inet6 import (
        ICMPv6DestUnreach,
        ICMPv6EchoReply,
        ICMPv6EchoRequest,
        ICMPv6MLQuery2,
        ICMPv6ND_NA,
        ICMPv6ND_NS,
        ICMPv6ND_RA,
        ICMPv6ND_Redirect,
        ICMPv6ND_RS,
        ICMPv6NDOptDstLLAddr,
        ICMPv6NDOptSrcLLAddr,
        ICMPv6PacketTooBig,
        ICMPv6ParamProblem,
        ICMPv6TimeExceeded,
        IPv6,
        IPv6ExtHdrDestOpt,
        IPv6ExtHdrFragment,
        IPv6ExtHdrHopByHop,
        IPv6ExtHdrRouting,
        Jumbo,
    )
    from scapy.layers.l2 import ARP, Dot1Q, Ether
    from scapy.layers.sctp import (
        SCTP,
        SCTPChunkAbort,
        SCTPChunkCookieAck,
        SCTPChunkCookieEcho,
        SCTPChunkData,
        SCTPChunkInit,
        SCTPChunkInitAck,
        SCTPChunkShutdown,
        SCTPChunkShutdownAck,
        SCTPChunkShutdownComplete,
    )
    from scapy.packet import Raw
    from scapy.utils import checksum as scapy_checksum

__all__ = [
    "ARP",
    "ICMP",
    "IP",
    "SCTP",
    "TCP",
    "UDP",
    "Dot1Q",
    "Ether",
    "ICMPv6DestUnreach",
    "ICMPv6EchoReply",
    "ICMPv6EchoRequest",
    "ICMPv6MLQuery2",
    "ICMPv6NDOptDstLLAddr",
    "ICMPv6NDOptSrcLLAddr",
    "ICMPv6ND_NA",
    "ICMPv6ND_NS",
    "ICMPv6ND_RA",
    "ICMPv6ND_RS",
    "ICMPv6ND_Redirect",
    "ICMPv6PacketTooBig",
    "ICMPv6ParamProblem",
    "ICMPv6TimeExceeded",
    "IPOption_LSRR",
    "IPv6",
    "IPv6ExtHdrDestOpt",
    "IPv6ExtHdrFragment",
    "IPv6ExtHdrHopByHop",
    "IPv6ExtHdrRouting",
    "Jumbo",
    "Raw",
    "SCTPChunkAbort",
    "SCTPChunkCookieAck",
    "SCTPChunkCookieEcho",
    "SCTPChunkData",
    "SCTPChunkInit",
    "SCTPChunkInitAck",
    "SCTPChunkShutdown",
    "SCTPChunkShutdownAck",
    "SCTPChunkShutdownComplete",
    "scapy_checksum",
]
