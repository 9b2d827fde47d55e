"""What recvmsg says of a datagram and of an error, in the order and the structures of Linux (ip(7), ipv6(7))."""

from __future__ import annotations

from pronghorn.compiled import fill, hot, store8, store16, store32, store64, store_be16, store_be32, store_be64
from pronghorn.net.addresses import source4
from pronghorn.state import linux
from pronghorn.state.ancillary import Control, ancillary_int, ancillary_put
from pronghorn.state.endpoints import endpoints_of
from pronghorn.state.error_queue import LOCAL, ErrorRecord
from pronghorn.state.wishes import (
    TELL_CLASS6,
    TELL_DROPS,
    TELL_HOPS6,
    TELL_PACKET,
    TELL_PACKET6,
    TELL_TIME,
    TELL_TIME_NS,
    TELL_TO,
    TELL_TO6,
    TELL_TOS,
    TELL_TTL,
)
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import Arrival, Endpoint
from pronghorn.wire import ipv6

SECOND = 1_000_000_000
EXTENDED = 16
"""Octets of struct sock_extended_err."""


@hot
def tell_arrival(worker: Worker, control: Control, endpoint: Endpoint, taken: Arrival) -> None:
    """What the socket's options ask for, of the datagram that was read."""
    bits = endpoint.wishes.bits
    if bits & (TELL_TIME | TELL_TIME_NS | TELL_DROPS) != 0:
        _tell_socket(worker, control, endpoint, taken, bits)
    if taken.segment != 0:
        ancillary_int(control, linux.SOL_UDP, linux.UDP_GRO, taken.segment)
    if endpoint.family != 4:
        _tell6(control, taken, bits)
    if taken.family == 4:
        _tell4(worker, control, endpoint, taken, bits)


@hot
def _tell_socket(worker: Worker, control: Control, endpoint: Endpoint, taken: Arrival, bits: int) -> None:
    """SOL_SOCKET."""
    if bits & (TELL_TIME | TELL_TIME_NS) != 0:
        wall = taken.at + endpoints_of(worker).wall
        exact = bits & TELL_TIME_NS != 0
        kind = linux.SO_TIMESTAMPNS if exact else linux.SO_TIMESTAMP
        at = ancillary_put(control, linux.SOL_SOCKET, kind, 16)
        if at != 0:
            store64(at, wall // SECOND)
            store64(at + 8, wall % SECOND if exact else wall % SECOND // 1000)
    if bits & TELL_DROPS != 0 and endpoint.dropped != 0:
        ancillary_int(control, linux.SOL_SOCKET, linux.SO_RXQ_OVFL, endpoint.dropped)


@hot
def _tell4(worker: Worker, control: Control, endpoint: Endpoint, taken: Arrival, bits: int) -> None:
    """SOL_IP."""
    if bits & TELL_PACKET != 0:
        at = ancillary_put(control, linux.SOL_IP, linux.IP_PKTINFO, 12)
        if at != 0:
            dst = taken.to_lo & 0xFFFF_FFFF
            group = dst >= 0xE000_0000
            store32(at, taken.interface + 1)
            store_be32(at + 4, source4(worker, taken.interface, taken.source_lo & 0xFFFF_FFFF) if group else dst)
            store_be32(at + 8, dst)
    if bits & TELL_TTL != 0:
        ancillary_int(control, linux.SOL_IP, linux.IP_TTL, taken.ttl)
    if bits & TELL_TOS != 0:
        at = ancillary_put(control, linux.SOL_IP, linux.IP_TOS, 1)
        if at != 0:
            store8(at, taken.tos)
    if bits & TELL_TO != 0:
        at = ancillary_put(control, linux.SOL_IP, linux.IP_ORIGDSTADDR, 16)
        if at != 0:
            write_sockaddr(at, 4, taken.to_hi, taken.to_lo, endpoint.local_port, 0)


@hot
def _tell6(control: Control, taken: Arrival, bits: int) -> None:
    """SOL_IPV6; of a packet of IPv4 only where it went, as an IPv4-mapped address."""
    if bits & TELL_PACKET6 != 0:
        at = ancillary_put(control, linux.SOL_IPV6, linux.IPV6_PKTINFO, 20)
        if at != 0:
            store_be64(at, taken.to_hi)
            store_be64(at + 8, taken.to_lo)
            store32(at + 16, taken.interface + 1)
    if taken.family == 4:
        return
    if bits & TELL_HOPS6 != 0:
        ancillary_int(control, linux.SOL_IPV6, linux.IPV6_HOPLIMIT, taken.ttl)
    if bits & TELL_CLASS6 != 0:
        ancillary_int(control, linux.SOL_IPV6, linux.IPV6_TCLASS, taken.tos)
    if bits & TELL_TO6 != 0:
        at = ancillary_put(control, linux.SOL_IPV6, linux.IPV6_ORIGDSTADDR, 28)
        if at != 0:
            write_sockaddr(at, 6, taken.to_hi, taken.to_lo, 0, 0)


@hot
def tell_error(worker: Worker, control: Control, family: int, record: ErrorRecord) -> None:
    """A struct sock_extended_err and the offender's sockaddr behind it, of the socket's family."""
    four = family == 4
    at = ancillary_put(
        control,
        linux.SOL_IP if four else linux.SOL_IPV6,
        linux.IP_RECVERR if four else linux.IPV6_RECVERR,
        EXTENDED + (16 if four else 28),
    )
    if at == 0:
        return
    store32(at, record.error)
    store32(at + 4, record.origin | record.type << 8 | record.code << 16)
    store32(at + 8, record.info)
    store32(at + 12, 0)
    fill(at + EXTENDED, 0, 16 if four else 28)
    if record.origin != LOCAL:
        hi, lo = record.offender_hi, record.offender_lo
        scope = record.interface + 1 if ipv6.is_link_local(hi) else 0
        write_sockaddr(at + EXTENDED, 4 if four else 6, hi, lo, 0, scope)


@hot
def write_sockaddr(at: int, family: int, hi: int, lo: int, port: int, scope: int) -> None:
    """A sockaddr_in (16 octets) or a sockaddr_in6 (28)."""
    if family == 4:
        store16(at, linux.AF_INET)
        store_be16(at + 2, port)
        store_be32(at + 4, lo & 0xFFFF_FFFF)
        store64(at + 8, 0)
        return
    store16(at, linux.AF_INET6)
    store_be16(at + 2, port)
    store32(at + 4, 0)
    store_be64(at + 8, hi)
    store_be64(at + 16, lo)
    store32(at + 24, scope)
