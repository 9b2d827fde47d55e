"""What a worker remembers of the tunnel to a server: the header that packets get in front, as far as all share it.

One record for each server, under the server's number. balancer/tunnel_headers.py writes it, output.py the source
address, which depends on the way; forwarding/tunnel.py uses it.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, field, fixed, u8, u32, u64

ROOM = 56
"""Octets of the longest header: IPv6, UDP and GUE, or GRE with checksum and key, are 52."""

# Tunnel.marks
OVER_UDP = 1  # GUE
SUMMED = 2  # the checksum of GRE or UDP is computed


class Tunnel(View, align=64, size=64):
    """The way into the tunnel of one server."""

    header: Array[u64] = fixed(ROOM // 8)  # the outer header: the last `octets` of these
    octets: u8 = field(align=1)  # 0: the server has none
    family: u8  # of the outer header
    protocol: u8  # the outer header's
    marks: u8
    total: u32  # IPv4: what the header's words that are the same for all packets sum to
