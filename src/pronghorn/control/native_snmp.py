"""Counters by the names that Linux's /proc/net/snmp and /proc/net/netstat give them (MIB-II: RFC 4293, 4022, 4113).

Most are counted where they happen (state/mib.py) and added up here over the workers. What a verdict counts already is
taken from there: a checksum that was wrong, a header that was refused, no route. Verdicts do not tell families apart,
so Ip counts IPv4 and IPv6 together, and so does Udp; what was refused because of ICMP's own octets is known for each.

Ip's InReceives and OutTransmits are the ports' counts of frames, so they have ARP among them. Left out, because nothing
here counts it: Ip's InDelivers, OutRequests and what is put together and taken apart, ICMP's messages by type, and the
counters of TcpExt that state/mib.py does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pronghorn.control.views import SnmpView
from pronghorn.state import verdicts as end
from pronghorn.state.endpoints import endpoints_of
from pronghorn.state.mib import COUNTERS
from pronghorn.state.verdicts import VERDICTS
from pronghorn.state.worker import Worker
from pronghorn.tcp.rtt import RTO_LEAST, RTO_MOST
from pronghorn.tcp.tcb import tcp_of
from pronghorn.wire import reasons as bad

OWN = {("TcpExt", "TCPOldAcks"), ("TcpExt", "TCPLocalPortsExhausted")}
"""Counters that Linux does not have."""


def _named(*starts: str) -> tuple[int, ...]:
    """Verdicts whose names begin so."""
    return tuple(number for number, verdict in VERDICTS.items() if verdict.name.startswith(starts))


_ADDRESSES = (
    bad.IPV4_LAND,
    bad.IPV4_MARTIAN_SOURCE,
    bad.IPV4_MARTIAN_DESTINATION,
    bad.IPV6_LAND,
    bad.IPV6_UNSPECIFIED_SOURCE,
    bad.IPV6_MARTIAN_SOURCE,
    bad.IPV6_MARTIAN_DESTINATION,
)
_HEADERS = tuple(number for number in _named("ipv4_", "ipv6_", "extension_") if number not in _ADDRESSES)
_TCP = (bad.TCP_TRUNCATED, bad.TCP_BAD_OFFSET, bad.TCP_OFFSET_BEYOND, bad.TCP_BAD_FLAGS, bad.TCP_BAD_CHECKSUM)
_UDP = (bad.UDP_TRUNCATED, bad.UDP_BAD_LENGTH, bad.UDP_BAD_CHECKSUM, bad.UDP_NO_CHECKSUM)

FROM_VERDICTS: dict[tuple[str, str], tuple[int, ...]] = {
    ("Ip", "InHdrErrors"): (*_HEADERS, end.TTL_EXPIRED),
    ("Ip", "InAddrErrors"): (*_ADDRESSES, end.NOT_FOR_US),
    ("Ip", "InUnknownProtos"): (end.UNKNOWN_PROTOCOL,),
    ("Ip", "InDiscards"): (end.NO_PACKETS, end.DISPATCH_FULL),
    ("Ip", "OutDiscards"): (
        end.TRANSMIT_FULL,
        end.PORT_DOWN,
        end.NEIGHBOUR_FAILED,
        end.NEIGHBOUR_QUEUE_FULL,
        end.NEIGHBOUR_TABLE_FULL,
    ),
    ("Ip", "OutNoRoutes"): (end.NO_ROUTE,),
    ("Ip", "ReasmFails"): _named("fragment_"),
    ("Ip", "FragFails"): (end.TOO_BIG,),
    ("Icmp", "InErrors"): _named("icmp_truncated", "icmp_bad_", "icmp_quote_"),
    ("Icmp", "InCsumErrors"): (bad.ICMP_BAD_CHECKSUM,),
    ("Icmp6", "InErrors"): _named("icmpv6_"),
    ("Icmp6", "InCsumErrors"): (bad.ICMPV6_BAD_CHECKSUM,),
    ("Tcp", "InErrs"): _TCP,
    ("Tcp", "InCsumErrors"): (bad.TCP_BAD_CHECKSUM,),
    ("Udp", "InErrors"): _UDP,
    ("Udp", "InCsumErrors"): (bad.UDP_BAD_CHECKSUM,),
}
"""Verdicts that count, in addition to what state/mib.py counts under the same name."""

INSTEAD = {("Tcp", "InCsumErrors"), ("Udp", "InCsumErrors")}
"""Those that the verdict says alone: state/mib.py counts the same packets, or only some of them."""

GROUPS = ("Ip", "Icmp", "Icmp6", "Tcp", "Udp", "TcpExt")


def snmp(workers: Sequence[Worker], ports: Iterable[int]) -> list[SnmpView]:
    """All counters, group by group; `ports` are the indexes of the ports in use."""
    with_sockets = [worker for worker in workers if worker.transports != 0]
    values = {
        ("Ip", "Forwarding"): 2,  # RFC 4293: notForwarding
        ("Ip", "DefaultTTL"): 64,
        **_frames(workers, list(ports)),
        ("Tcp", "RtoAlgorithm"): 4,  # RFC 4022: vanj, that of RFC 6298
        ("Tcp", "RtoMin"): RTO_LEAST // 1000,
        ("Tcp", "RtoMax"): RTO_MOST // 1000,
        ("Tcp", "MaxConn"): sum(tcp_of(worker).limit for worker in with_sockets),
    }
    for number, name in enumerate(COUNTERS):
        values[name] = sum(endpoints_of(worker).mib[number] for worker in with_sockets)
    for name, numbers in FROM_VERDICTS.items():
        counted = sum(worker.verdicts[number] for worker in workers for number in numbers)
        values[name] = counted + (0 if name in INSTEAD else values.get(name, 0))
    ordered = sorted(values.items(), key=lambda item: GROUPS.index(item[0][0]))
    return [SnmpView(group=group, name=name, value=value) for (group, name), value in ordered]


def _frames(workers: Sequence[Worker], ports: list[int]) -> dict[tuple[str, str], int]:
    queues = [worker.queues[port] for worker in workers for port in ports]
    return {
        ("Ip", "InReceives"): sum(queue.rx_packets for queue in queues),
        ("Ip", "OutTransmits"): sum(queue.tx_packets for queue in queues),
    }
