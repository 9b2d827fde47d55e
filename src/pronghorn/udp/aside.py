"""What sendmsg's ancillary data says about one datagram: it stands in for the socket's options while that is sent.

IP_PKTINFO and IPV6_PKTINFO (source address, interface), IP_TTL, IP_TOS, IPV6_HOPLIMIT, IPV6_TCLASS, UDP_SEGMENT;
SO_MARK and SO_PRIORITY mean nothing here. Anything else is -EINVAL, as in Linux.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, load8, load16, load32, load_be32, load_be64
from pronghorn.net.addresses import is_local4, is_local6
from pronghorn.net.state import MAPPED, PRESENT, net_of
from pronghorn.state import linux
from pronghorn.state.ancillary import ancillary_next
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import Endpoint, Udp, is_four, udp_of

EINVAL, ENODEV = errno.EINVAL, errno.ENODEV
HEADER = 16


@hot
def aside_begin(worker: Worker, endpoint: Endpoint, control: int, octets: int) -> int:
    """Let the ancillary data stand in. 0 or -errno; `aside_end` follows in either case."""
    udp = udp_of(worker)
    udp.kept_ttl, udp.kept_tos, udp.kept_hops, udp.kept_class = (
        endpoint.ttl, endpoint.tos, endpoint.hops, endpoint.traffic_class,
    )  # fmt: skip
    udp.kept_multicast_ttl, udp.kept_multicast_hops = endpoint.multicast_ttl, endpoint.multicast_hops
    udp.kept_segment, udp.source_hi, udp.source_lo, udp.scope = endpoint.segment, 0, 0, 0
    endpoint.way.generation = 0
    at, left = control, octets
    while True:
        length, level, kind, step = ancillary_next(at, left)
        if length == -1:
            return 0
        if length < 0:
            return -EINVAL
        result = _take(worker, udp, endpoint, level, kind, at + HEADER, length)
        if result < 0:
            return result
        at += step
        left -= step


@hot
def aside_end(worker: Worker, endpoint: Endpoint) -> None:
    """The socket's own options again."""
    udp = udp_of(worker)
    endpoint.ttl, endpoint.tos, endpoint.hops, endpoint.traffic_class = (
        udp.kept_ttl, udp.kept_tos, udp.kept_hops, udp.kept_class,
    )  # fmt: skip
    endpoint.multicast_ttl, endpoint.multicast_hops = udp.kept_multicast_ttl, udp.kept_multicast_hops
    endpoint.segment, udp.source_hi, udp.source_lo, udp.scope = udp.kept_segment, 0, 0, 0
    endpoint.way.generation = 0


@hot
def _take(worker: Worker, udp: Udp, endpoint: Endpoint, level: int, kind: int, at: int, octets: int) -> int:
    """One message."""
    if level == linux.SOL_IP:
        return _take4(worker, udp, endpoint, kind, at, octets)
    if level == linux.SOL_IPV6:
        return _take6(worker, udp, endpoint, kind, at, octets)
    if level == linux.SOL_UDP and kind == linux.UDP_SEGMENT and octets == 2:
        endpoint.segment = load16(at)
        return 0
    ignored = level == linux.SOL_SOCKET and (kind == linux.SO_MARK or kind == linux.SO_PRIORITY) and octets == 4
    return 0 if ignored else -EINVAL


@hot
def _take4(worker: Worker, udp: Udp, endpoint: Endpoint, kind: int, at: int, octets: int) -> int:
    if kind == linux.IP_TTL:
        value = load32(at) if octets == 4 else 0
        if value < 1 or value > 255:
            return -EINVAL
        endpoint.ttl, endpoint.multicast_ttl = value, value
        return 0
    if kind == linux.IP_TOS:
        if octets != 4 and octets != 1:
            return -EINVAL
        value = load32(at) if octets == 4 else load8(at)
        if value > 255:
            return -EINVAL
        endpoint.tos = value
        return 0
    if kind != linux.IP_PKTINFO or octets != 12:
        return -EINVAL
    return _take_source(worker, udp, load32(at), 0, MAPPED | load_be32(at + 4))


@hot
def _take6(worker: Worker, udp: Udp, endpoint: Endpoint, kind: int, at: int, octets: int) -> int:
    if kind == linux.IPV6_HOPLIMIT or kind == linux.IPV6_TCLASS:
        if octets != 4:
            return -EINVAL
        value = load32(at)
        if value == 0xFFFF_FFFF:
            return 0
        if value > 255:
            return -EINVAL
        if kind == linux.IPV6_TCLASS:
            endpoint.traffic_class = value
        else:
            endpoint.hops, endpoint.multicast_hops = value, value
        return 0
    if kind != linux.IPV6_PKTINFO or octets < 20:
        return -EINVAL
    return _take_source(worker, udp, load32(at + 16), load_be64(at), load_be64(at + 8))


@hot
def _take_source(worker: Worker, udp: Udp, interface: int, hi: int, lo: int) -> int:
    """The interface (its number plus 1; 0: any) and the address to send from (any: as usual)."""
    net = net_of(worker)
    if interface != 0:
        if interface > net.interface_count or net.interfaces[interface - 1].flags & PRESENT == 0:
            return -ENODEV
        udp.scope = interface
    if hi == 0 and (lo == 0 or lo == MAPPED):
        return 0
    own = is_local4(worker, lo & 0xFFFF_FFFF) if is_four(hi, lo) else is_local6(worker, hi, lo)
    if not own:
        return -EINVAL
    udp.source_hi, udp.source_lo = hi, lo
    return 0
