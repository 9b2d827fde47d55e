"""Interfaces and addresses come and go, and the data plane follows."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_interface, ip_network

import pytest
from scapy.layers.inet import IP, UDP

from pronghorn.net.addresses import (
    in_prefix,
    is_broadcast4,
    is_local4,
    is_local6,
    is_member4,
    is_member6,
    source4,
    source6,
)
from pronghorn.net.configure import add_address, add_interface, change_mtu, eui64, remove_address, remove_interface
from pronghorn.net.configure_routes import NetError, add_neighbour, address_of, halves
from pronghorn.net.create import Limits, create_net
from pronghorn.net.show import NeighbourRow, address_rows, neighbour_rows, route_rows
from pronghorn.net.state import LINK_LOCAL_HI
from pronghorn.wire.text import format_ip6, parse_ip4, parse_ip6, parse_mac
from tests.net.fixture import NetBench, reply
from tests.support.worker import WorkerBench


def local(bench: NetBench, address: str) -> bool:
    if ":" in address:
        return is_local6(bench.worker, *parse_ip6(address))
    return is_local4(bench.worker, parse_ip4(address))


def test_what_is_ours(bench: NetBench) -> None:
    for address in ("192.0.2.1", "198.51.100.1", "2001:db8:1::1", "2001:db8:2::1", "fe80::ff:fe00:10"):
        assert local(bench, address)
    for address in ("192.0.2.2", "0.0.0.0", "192.0.2.255", "2001:db8:1::2", "::", "fe80::1", "::ffff:192.0.2.1"):
        assert not local(bench, address) or address == "::ffff:192.0.2.1"


def test_link_local_addresses_follow_from_the_hardware_address() -> None:
    """RFC 4291 appendix A."""
    assert format_ip6(LINK_LOCAL_HI, eui64(parse_mac("34:56:78:9a:bc:de"))) == "fe80::3656:78ff:fe9a:bcde"
    assert format_ip6(LINK_LOCAL_HI, eui64(parse_mac("02:00:00:00:00:10"))) == "fe80::ff:fe00:10"


def test_an_address_comes_and_goes(bench: NetBench) -> None:
    before = list(address_rows(bench.worker)), list(route_rows(bench.worker))
    for text in ("203.0.113.80/32", "203.0.113.81/28", "2001:db8:80::80/128", "2001:db8:81::81/64", "100.64.0.1/32"):
        address = ip_interface(text)
        add_address(bench.worker, 1, address)
        assert local(bench, str(address.ip))
        assert address in [row.address for row in address_rows(bench.worker)]
        remove_address(bench.worker, 1, address)
        assert not local(bench, str(address.ip))
    assert (list(address_rows(bench.worker)), list(route_rows(bench.worker))) == before


def test_an_address_that_is_added_twice_is_removed_twice(bench: NetBench) -> None:
    """A service's address may be one of the port's."""
    service = ip_interface("203.0.113.80/32")
    add_address(bench.worker, 0, service)
    add_address(bench.worker, 0, service)
    remove_address(bench.worker, 0, service)
    assert local(bench, "203.0.113.80")
    remove_address(bench.worker, 0, service)
    assert not local(bench, "203.0.113.80")
    with pytest.raises(NetError, match="not an address of the interface"):
        remove_address(bench.worker, 0, service)


def test_what_cannot_be_an_address(bench: NetBench) -> None:
    for text in ("224.0.0.1/32", "0.0.0.0/0", "127.0.0.1/8", "240.0.0.1/32", "ff02::1/128", "::/128", "::1/128"):
        with pytest.raises(NetError, match="cannot be an address"):
            add_address(bench.worker, 0, ip_interface(text))
    with pytest.raises(NetError, match="another interface"):
        add_address(bench.worker, 1, ip_interface("192.0.2.1/32"))
    with pytest.raises(NetError, match="another prefix length"):
        add_address(bench.worker, 0, ip_interface("192.0.2.1/25"))
    with pytest.raises(NetError, match="no interface 5"):
        add_address(bench.worker, 5, ip_interface("192.0.2.9/25"))


def test_an_address_that_was_a_neighbours(bench: NetBench) -> None:
    """It becomes ours; what waited for the neighbour ends."""
    assert bench.send(IP(src="203.0.113.1", dst="192.0.2.7") / UDP()) == "held"
    add_address(bench.worker, 0, ip_interface("192.0.2.7/24"))
    assert bench.worker.held == 0
    assert bench.count("neighbour_failed") == 1
    assert bench.state("192.0.2.7") == "none"
    assert bench.hear(reply("192.0.2.7")) == "arp_own_address"


def test_an_interface_comes_and_goes(bench: NetBench) -> None:
    bench.send(IP(src="203.0.113.1", dst="192.0.2.7") / UDP())
    bench.send(IP(src="203.0.113.1", dst="198.51.100.7") / UDP())
    generation = bench.net.generation
    remove_interface(bench.worker, 0)
    assert bench.net.generation != generation
    assert {row.interface for row in route_rows(bench.worker)} == {1}
    assert {row.interface for row in address_rows(bench.worker)} == {1}
    assert {row.interface for row in neighbour_rows(bench.worker)} == {1}
    assert bench.worker.held == 1
    assert bench.hear(reply("192.0.2.7")) == "arp_not_for_us"
    assert not local(bench, "192.0.2.1")
    with pytest.raises(NetError, match="no interface 0"):
        remove_interface(bench.worker, 0)
    assert add_interface(bench.worker, 0) == 0
    with pytest.raises(NetError, match="has an interface already"):
        add_interface(bench.worker, 0)
    assert next(str(row.address) for row in address_rows(bench.worker)) == "fe80::ff:fe00:10/64"


def test_the_mtu_reaches_known_neighbours(bench: NetBench) -> None:
    bench.meet("192.0.2.7")
    change_mtu(bench.worker, 0, 1400)
    bench.meet("192.0.2.8")
    assert bench.neighbour("192.0.2.7").mtu == bench.neighbour("192.0.2.8").mtu == 1400


def test_neighbour_rows(bench: NetBench) -> None:
    bench.meet("192.0.2.7")
    add_neighbour(bench.worker, 1, ip_address("2001:db8:2::9"), 0x02_00_00_00_00_BB)
    bench.send(IP(src="203.0.113.1", dst="192.0.2.9") / UDP())
    bench.pass_time(2)
    assert list(neighbour_rows(bench.worker)) == [
        NeighbourRow(IPv4Address("192.0.2.7"), 0x02_00_00_00_00_AA, "reachable", 0, 2.0, 0),
        NeighbourRow(ip_address("2001:db8:2::9"), 0x02_00_00_00_00_BB, "permanent", 1, None, 0),
        NeighbourRow(IPv4Address("192.0.2.9"), None, "incomplete", 0, None, 1),
    ]


def test_groups_and_broadcasts(bench: NetBench) -> None:
    assert is_member4(parse_ip4("224.0.0.1"))
    assert is_member4(parse_ip4("255.255.255.255"))
    assert not is_member4(parse_ip4("224.0.0.251"))
    for address, member in (("ff02::1", True), ("ff02::1:ff12:3456", True), ("ff02::2", False), ("ff05::1", False)):
        assert is_member6(*parse_ip6(address)) == member
    assert is_broadcast4(bench.worker, 0, parse_ip4("192.0.2.255"))
    assert not is_broadcast4(bench.worker, 1, parse_ip4("192.0.2.255"))
    assert not is_broadcast4(bench.worker, 0, parse_ip4("192.0.2.254"))
    add_address(bench.worker, 0, ip_interface("10.0.0.1/32"))
    add_address(bench.worker, 0, ip_interface("10.0.1.1/31"))
    assert not is_broadcast4(bench.worker, 0, parse_ip4("10.0.0.1"))
    assert not is_broadcast4(bench.worker, 0, parse_ip4("10.0.1.1"))


def test_the_address_to_speak_from(bench: NetBench) -> None:
    add_address(bench.worker, 0, ip_interface("10.0.0.1/8"))
    assert source4(bench.worker, 0, parse_ip4("10.9.9.9")) == parse_ip4("10.0.0.1")
    assert source4(bench.worker, 0, parse_ip4("8.8.8.8")) == parse_ip4("192.0.2.1")
    add_address(bench.worker, 0, ip_interface("fd00::1/64"))
    for towards, own in (
        ("fd00::5", "fd00::1"),
        ("2001:4860::1", "2001:db8:1::1"),
        ("fe80::5", "fe80::ff:fe00:10"),
        ("ff02::1", "fe80::ff:fe00:10"),
    ):
        assert format_ip6(*source6(bench.worker, 0, *parse_ip6(towards))) == own


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 96, 127, 128])
def test_in_prefix(length: int) -> None:
    network = ip_network(("2001:db8:5555:aaaa:f0f0:3333:cccc:1", length), strict=False)
    for number in (0, 1, 1 << 127, *(int(network.network_address) ^ 1 << bit for bit in range(128))):
        address = ip_address(number.to_bytes(16, "big"))
        assert in_prefix(*halves(address), *halves(network.network_address), length) == (address in network)
        assert address_of(*halves(address)) == address or address.packed[:12] == bytes(10) + b"\xff\xff"


def test_wrong_limits() -> None:
    bench = WorkerBench()
    with pytest.raises(ValueError, match="paths = 100"):
        create_net(bench.arena, bench.worker, Limits(paths=100))
    bench.close()


def test_a_fresh_room_knows_nothing() -> None:
    """Every look-up in empty tables finds nothing."""
    bench = WorkerBench()
    create_net(bench.arena, bench.worker, Limits(neighbours=8))
    assert not is_local4(bench.worker, parse_ip4("192.0.2.1"))
    assert not is_local6(bench.worker, *parse_ip6("fe80::1"))
    assert list(neighbour_rows(bench.worker)) == []
    with pytest.raises(NetError, match="made for 256"):
        add_interface(bench.worker, 256)
    bench.close()
