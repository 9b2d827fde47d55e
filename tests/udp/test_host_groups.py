"""Groups of a whole host: what several workers want is reported once, and the groups of its addresses are too."""

from __future__ import annotations

from ipaddress import IPv6Interface, ip_address

import pytest

from pronghorn.net.configure import add_address, remove_address
from pronghorn.net.group_nodes import nodes_report
from pronghorn.net.groups import GROUPS, groups_of
from pronghorn.net.state import net_of
from pronghorn.state import linux
from pronghorn.state.endpoints import REUSE_ADDRESS
from tests.support.feed import OWN, OWN6
from tests.udp.group_frames import (
    ALLOW,
    BLOCK,
    FIRST,
    GROUP,
    IS_EXCLUDE,
    SECOND,
    TO_EXCLUDE,
    TO_INCLUDE,
    query,
    reports,
)
from tests.udp.test_groups import NOBODY, GroupBench


@pytest.mark.parametrize("family", [4, 6])
def test_what_all_workers_want_is_reported_once(family: int) -> None:
    """RFC 3376 3.2: the host's filter is made of all memberships, wherever they are; worker 0 reports it."""
    with GroupBench(workers=3) as bench:
        numbers = [bench.open(family, 7, worker=index) for index in range(3)]
        group = GROUP[family]
        include = linux.MCAST_JOIN_SOURCE_GROUP
        assert bench.group(numbers[1], include, group, FIRST[family], worker=1) == 0
        bench.wait(3)
        assert reports(bench.sent(), family)[0] == [(ALLOW, group, frozenset({FIRST[family]}))]
        assert bench.group(numbers[2], include, group, SECOND[family], worker=2) == 0
        bench.wait(3)
        assert reports(bench.sent(), family)[0] == [(ALLOW, group, frozenset({SECOND[family]}))]
        assert bench.join(numbers[0], group, worker=0) == 0
        bench.wait(3)
        assert reports(bench.sent(), family) == [[(TO_EXCLUDE, group, NOBODY)]] * 2
        assert bench.close_socket(numbers[2], worker=2) == 0
        bench.wait(3)
        assert bench.sent() == [], "nothing has changed for the router"
        bench.put(query(family), worker=1)
        bench.wait(2, 0.1)
        assert reports(bench.sent(), family) == [[(IS_EXCLUDE, group, NOBODY)]], "one answer for the host"
        assert bench.close_socket(numbers[0], worker=0) == 0
        bench.wait(3)
        assert reports(bench.sent(), family)[0] == [(TO_INCLUDE, group, frozenset({FIRST[family]}))]
        assert bench.close_socket(numbers[1], worker=1) == 0
        bench.wait(3)
        assert reports(bench.sent(), family)[0] == [(BLOCK, group, frozenset({FIRST[family]}))]
        for index in range(3):
            groups = groups_of(net_of(bench.worker(index)))
            assert (groups.count, sum(groups.shares[place].used for place in range(groups.share_fresh))) == (0, 0)


def test_shares_of_other_workers_run_out_of_groups() -> None:
    """More groups than worker 0 can keep: the rest is not reported, and all are forgotten when they are left."""
    with GroupBench(workers=2) as bench:
        numbers = [bench.open(4, 7, worker=1, options=REUSE_ADDRESS) for _ in range(5)]
        for place in range(GROUPS - 1):
            assert bench.join(numbers[place // 60], f"239.1.{place >> 8}.{place & 255}", worker=1) == 0
        assert bench.join(bench.open(4, 8), "239.2.0.1") == 0
        assert bench.join(bench.open(4, 9), "239.2.0.2") == 0
        bench.wait(8, 0.1)
        assert groups_of(net_of(bench.worker(0))).count == GROUPS
        for number in numbers:
            assert bench.close_socket(number, worker=1) == 0
        bench.wait(8, 0.1)
        assert groups_of(net_of(bench.worker(0))).count == 2


def test_solicited_node_groups() -> None:
    """RFC 4861 7.2.1: reported for every address, those that end alike once, and left with the last of them."""
    with GroupBench() as bench:
        worker = bench.worker()
        nodes_report(worker)
        bench.wait(3)
        first = {record[1] for report in reports(messages(bench), 6) for record in report}
        octets = bytes.fromhex(OWN[0].replace(":", ""))
        link_local = f"ff02::1:ff{octets[3]:02x}:{int.from_bytes(octets[4:], 'big'):x}"
        assert {solicited(OWN6[0]), str(ip_address(link_local))} <= first
        for text in ("2001:db8:77::aabb:ccdd/64", "2001:db8:78::11bb:ccdd/64"):
            add_address(worker, 0, IPv6Interface(text))
        bench.wait(3)
        told = reports(messages(bench), 6)
        assert told == [[(TO_EXCLUDE, "ff02::1:ffbb:ccdd", NOBODY)]] * 2
        remove_address(worker, 0, IPv6Interface("2001:db8:77::aabb:ccdd/64"))
        bench.wait(3)
        assert messages(bench) == []
        remove_address(worker, 0, IPv6Interface("2001:db8:78::11bb:ccdd/64"))
        bench.wait(3)
        assert reports(messages(bench), 6) == [[(TO_INCLUDE, "ff02::1:ffbb:ccdd", NOBODY)]] * 2


def solicited(text: str) -> str:
    """The group of an address."""
    return str(ip_address(int(ip_address("ff02::1:ff00:0")) | int(ip_address(text)) & 0xFF_FFFF))


def messages(bench: GroupBench) -> list[bytes]:
    """What was sent about groups, announcements of addresses aside."""
    return [frame for frame in bench.sent() if frame[20] == 0]
