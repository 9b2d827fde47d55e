"""Every packet ends in exactly one verdict: this is the table.

A handler returns the number; the turn counts it in `worker.verdicts` and frees the packet. Three numbers are no end:
QUEUED (the packet waits on a transmit burst and ends when the burst is flushed), HELD (someone keeps it and will end
it) and DISPATCHED (another worker takes over). So for every worker, always:

    received + originated = sum of the verdict counters + held + dispatched + waiting on transmit bursts

Numbers below FIRST_OWN are the reasons of `wire/reasons.py`, one to one. Adding a verdict: one `_define` line here
and a test that provokes it (tests/verdicts holds the list against the table).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pronghorn.wire.reasons import REASONS

FIRST_OWN = 128


class Severity(StrEnum):
    """How an operator should take a verdict."""

    NORMAL = "normal"  # the packet did its work
    POLICY = "policy"  # refused on purpose: configuration, limits
    INPUT = "input"  # the sender's mistake or an attack
    RESOURCE = "resource"  # this engine lacked room
    DEFECT = "defect"  # ours


@dataclass(frozen=True)
class Verdict:
    """One way in which a packet can end."""

    number: int
    name: str
    severity: Severity
    sentence: str


VERDICTS: dict[int, Verdict] = {
    reason.number: Verdict(reason.number, reason.name.lower(), Severity.INPUT, reason.sentence)
    for reason in REASONS
    if reason.number
}


def _define(number: int, name: str, severity: Severity, sentence: str) -> int:
    if number in VERDICTS or number < FIRST_OWN:
        raise ValueError(f"verdict {number} ({name}) is taken")
    VERDICTS[number] = Verdict(number, name, severity, sentence)
    return number


_NORMAL, _POLICY, _INPUT, _RESOURCE = Severity.NORMAL, Severity.POLICY, Severity.INPUT, Severity.RESOURCE

CONTINUE = 0
"""No verdict yet: go on."""
DISPATCHED = 253
"""Not an end: another worker takes over."""
QUEUED = 254
"""Not an end: the packet waits on a transmit burst."""
HELD = 255
"""Not an end: somebody keeps the packet."""

# what a packet is for
TRANSMITTED = _define(128, "transmitted", _NORMAL, "sent out of a port")
CONSUMED = _define(129, "consumed", _NORMAL, "did its work here: ARP, neighbour discovery, ICMP")
DELIVERED = _define(130, "delivered", _NORMAL, "given to a local endpoint")
REASSEMBLED = _define(131, "reassembled", _NORMAL, "a fragment whose octets went into a whole packet")

# where it should have gone
TRANSMIT_FULL = _define(136, "transmit_full", _RESOURCE, "the output port had no room")
PORT_DOWN = _define(137, "port_down", _POLICY, "the output port is down or this worker has no queue on it")
TOO_BIG = _define(138, "too_big", _POLICY, "longer than the output interface's MTU and not to be fragmented")
NO_ROUTE = _define(139, "no_route", _POLICY, "no route to the destination")
NOT_FOR_US = _define(140, "not_for_us", _POLICY, "for a host that is not this one, and forwarding is off")
NEIGHBOUR_FAILED = _define(141, "neighbour_failed", _POLICY, "nobody answered for the next hop's address")
NEIGHBOUR_QUEUE_FULL = _define(142, "neighbour_queue_full", _RESOURCE, "too many packets wait for the next hop")
NEIGHBOUR_TABLE_FULL = _define(143, "neighbour_table_full", _RESOURCE, "no room for another neighbour")
OTHER_HOST = _define(144, "other_host", _POLICY, "the layer-2 destination is another station")
UNKNOWN_ETHERTYPE = _define(145, "unknown_ethertype", _POLICY, "an EtherType that is not handled")
UNKNOWN_PROTOCOL = _define(146, "unknown_protocol", _POLICY, "a layer-4 protocol that is not handled")
UNKNOWN_VLAN = _define(147, "unknown_vlan", _POLICY, "a VLAN that no interface has")
NO_LISTENER = _define(148, "no_listener", _POLICY, "nothing listens at the destination port")
TTL_EXPIRED = _define(149, "ttl_expired", _INPUT, "time to live or hop limit reached zero on the way")
MULTICAST_IGNORED = _define(150, "multicast_ignored", _POLICY, "a group that this host is not a member of")
ICMP_IGNORED = _define(151, "icmp_ignored", _POLICY, "an ICMP message of no use here")
ICMP_RATE_LIMITED = _define(
    152, "icmp_rate_limited", _POLICY, "deserved an ICMP message, but the rate limit was reached"
)

# arp and neighbour discovery
ARP_OWN_ADDRESS = _define(156, "arp_own_address", _INPUT, "another station claims one of our addresses")
ARP_NOT_FOR_US = _define(157, "arp_not_for_us", _NORMAL, "an ARP message about other hosts")
ARP_UNSOLICITED = _define(158, "arp_unsolicited", _POLICY, "an ARP reply that nobody asked for")
ND_NOT_FOR_US = _define(159, "nd_not_for_us", _NORMAL, "a neighbour-discovery message about other hosts")
ND_OWN_ADDRESS = _define(160, "nd_own_address", _INPUT, "another station claims one of our IPv6 addresses")
ND_UNSOLICITED = _define(161, "nd_unsolicited", _POLICY, "a neighbour advertisement that nobody asked for")

# fragments
FRAGMENT_LIMIT = _define(164, "fragment_limit", _RESOURCE, "fragments already hold all the memory they may")
FRAGMENT_SOURCE_LIMIT = _define(
    165, "fragment_source_limit", _RESOURCE, "this source holds its share of fragment memory"
)
FRAGMENT_TIMEOUT = _define(166, "fragment_timeout", _INPUT, "the rest of the packet did not come in time")
FRAGMENT_OVERLAP = _define(167, "fragment_overlap", _INPUT, "overlaps another fragment of its packet (RFC 5722)")
FRAGMENT_INCONSISTENT = _define(168, "fragment_inconsistent", _INPUT, "contradicts another fragment of the packet")
FRAGMENT_TOO_MANY = _define(169, "fragment_too_many", _INPUT, "more pieces than a packet may have")

# engine
NO_PACKETS = _define(172, "no_packets", _RESOURCE, "the packet pool is empty")
DISPATCH_FULL = _define(173, "dispatch_full", _RESOURCE, "the owning worker's inbox is full")
BRIDGE_SAME_PORT = _define(174, "bridge_same_port", _NORMAL, "the destination is on the port it came from")
BRIDGE_FLOOD_LIMIT = _define(175, "bridge_flood_limit", _RESOURCE, "too many frames to unknown destinations")
LINK_BROKEN = _define(176, "link_broken", _INPUT, "the other end of the link broke the rules of its rings")

# balancer
SERVICE_NO_SERVER = _define(184, "service_no_server", _POLICY, "the service has no server that takes new connections")
CONN_TABLE_FULL = _define(185, "conn_table_full", _RESOURCE, "no room for another connection")
LOCAL_PORTS_EXHAUSTED = _define(186, "local_ports_exhausted", _RESOURCE, "all local ports to this server are in use")
NO_CONN = _define(187, "no_conn", _POLICY, "a TCP segment that belongs to no connection and is no SYN")
SERVICE_REMOVED = _define(189, "service_removed", _POLICY, "its service or server was removed")
SERVICE_LIMIT_CONNS = _define(190, "service_limit_conns", _POLICY, "the service has as many connections as it may")
CLIENT_LIMIT = _define(191, "client_limit", _POLICY, "the client has as many connections with the service as it may")
SERVICE_LIMIT_RATE = _define(192, "service_limit_rate", _POLICY, "more connections a second than the service may have")
SERVICE_LIMIT_PACKETS = _define(
    193, "service_limit_packets", _POLICY, "more packets a second than the service may have in this direction"
)
SERVICE_LIMIT_OCTETS = _define(
    194, "service_limit_octets", _POLICY, "more octets a second than the service may have in this direction"
)

# endpoints
TCP_OLD = _define(196, "tcp_old", _NORMAL, "a TCP segment whose octets had all arrived before")
TCP_OUT_OF_WINDOW = _define(197, "tcp_out_of_window", _INPUT, "a TCP segment outside the receive window")
TCP_PAWS = _define(198, "tcp_paws", _INPUT, "a TCP segment with a timestamp of long ago (RFC 7323 5)")
TCP_BAD_ACK = _define(199, "tcp_bad_ack", _INPUT, "a TCP acknowledgement of octets that were not sent, or none at all")
TCP_CHALLENGED = _define(200, "tcp_challenged", _INPUT, "a TCP SYN or RST that may be forged (RFC 5961)")
TCP_NO_BACKLOG = _define(201, "tcp_no_backlog", _RESOURCE, "the listener's backlog is full")
TCP_BAD_COOKIE = _define(202, "tcp_bad_cookie", _INPUT, "an acknowledgement that no SYN cookie of ours belongs to")
TCP_NO_MEMORY = _define(203, "tcp_no_memory", _RESOURCE, "no memory for a TCP connection or its octets")
TCP_TOO_MANY_GAPS = _define(204, "tcp_too_many_gaps", _INPUT, "a TCP connection has more gaps than may be remembered")
TCP_NOT_READ = _define(205, "tcp_not_read", _POLICY, "data for a TCP connection that nobody reads any more")
TCP_RESET = _define(206, "tcp_reset", _NORMAL, "a TCP reset that ended a connection")
SOCKET_FULL = _define(208, "socket_full", _RESOURCE, "the socket holds as much as it may, and nobody reads it")
SOCKET_NO_MEMORY = _define(209, "socket_no_memory", _RESOURCE, "no memory for a datagram")

# SYN proxy
SYN_PROXY_CHALLENGED = _define(
    240, "syn_proxy_challenged", _NORMAL, "a TCP SYN that the SYN proxy has answered with a cookie"
)
SYN_PROXY_BAD_ACK = _define(
    241, "syn_proxy_bad_ack", _INPUT, "a TCP segment of no connection that no cookie of the SYN proxy belongs to"
)
SYN_PROXY_OPENED = _define(
    242, "syn_proxy_opened", _NORMAL, "brought a good cookie back: the SYN proxy has asked a server"
)
SYN_PROXY_DEFERRED = _define(
    243, "syn_proxy_deferred", _NORMAL, "brought a good cookie back, without the data that its service waits for"
)
SYN_PROXY_EARLY = _define(
    244, "syn_proxy_early", _NORMAL, "came before the server has answered the SYN proxy; the client sends it again"
)
SYN_PROXY_ANSWERED = _define(
    245, "syn_proxy_answered", _NORMAL, "a server's answer to the SYN proxy: the connection is open"
)
SYN_PROXY_BAD_ANSWER = _define(
    246, "syn_proxy_bad_answer", _INPUT, "does not fit the connection whose server the SYN proxy waits for"
)
SYN_PROXY_ACK_STORM = _define(
    247, "syn_proxy_ack_storm", _INPUT, "an acknowledgement that has come ten times in a second and says nothing new"
)

# who may
ACL_DENIED = _define(224, "acl_denied", _POLICY, "from a source that the service's deny list has")
ACL_NOT_ALLOWED = _define(225, "acl_not_allowed", _POLICY, "from a source that the service's allow list does not have")
ACL_BLACKLISTED = _define(226, "acl_blacklisted", _POLICY, "in a set that the black list names")
RATE_LIMITED_SOURCE = _define(
    227, "rate_limited_source", _POLICY, "from a source that connects or sends more often than the service lets one"
)
DEFENCE_TCP_DROP = _define(
    228, "defence_tcp_drop", _POLICY, "TCP to an address that has services, but none at this port (defence_tcp_drop)"
)
DEFENCE_UDP_DROP = _define(
    229, "defence_udp_drop", _POLICY, "UDP to an address that has services, but none at this port (defence_udp_drop)"
)

# attached programs
PROGRAM_MARKS = _define(212, "program_marks", _INPUT, "a program's frame that is marked as what it cannot be")
PROGRAM_SOURCE = _define(213, "program_source", _INPUT, "from a program, with a source address that is not its own")
PROGRAM_PORT = _define(214, "program_port", _INPUT, "from a program, with a source port that it has not claimed")
PROGRAM_PROTOCOL = _define(215, "program_protocol", _INPUT, "from a program, of a protocol that programs may not send")
PROGRAM_ICMP = _define(216, "program_icmp", _INPUT, "from a program, an ICMP message about nothing of its own")
PROGRAM_RATE = _define(217, "program_rate", _POLICY, "from a program that sends more than it may")
PROGRAM_GONE = _define(218, "program_gone", _NORMAL, "for a connection whose program has ended; answered by a reset")
