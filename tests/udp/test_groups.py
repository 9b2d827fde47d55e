"""Groups: joining and leaving by socket options, what is delivered, and what routers are told (RFC 3376, RFC 3810)."""

from __future__ import annotations

import ctypes
import errno
import socket
from ipaddress import ip_address
from typing import Any

import pytest

from pronghorn.net.groups import GROUPS, groups_of
from pronghorn.net.state import net_of
from pronghorn.state import linux
from pronghorn.state.endpoints import BROADCAST_ALLOWED, REUSE_ADDRESS
from pronghorn.udp.options import udp_set_option
from tests.support.feed import OWN4, OWN6, ROUTER
from tests.udp.bench import UdpBench
from tests.udp.frames import PEER, incoming, outgoing
from tests.udp.group_frames import (
    ALLOW,
    BLOCK,
    FIRST,
    GROUP,
    IS_EXCLUDE,
    IS_INCLUDE,
    OTHER,
    SECOND,
    TO_EXCLUDE,
    TO_INCLUDE,
    older,
    query,
    reports,
)
from tests.wire import judges as j

NOBODY: frozenset[str] = frozenset()
LEVEL = {4: linux.SOL_IP, 6: linux.SOL_IPV6}


def storage(text: str) -> bytes:
    """A sockaddr_storage."""
    address = ip_address(text)
    if address.version == 4:
        return (socket.AF_INET.to_bytes(2, "little") + bytes(2) + address.packed).ljust(128, b"\0")
    return (socket.AF_INET6.to_bytes(2, "little") + bytes(6) + address.packed).ljust(128, b"\0")


class GroupBench(UdpBench):
    """A UdpBench with the options of this subject."""

    def put_option(self, number: int, level: int, option: int, octets: bytes, worker: int = 0) -> int:
        at = self.memory.address + 512
        ctypes.memmove(at, octets, len(octets))
        return udp_set_option(self.worker(worker), number, level, option, at, len(octets))

    def group(self, number: int, option: int, group: str, source: str = "", interface: int = 1, worker: int = 0) -> int:
        """One of MCAST_*."""
        level = LEVEL[ip_address(group).version]
        value = interface.to_bytes(8, "little") + storage(group) + (storage(source) if source else b"")
        return self.put_option(number, level, option, value, worker)

    def join(self, number: int, group: str, interface: int = 1, worker: int = 0) -> int:
        return self.group(number, linux.MCAST_JOIN_GROUP, group, interface=interface, worker=worker)

    def leave(self, number: int, group: str) -> int:
        return self.group(number, linux.MCAST_LEAVE_GROUP, group)

    def told(self, family: int) -> list[list[Any]]:
        """What is reported in a turn."""
        self.turn()
        return reports(self.sent(), family)

    def __enter__(self) -> GroupBench:
        return self


def to_group(family: int, group: str, octets: bytes = b"x", src: str = "", dport: int = 7) -> Any:
    frame = incoming(family, dport, octets, dst=group, src=src)
    packed = ip_address(group).packed
    if family == 4:
        frame.dst = "01:00:5e:" + ":".join(f"{octet:02x}" for octet in (packed[1] & 127, packed[2], packed[3]))
    else:
        frame.dst = "33:33:" + ":".join(f"{octet:02x}" for octet in packed[12:])
    return frame


@pytest.mark.parametrize("family", [4, 6])
def test_a_group_is_heard_while_it_is_joined(family: int) -> None:
    with GroupBench() as bench:
        number = bench.open(family, 7)
        assert bench.hear(to_group(family, GROUP[family])) == {"multicast_ignored": 1}
        assert bench.join(number, GROUP[family]) == 0
        assert bench.join(number, GROUP[family]) == -errno.EADDRINUSE
        assert bench.told(family) == [[(TO_EXCLUDE, GROUP[family], NOBODY)]]
        assert bench.hear(to_group(family, GROUP[family])) == {"delivered": 1}
        assert bench.hear(to_group(family, OTHER[family])) == {"multicast_ignored": 1}
        assert bench.receive(number) == (b"x", (PEER[family], 4000))
        bench.wait(2)
        assert reports(bench.sent(), family) == [[(TO_EXCLUDE, GROUP[family], NOBODY)]], "once more"
        assert bench.leave(number, GROUP[family]) == 0
        assert bench.leave(number, GROUP[family]) == -errno.EADDRNOTAVAIL
        bench.wait(3)
        assert reports(bench.sent(), family) == [[(TO_INCLUDE, GROUP[family], NOBODY)]] * 2
        assert bench.hear(to_group(family, GROUP[family])) == {"multicast_ignored": 1}
        assert groups_of(net_of(bench.worker())).count == 0


def test_with_the_older_structures() -> None:
    with GroupBench() as bench:
        number, six = bench.open(4, 7), bench.open(6, 7)
        group = ip_address(GROUP[4]).packed
        own, stranger = ip_address(OWN4[1]).packed, ip_address("10.1.1.1").packed
        assert bench.put_option(number, 0, linux.IP_ADD_MEMBERSHIP, group + own) == 0
        assert bench.put_option(number, 0, linux.IP_ADD_MEMBERSHIP, group + bytes(4) + (1).to_bytes(4, "little")) == 0
        assert bench.put_option(number, 0, linux.IP_ADD_MEMBERSHIP, group + stranger) == -errno.ENODEV
        assert bench.put_option(number, 0, linux.IP_ADD_MEMBERSHIP, stranger + own) == -errno.EINVAL
        assert bench.put_option(number, 0, linux.IP_ADD_MEMBERSHIP, group) == -errno.EINVAL
        bench.turn()
        assert [len(bench.sent(port)) for port in range(2)] == [1, 1]
        request = ip_address(GROUP[6]).packed + (2).to_bytes(4, "little")
        assert bench.put_option(six, linux.SOL_IPV6, linux.IPV6_JOIN_GROUP, request) == 0
        assert bench.put_option(six, linux.SOL_IPV6, linux.IPV6_LEAVE_GROUP, request) == 0
        source = group + own + ip_address(FIRST[4]).packed
        assert bench.put_option(number, 0, linux.IP_BLOCK_SOURCE, source) == 0
        assert bench.put_option(number, 0, linux.IP_BLOCK_SOURCE, source) == -errno.EADDRNOTAVAIL
        assert bench.put_option(number, 0, linux.IP_UNBLOCK_SOURCE, source) == 0
        assert bench.put_option(number, 0, linux.IP_ADD_SOURCE_MEMBERSHIP, source) == -errno.EINVAL
        assert bench.put_option(number, 0, linux.IP_DROP_MEMBERSHIP, group + own) == 0
        assert bench.close_socket(number) == 0
        bench.wait(3)
        assert groups_of(net_of(bench.worker())).count == 0


@pytest.mark.parametrize("family", [4, 6])
def test_sources_are_included_and_excluded(family: int) -> None:
    group, first, second = GROUP[family], FIRST[family], SECOND[family]
    with GroupBench() as bench:
        number = bench.open(family, 7)
        assert bench.group(number, linux.MCAST_JOIN_SOURCE_GROUP, group, first) == 0
        assert bench.told(family) == [[(ALLOW, group, frozenset({first}))]]
        assert bench.hear(to_group(family, group, src=first)) == {"delivered": 1}
        assert bench.hear(to_group(family, group, src=second)) == {"no_listener": 1}
        assert bench.group(number, linux.MCAST_JOIN_SOURCE_GROUP, group, second) == 0
        assert bench.hear(to_group(family, group, src=second))["delivered"] == 1
        bench.wait(3)
        bench.sent()
        assert bench.group(number, linux.MCAST_LEAVE_SOURCE_GROUP, group, first) == 0
        assert bench.told(family) == [[(BLOCK, group, frozenset({first}))]]
        other = bench.open(family, 8)
        assert bench.join(other, group) == 0
        assert bench.told(family) == [[(TO_EXCLUDE, group, NOBODY)]], "somebody wants all"
        assert bench.group(other, linux.MCAST_BLOCK_SOURCE, group, second) == 0
        bench.wait(3)
        bench.sent()
        assert bench.hear(to_group(family, group, src=second, dport=8)) == {"no_listener": 1}
        assert bench.group(number, linux.MCAST_LEAVE_SOURCE_GROUP, group, second) == 0
        assert bench.told(family) == [[(BLOCK, group, frozenset({second}))]], "nobody includes it any more"
        assert bench.close_socket(other) == 0
        bench.wait(3)
        assert reports(bench.sent(), family)[-1] == [(TO_INCLUDE, group, NOBODY)]
        bench.wait(3)
        assert groups_of(net_of(bench.worker())).count == 0


@pytest.mark.parametrize("family", [4, 6])
def test_queries_are_answered(family: int) -> None:
    with GroupBench() as bench:
        number = bench.open(family, 7)
        assert bench.join(number, GROUP[family]) == 0
        assert bench.group(number, linux.MCAST_JOIN_SOURCE_GROUP, OTHER[family], FIRST[family]) == 0
        bench.wait(3)
        bench.sent()
        assert bench.hear(query(family)) == {"consumed": 1}
        bench.wait(1.1, 0.01)
        (answer,) = reports(bench.sent(), family)
        expected = {(IS_EXCLUDE, GROUP[family], NOBODY), (IS_INCLUDE, OTHER[family], frozenset({FIRST[family]}))}
        assert set(answer) == expected
        assert bench.hear(query(family, GROUP[family])) == {"consumed": 1}
        bench.wait(1.1, 0.01)
        assert reports(bench.sent(), family) == [[(IS_EXCLUDE, GROUP[family], NOBODY)]]
        assert bench.hear(query(family, OTHER[family], (FIRST[family],))) == {"consumed": 1}
        bench.wait(1.1, 0.01)
        assert reports(bench.sent(), family) == [[(IS_INCLUDE, OTHER[family], frozenset({FIRST[family]}))]]
        for _ in range(5):
            bench.put(query(family))
        bench.wait(1.1, 0.01)
        assert len(bench.sent()) == 1, "many queries, one answer"


def test_the_answer_is_late_by_chance() -> None:
    with GroupBench() as bench:
        assert bench.join(bench.open(4, 7), GROUP[4]) == 0
        bench.wait(3)
        bench.sent()
        delays = []
        for _ in range(12):
            bench.hear(query(4, code=100))
            start = bench.now
            while not bench.sent():
                bench.turn(0.1)
            delays.append((bench.now - start) / 1e9)
        assert max(delays) <= 10.2
        assert max(delays) - min(delays) > 2


@pytest.mark.parametrize(("family", "version"), [(4, 1), (4, 2), (6, 1)])
def test_older_routers(family: int, version: int) -> None:
    kinds = {(4, 1): (0x12, None), (4, 2): (0x16, 0x17), (6, 1): (131, 132)}[family, version]
    routers = {4: "224.0.0.2", 6: "ff02::2"}[family]
    with GroupBench() as bench:
        number = bench.open(family, 7)
        assert bench.hear(query(family, version=version)) == {"consumed": 1}
        assert bench.join(number, GROUP[family]) == 0
        bench.turn()
        assert older(bench.sent(), family) == [(GROUP[family], kinds[0], GROUP[family])]
        bench.wait(12)
        bench.sent()
        bench.hear(query(family, version=version))
        bench.wait(11)
        assert older(bench.sent(), family) == [(GROUP[family], kinds[0], GROUP[family])]
        assert bench.leave(number, GROUP[family]) == 0
        bench.turn()
        left = older(bench.sent(), family)
        assert left == ([(routers, kinds[1], GROUP[family])] if kinds[1] is not None else [])
        bench.wait(410, 5)
        assert bench.join(number, GROUP[family]) == 0
        bench.sent()
        assert bench.told(family) == [[(TO_EXCLUDE, GROUP[family], NOBODY)]], "the old router is forgotten"


def test_bad_queries() -> None:
    """Bad inputs, as row 13: lengths that lie, wrong senders, wrong checksums."""
    with GroupBench() as bench:
        bench.join(bench.open(4, 7), GROUP[4])
        bench.join(bench.open(6, 7), GROUP[6])
        bench.wait(3)
        bench.sent()
        good4, good6 = bytes(query(4)), bytes(query(6))
        short = j.Ether(good4)
        rest = bytes(short[j.IP].payload)
        ip = j.IP(src="192.0.2.254", dst="224.0.0.1", ttl=1, proto=2)
        link = j.Ether(src=ROUTER, dst="01:00:5e:00:00:01")
        assert bench.hear(link / ip / rest[:7]) == {"igmp_truncated": 1}
        many = query(4, sources=("10.0.0.1",))
        octets = bytearray(bytes(j.Ether(bytes(many))[j.IP].payload))
        octets[11] = 200
        assert bench.hear(link / ip / bytes(octets)) == {"igmp_truncated": 1}
        octets[11] = 1
        octets[3] ^= 0x55
        assert bench.hear(link / ip / bytes(octets)) == {"igmp_bad_checksum": 1}
        assert bench.hear(link / ip / (b"\x11\x0a\xee\xf5" + bytes(4) + b"\0")) == {"icmp_ignored": 1}
        assert bench.hear(link / ip / (bytes.fromhex("1600e9ff") + bytes(4))) == {"icmp_ignored": 1}
        assert bench.hear(good6[:21] + b"\x02" + good6[22:]) == {"mld_bad_sender": 1}
        stranger = query(6)
        stranger[j.IPv6].src = "2001:db8:1::fe"
        assert bench.hear(stranger) == {"mld_bad_sender": 1}
        assert bench.hear(good6) == {"consumed": 1}
        bench.wait(2)
        assert len(bench.sent()) == 1


def test_groups_run_out() -> None:
    with GroupBench(sockets=16) as bench:
        numbers = [bench.open(4, 100 + n) for n in range(6)]
        done = [bench.join(numbers[n // 60], f"239.1.{n // 250}.{n % 250}", interface=1) for n in range(GROUPS + 20)]
        assert done == [0] * GROUPS + [-errno.ENOBUFS] * 20
        bench.wait(3)
        bench.sent()
        bench.hear(query(4))
        bench.wait(1.2)
        found = [record for report in reports(bench.sent(), 4) for record in report]
        assert len({group for _, group, _ in found}) == len(found) == GROUPS
        for number in numbers:
            bench.close_socket(number)
        bench.wait(4)
        assert groups_of(net_of(bench.worker())).count == 0


def test_a_socket_has_so_many_groups_and_sources() -> None:
    with GroupBench() as bench:
        number = bench.open(4, 7)
        done = [bench.join(number, f"239.1.0.{n}") for n in range(66)]
        assert done == [0] * 64 + [-errno.ENOBUFS] * 2
        other = bench.open(4, 8)
        done = [bench.group(other, linux.MCAST_JOIN_SOURCE_GROUP, GROUP[4], f"10.0.0.{n}") for n in range(34)]
        assert done == [0] * 32 + [-errno.ENOBUFS] * 2


# --- sending ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [4, 6])
def test_what_we_send_to_a_group(family: int) -> None:
    own = {4: OWN4[0], 6: OWN6[0]}[family]
    group = {4: "239.1.2.3", 6: "ff0e::1234"}[family]
    with GroupBench() as bench:
        number, listener = bench.open(family, 9), bench.open(family, 7)
        assert bench.send(number, b"hello", (group, 7)) == 5
        bench.turn()
        (frame,) = bench.sent()
        assert outgoing(frame) == (own, group, 9, 7, b"hello")
        read = j.Ether(frame)
        assert read.dst == {4: "01:00:5e:01:02:03", 6: "33:33:00:00:12:34"}[family]
        assert (read[j.IP].ttl if family == 4 else read[j.IPv6].hlim) == 1
        assert bench.receive(listener) == -errno.EAGAIN
        bench.join(listener, group)
        assert bench.send(number, b"loop", (group, 7)) == 4
        octets, sender = bench.receive(listener)  # type: ignore[misc]
        assert (octets, sender) == (b"loop", (own, 9))
        off = linux.IP_MULTICAST_LOOP if family == 4 else linux.IPV6_MULTICAST_LOOP
        assert bench.put_option(number, LEVEL[family], off, bytes(4)) == 0
        assert bench.send(number, b"quiet", (group, 7)) == 5
        assert bench.receive(listener) == -errno.EAGAIN


def test_the_interface_may_be_chosen() -> None:
    with GroupBench() as bench:
        number = bench.open(4, 9)
        own = [ip_address(text).packed for text in OWN4]
        for octets, port in (
            (own[1], 1),
            (own[0], 0),
            (bytes(4) + own[1], 1),
            (bytes(8) + (1).to_bytes(4, "little"), 0),
            (bytes(8) + (2).to_bytes(4, "little"), 1),
            (bytes(4), 0),
        ):
            assert bench.put_option(number, 0, linux.IP_MULTICAST_IF, octets) == 0
            assert bench.send(number, b"x", (GROUP[4], 7)) == 1
            bench.turn()
            assert [len(bench.sent(place)) for place in range(2)] == [1 - port, port]
        assert bench.put_option(number, 0, linux.IP_MULTICAST_IF, ip_address("10.1.1.1").packed) == -errno.EADDRNOTAVAIL
        assert bench.put_option(number, 0, linux.IP_MULTICAST_IF, b"\1") == -errno.EINVAL
        six = bench.open(6, 9)
        assert bench.put_option(six, linux.SOL_IPV6, linux.IPV6_MULTICAST_IF, (2).to_bytes(4, "little")) == 0
        assert bench.send(six, b"x", ("ff0e::1", 7)) == 1
        bench.turn()
        assert [len(bench.sent(place)) for place in range(2)] == [0, 1]


def test_every_socket_gets_its_copy() -> None:
    with GroupBench() as bench:
        numbers = [bench.open(4, 7, options=REUSE_ADDRESS) for _ in range(3)]
        for number in numbers:
            assert bench.join(number, GROUP[4]) == 0
        assert bench.told(4) == [[(TO_EXCLUDE, GROUP[4], NOBODY)]]
        assert bench.hear(to_group(4, GROUP[4], b"all")) == {"delivered": 1}
        assert [bench.receive(number) for number in numbers] == [(b"all", (PEER[4], 4000))] * 3
        bench.leave(numbers[0], GROUP[4])
        bench.put_option(numbers[0], 0, linux.IP_MULTICAST_ALL, bytes(4))
        bench.hear(to_group(4, GROUP[4], b"two"))
        assert bench.receive(numbers[0]) == -errno.EAGAIN
        assert bench.receive(numbers[1]) == (b"two", (PEER[4], 4000))


def test_broadcasts() -> None:
    with GroupBench() as bench:
        number = bench.open(4, 7, options=BROADCAST_ALLOWED)
        assert bench.send(number, b"x", ("255.255.255.255", 9)) == 1
        assert bench.send(number, b"x", ("192.0.2.255", 9)) == 1
        bench.turn()
        assert [j.Ether(frame).dst for frame in bench.sent()] == ["ff:ff:ff:ff:ff:ff"] * 2
        frame = incoming(4, 7, b"to all", dst="192.0.2.255")
        frame.dst = "ff:ff:ff:ff:ff:ff"
        assert bench.hear(frame) == {"delivered": 1}
        assert bench.receive(number) == (b"to all", (PEER[4], 4000))
        bound = bench.open(4)
        assert bench.bind(bound, OWN4[0], 8) == 0
        frame = incoming(4, 8, b"to all", dst="255.255.255.255")
        frame.dst = "ff:ff:ff:ff:ff:ff"
        assert bench.hear(frame) == {"no_listener": 1}, "bound to one address"
        assert bench.sent() == []


def test_members_on_other_workers_hear_too() -> None:
    with GroupBench(workers=2) as bench:
        number = bench.open(4, 7, worker=1)
        assert bench.join(number, GROUP[4], worker=1) == 0
        bench.put(to_group(4, GROUP[4], b"far"), worker=0)
        bench.turn()
        bench.turn()
        assert bench.receive(number, worker=1) == (b"far", (PEER[4], 4000))
        bench.wait(3)
        bench.sent()
        bench.put(query(4), worker=0)
        bench.wait(2, 0.1)
        assert reports(bench.sent(), 4) == [[(IS_EXCLUDE, GROUP[4], NOBODY)]]
