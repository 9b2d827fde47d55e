"""Hops and forwarding: what goes on to other hosts, and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from pronghorn.net.configure import change_mtu
from pronghorn.net.configure_routes import add_route
from pronghorn.state.worker import Worker
from tests.input.frames import ANY, LINK, both, ip, only, ping
from tests.support.feed import CLIENT, LOCAL, OWN, ROUTER, SERVICE, EngineBench, server_mac
from tests.wire import judges as j


@pytest.fixture(scope="module")
def router() -> Iterator[EngineBench]:
    """With forwarding on."""
    with EngineBench(forwarding=1) as bench:
        yield bench


# --- hops ---------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("ttl", [0, 1])
def test_a_balanced_packet_without_hops_is_reported(bench: EngineBench, family: int, ttl: int) -> None:
    syn = j.TCP(sport=1234, dport=80, flags="S")
    assert bench.hear(LINK / ip(family, dst=SERVICE[family], ttl=ttl) / syn) == {"ttl_expired": 1, "transmitted": 1}
    error = only(bench)
    kind = error[j.ICMP] if family == 4 else error[j.ICMPv6TimeExceeded]
    assert (kind.type, kind.code) == ((11, 0) if family == 4 else (3, 0))
    assert error.payload.dst == CLIENT[family]


@both
def test_a_balanced_packet_loses_a_hop(bench: EngineBench, family: int) -> None:
    syn = j.TCP(sport=1235, dport=80, flags="S")
    assert bench.hear(LINK / ip(family, dst=SERVICE[family], ttl=2) / syn) == {"transmitted": 1}
    frame = only(bench, 1)
    assert (frame.payload.ttl if family == 4 else frame.payload.hlim) == 1
    assert (frame.payload.src, frame[j.TCP].dport) == (LOCAL[family], 8080)


@both
def test_a_packet_for_us_needs_no_hops(bench: EngineBench, family: int) -> None:
    assert bench.hear(LINK / ip(family, ttl=1) / ping(family)) == {"transmitted": 1}


# --- forwarding ---------------------------------------------------------------------------------------------------


def inside(family: int, host: int = 80) -> str:
    return f"198.51.100.{host}" if family == 4 else f"2001:db8:2::{host}"


@both
def test_forwarding_off(bench: EngineBench, family: int) -> None:
    for layer in (ping(family), j.TCP(dport=80), j.UDP()):
        assert bench.hear(LINK / ip(family, dst=inside(family)) / layer) == {"not_for_us": 1}


@both
def test_forwarding_on(router: EngineBench, family: int) -> None:
    assert router.hear(LINK / ip(family, dst=inside(family), ttl=9) / ping(family)) == {"transmitted": 1}
    frame = only(router, 1)
    assert frame.dst == server_mac(80).to_bytes(6, "big").hex(":")
    assert frame.src == OWN[1]
    assert (frame.payload.ttl if family == 4 else frame.payload.hlim) == 8
    assert bytes(frame).endswith(b"hello")
    again = j.Ether(bytes(frame))
    if family == 4:
        del again[j.IP].chksum
    assert bytes(again) == bytes(frame)


@both
@pytest.mark.parametrize("ttl", [0, 1])
def test_forwarding_ends_where_the_hops_do(router: EngineBench, family: int, ttl: int) -> None:
    router.wait(10)
    frame = LINK / ip(family, dst=inside(family), ttl=ttl) / ping(family)
    assert router.hear(frame) == {"ttl_expired": 1, "transmitted": 1}
    assert only(router).payload.dst == CLIENT[family]


@both
def test_groups_and_link_local_addresses_are_not_forwarded(router: EngineBench, family: int) -> None:
    frame = j.Ether(src=ROUTER, dst=ANY) / ip(family, dst=inside(family)) / ping(family)
    assert router.hear(frame) == {"not_for_us": 1}
    if family == 6:
        for src, dst in (("fe80::1", inside(6)), (CLIENT[6], "fe80::99")):
            assert router.hear(LINK / ip(6, src=src, dst=dst) / ping(6)) == {"not_for_us": 1}
    assert router.sent(1) == []


@both
def test_forwarding_without_a_route(router: EngineBench, family: int) -> None:
    """Back to where it came from is a way like any other; none at all is reported."""
    far = "10.9.9.9" if family == 4 else "2001:db8:77::7"
    assert router.hear(LINK / ip(family, dst=far) / ping(family)) == {"transmitted": 1}
    assert only(router).payload.dst == far
    network = ip_network("10.9.8.0/24" if family == 4 else "2001:db8:78::/64")
    gateway = ip_address("198.51.100.200" if family == 4 else "2001:db8:2::200")
    router.everywhere(lambda worker: add_route(worker, network, 1, gateway))
    router.hear(LINK / ip(family, dst=str(network[7])) / ping(family))
    assert router.held() == 1  # nobody knows that router yet
    router.wait(6)
    assert router.held() == 0
    router.sent(0)
    router.sent(1)


@both
def test_long_packets_when_forwarding(router: EngineBench, family: int) -> None:
    router.wait(10)
    router.everywhere(lambda worker: narrow(worker, 1300))
    frame = LINK / ip(family, dst=inside(family), **({"flags": "DF"} if family == 4 else {})) / j.UDP() / bytes(1400)
    assert router.hear(frame) == {"too_big": 1, "transmitted": 1}
    error = only(router)
    assert (error[j.ICMP].nexthopmtu if family == 4 else error[j.ICMPv6PacketTooBig].mtu) == 1300
    if family == 4:
        frame[j.IP].flags = 0
        assert router.hear(frame) == {"transmitted": 2}
        assert sum(j.Ether(octets)[j.IP].len - 20 for octets in router.sent(1)) == 1408
    router.everywhere(lambda worker: narrow(worker, 1500))


def narrow(worker: Worker, mtu: int) -> None:
    change_mtu(worker, 1, mtu)
