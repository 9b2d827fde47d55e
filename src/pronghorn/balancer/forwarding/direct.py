"""Direct routing: nothing changes but the next hop. The server has the service's address itself (on a loopback or dummy
device, without answering ARP for it) and answers the client without coming through here, as IPVS's `gatewaying`.

The connection has one flow, that of the requests. What the server sends is not seen: the TCP state is guessed from the
client's segments alone (tcp_state.py), as IPVS does.
"""

from __future__ import annotations

from pronghorn.compiled import leaf
from pronghorn.state.packet import Packet
from pronghorn.wire.checksum import apply
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6

_ONE_HOP = 0xFEFF  # the word of TTL and protocol loses 0x0100


@leaf
def hand_on(packet: Packet) -> None:
    """One hop further, and else as it came."""
    if packet.family == 4:
        ip = IPv4(packet.network)
        ip.ttl -= 1
        ip.checksum = apply(ip.checksum, _ONE_HOP)
    else:
        IPv6(packet.network).hop_limit -= 1
