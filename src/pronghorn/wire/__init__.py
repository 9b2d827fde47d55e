"""Bytes and nothing else: one file per protocol, the same order in each.

A file opens with its RFC and its numbers, then the view (the header as fields in memory), `check` (are these octets a
legal header? a reason from `reasons`, 0 when good), `emit` (write a header), and the incremental updates of what a
middlebox rewrites. There is no state here, no clock, no table: the balancer, the TCP stack and the tests share it.

Nothing is read beyond the `octets` that a caller states. `check` looks at one header only, and never at a layer-4
checksum: `verify` does that, because a port may have done it already. Interpreted and compiled code are the same.
"""

from pronghorn.wire.arp import ARP
from pronghorn.wire.ethernet import Ethernet
from pronghorn.wire.extension import Extension, Fragment, Routing
from pronghorn.wire.icmp import ICMP
from pronghorn.wire.icmpv6 import ICMPv6
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.ndp import NDOptions, Neighbour, Redirect, RouterAdvertisement
from pronghorn.wire.reasons import GOOD, REASONS, Reason
from pronghorn.wire.tcp import TCP, TCPOptions
from pronghorn.wire.udp import UDP
from pronghorn.wire.vlan import VLAN

__all__ = [
    "ARP",
    "GOOD",
    "ICMP",
    "REASONS",
    "TCP",
    "UDP",
    "VLAN",
    "Ethernet",
    "Extension",
    "Fragment",
    "ICMPv6",
    "IPv4",
    "IPv6",
    "NDOptions",
    "Neighbour",
    "Reason",
    "Redirect",
    "RouterAdvertisement",
    "Routing",
    "TCPOptions",
]
