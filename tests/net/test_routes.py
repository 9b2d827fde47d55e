"""Routes: the longest prefix wins, and what happens as routes and addresses come and go."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network
from random import Random

import pytest

from pronghorn.compiled import mode
from pronghorn.net.configure import add_address, remove_address
from pronghorn.net.configure_routes import NetError, add_route, halves, remove_route, replace_route
from pronghorn.net.create import Limits
from pronghorn.net.routes import route_find4, route_find6
from pronghorn.net.show import RouteRow, address_rows, route_rows
from tests.net.fixture import NetBench


def find(bench: NetBench, address: str) -> str:
    """Where packets to the address go, in the words of ip-route."""
    to = ip_address(address)
    hi, lo = halves(to)
    index = route_find4(bench.worker, int(to)) if to.version == 4 else route_find6(bench.worker, hi, lo)
    if index < 0:
        return "unreachable"
    route = bench.net.routes[index]
    row = next(r for r in route_rows(bench.worker) if halves(r.prefix.network_address) == (route.hi, route.lo)
               and r.prefix.max_prefixlen - r.prefix.prefixlen == 128 - route.length)  # fmt: skip
    return f"{row.prefix} via {row.via}" if row.via else f"{row.prefix} dev {row.interface}"


def test_the_longest_prefix_wins(bench: NetBench) -> None:
    add_route(bench.worker, ip_network("198.51.0.0/16"), 0, ip_address("192.0.2.253"))
    add_route(bench.worker, ip_network("2001:db8:2:1::/64"), 0, ip_address("2001:db8:1::fd"))
    assert find(bench, "192.0.2.77") == "192.0.2.0/24 dev 0"
    assert find(bench, "198.51.100.1") == "198.51.100.0/24 dev 1"
    assert find(bench, "198.51.101.1") == "198.51.0.0/16 via 192.0.2.253"
    assert find(bench, "8.8.8.8") == "0.0.0.0/0 via 192.0.2.254"
    assert find(bench, "255.0.0.1") == "0.0.0.0/0 via 192.0.2.254"
    assert find(bench, "2001:db8:2::5") == "2001:db8:2::/64 dev 1"
    assert find(bench, "2001:db8:2:1::5") == "2001:db8:2:1::/64 via 2001:db8:1::fd"
    assert find(bench, "fd00::1") == "::/0 via 2001:db8:1::fe"


def test_no_route(bench: NetBench) -> None:
    remove_route(bench.worker, ip_network("0.0.0.0/0"), 0, ip_address("192.0.2.254"))
    remove_route(bench.worker, ip_network("::/0"), 0, ip_address("2001:db8:1::fe"))
    assert find(bench, "8.8.8.8") == find(bench, "fd00::1") == "unreachable"
    assert find(bench, "192.0.2.77") == "192.0.2.0/24 dev 0"


def test_two_addresses_of_one_network(bench: NetBench) -> None:
    for address in ("192.0.2.2/24", "192.0.2.3/32"):
        add_address(bench.worker, 0, ip_interface(address))
    remove_address(bench.worker, 0, ip_interface("192.0.2.1/24"))
    assert find(bench, "192.0.2.77") == "192.0.2.0/24 dev 0"
    remove_address(bench.worker, 0, ip_interface("192.0.2.2/24"))
    assert find(bench, "192.0.2.77") == "0.0.0.0/0 via 192.0.2.254"


def test_a_route_beside_another_waits_for_its_turn(bench: NetBench) -> None:
    prefix = ip_network("203.0.113.0/24")
    gateways = [ip_address(f"192.0.2.{n}") for n in (11, 12, 13)]
    for gateway in gateways:
        add_route(bench.worker, prefix, 0, gateway)
    assert find(bench, "203.0.113.1").endswith("192.0.2.11")
    remove_route(bench.worker, prefix, 0, gateways[1])
    remove_route(bench.worker, prefix, 0, gateways[0])
    generation = bench.net.generation
    replace_route(bench.worker, prefix, 0, gateways[1])
    assert bench.net.generation != generation
    assert [row.via for row in route_rows(bench.worker) if row.prefix == prefix] == [gateways[1]]
    with pytest.raises(NetError, match="no such route"):
        remove_route(bench.worker, prefix, 0, gateways[0])


def test_every_change_changes_the_generation(bench: NetBench) -> None:
    seen = {bench.net.generation}
    prefix, gateway = ip_network("203.0.113.0/24"), ip_address("192.0.2.9")
    for change in (add_route, remove_route):
        change(bench.worker, prefix, 0, gateway)
        seen.add(bench.net.generation)
    for change_address in (add_address, remove_address):
        change_address(bench.worker, 1, ip_interface("203.0.113.80/32"))
        seen.add(bench.net.generation)
    assert len(seen) == 5


def test_what_cannot_be_a_route(bench: NetBench) -> None:
    prefix = ip_network("203.0.113.0/24")
    with pytest.raises(NetError, match="two different families"):
        add_route(bench.worker, prefix, 0, ip_address("2001:db8:1::9"))
    with pytest.raises(NetError, match="this engine itself"):
        add_route(bench.worker, prefix, 0, ip_address("192.0.2.1"))
    with pytest.raises(NetError, match="no interface 7"):
        add_route(bench.worker, prefix, 7)


def test_limits_are_errors_and_change_nothing() -> None:
    bench = NetBench(Limits(routes=8, neighbours=4, paths=4, addresses=7))
    before = list(route_rows(bench.worker))
    add_route(bench.worker, ip_network("10.1.0.0/16"), 0)
    add_route(bench.worker, ip_network("10.2.0.0/16"), 0)
    with pytest.raises(NetError, match="made for 8"):
        add_route(bench.worker, ip_network("10.3.0.0/16"), 0)
    with pytest.raises(NetError, match="made for 8"):
        add_address(bench.worker, 0, ip_interface("10.3.0.1/16"))
    assert [str(row.address) for row in address_rows(bench.worker)][-1] == "2001:db8:2::1/64"
    for prefix in ("10.1.0.0/16", "10.2.0.0/16"):
        remove_route(bench.worker, ip_network(prefix), 0)
    assert list(route_rows(bench.worker)) == before
    add_address(bench.worker, 0, ip_interface("10.3.0.1/32"))
    with pytest.raises(NetError, match="made for 7"):
        add_address(bench.worker, 0, ip_interface("10.3.0.2/32"))
    bench.close()


def test_rows(bench: NetBench) -> None:
    rows = list(route_rows(bench.worker))
    assert RouteRow(IPv4Network("192.0.2.0/24"), None, 0, "address") in rows
    assert RouteRow(IPv6Network("::/0"), ip_address("2001:db8:1::fe"), 0, "route") in rows
    assert [(str(row.address), row.interface) for row in address_rows(bench.worker)][:3] == [
        ("fe80::ff:fe00:10/64", 0),
        ("192.0.2.1/24", 0),
        ("2001:db8:1::1/64", 0),
    ]


def test_random_routes_against_a_plain_search(bench: NetBench) -> None:
    random = Random(5)
    known: set[IPv4Network] = {IPv4Network("192.0.2.0/24"), IPv4Network("198.51.100.0/24"), IPv4Network("0.0.0.0/0")}
    rounds = 60 if mode() == "interpreted" else 200
    for _ in range(rounds):
        length = random.randint(1, 30)
        prefix = IPv4Network((random.getrandbits(8) << 24 & -1 << (32 - length) & 0xFFFFFFFF, length))
        if prefix in known:
            if random.random() < 0.5 and prefix.prefixlen not in (0, 24):
                remove_route(bench.worker, prefix, 1)
                known.remove(prefix)
        else:
            add_route(bench.worker, prefix, 1)
            known.add(prefix)
        to = random.getrandbits(32)
        best = max((net for net in known if ip_address(to) in net), key=lambda net: net.prefixlen)
        route = bench.net.routes[route_find4(bench.worker, to)]
        assert (route.lo & 0xFFFFFFFF, route.length - 96) == (int(best.network_address), best.prefixlen)
