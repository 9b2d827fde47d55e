"""Queries of a multicast router, and reading reports; scapy makes and judges them."""

from __future__ import annotations

import warnings
from ipaddress import ip_address
from typing import Any

from tests.support.feed import ROUTER
from tests.wire import judges as j

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy.contrib.igmpv3 import IGMPv3mq
    from scapy.layers.igmp import IGMP
    from scapy.layers.inet import IPOption_Router_Alert
    from scapy.layers.inet6 import ICMPv6MLDone, ICMPv6MLQuery, ICMPv6MLQuery2, ICMPv6MLReport, ICMPv6MLReport2
    from scapy.layers.inet6 import RouterAlert as RouterAlert6

IS_INCLUDE, IS_EXCLUDE, TO_INCLUDE, TO_EXCLUDE, ALLOW, BLOCK = range(1, 7)

GROUP = {4: "239.1.2.3", 6: "ff05::1234"}
OTHER = {4: "239.1.2.4", 6: "ff05::1235"}
FIRST = {4: "100.64.0.77", 6: "2001:db8:9::77"}
SECOND = {4: "100.64.0.78", 6: "2001:db8:9::78"}

Record = tuple[int, str, frozenset[str]]


def query(family: int, group: str = "", sources: tuple[str, ...] = (), version: int = 0, code: int = 10) -> Any:
    """A query; `version` 0 is the newest, `code` as it stands in the message."""
    if family == 4:
        ip = j.IP(src="192.0.2.254", dst=group or "224.0.0.1", ttl=1, options=[IPOption_Router_Alert()])
        link = j.Ether(src=ROUTER, dst="01:00:5e:00:00:01")
        if version in (1, 2):
            return link / ip / IGMP(type=0x11, mrcode=code if version == 2 else 0, gaddr=group or "0.0.0.0")
        return link / ip / IGMPv3mq(mrcode=code, gaddr=group or "0.0.0.0", srcaddrs=list(sources), numsrc=len(sources))
    hops = j.IPv6ExtHdrHopByHop(options=[RouterAlert6()])
    ip6 = j.IPv6(src="fe80::fe", dst=group or "ff02::1", hlim=1) / hops
    link = j.Ether(src=ROUTER, dst="33:33:00:00:00:01")
    if version == 1:
        return link / ip6 / ICMPv6MLQuery(mladdr=group or "::", mrd=code * 100)
    rest6 = ICMPv6MLQuery2(mladdr=group or "::", mrd=code * 100, sources=list(sources), sources_number=len(sources))
    return link / ip6 / rest6


def check_headers(read: Any, family: int) -> None:
    """TTL 1, router alert, the right Ethernet address, and right checksums."""
    if family == 4:
        ip = read[j.IP]
        assert (ip.ttl, ip.tos, ip.ihl) == (1, 0xC0, 6)
        assert bytes(ip)[20:24] == b"\x94\x04\0\0"
        assert j.scapy_checksum(bytes(ip)[:24]) == 0
        assert j.scapy_checksum(bytes(ip)[24:]) == 0
        last = ip_address(ip.dst).packed
        assert read.dst == "01:00:5e:" + ":".join(f"{octet:02x}" for octet in (last[1] & 127, last[2], last[3]))
        return
    ip = read[j.IPv6]
    assert (ip.hlim, ip.nh) == (1, 0)
    assert ip.src.startswith("fe80::")
    assert bytes(ip)[40:48] == b"\x3a\0\x05\x02\0\0\1\0"
    message = bytes(ip)[48:]
    pseudo = bytes(ip)[8:40] + len(message).to_bytes(4, "big") + bytes((0, 0, 0, 58))
    assert j.scapy_checksum(pseudo + message) == 0
    assert read.dst == "33:33:" + ":".join(f"{octet:02x}" for octet in bytes(ip)[36:40])


def flat(records: Any) -> list[Any]:
    """Records one after the other; scapy puts some into the payload of the one before."""
    found = []
    for record in records:
        while record.name.endswith("Record"):
            found.append(record)
            record = record.payload
    return found


def reports(frames: list[bytes], family: int) -> list[list[Record]]:
    """The group records of each report of the newest version."""
    found = []
    for frame in frames:
        read = j.Ether(frame)
        check_headers(read, family)
        if family == 4:
            assert read[j.IP].dst == "224.0.0.22"
            message = read[j.IP].payload
            assert bytes(message)[0] == 0x22
            records = [(r.rtype, r.maddr, frozenset(r.srcaddrs)) for r in flat(message.records)]
            assert message.numgrp == len(records)
        else:
            assert read[j.IPv6].dst == "ff02::16"
            message = read[ICMPv6MLReport2]
            records = [(r.rtype, r.dst, frozenset(r.sources)) for r in flat(message.records)]
            assert message.records_number == len(records)
        found.append(records)
    return found


def older(frames: list[bytes], family: int) -> list[tuple[str, int, str]]:
    """Destination, type and group of messages of older versions."""
    found = []
    for frame in frames:
        read = j.Ether(frame)
        check_headers(read, family)
        if family == 4:
            found.append((read[j.IP].dst, read[IGMP].type, read[IGMP].gaddr))
        else:
            kind = ICMPv6MLReport if read.haslayer(ICMPv6MLReport) else ICMPv6MLDone
            found.append((read[j.IPv6].dst, read[kind].type, read[kind].mladdr))
    return found
