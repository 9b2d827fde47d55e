"""ICMP errors about balanced packets, whole turns of an engine: scapy writes them and judges what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest

from pronghorn.balancer.configure import Outer, add_local_address, add_server, add_service
from pronghorn.balancer.show import next_conn
from pronghorn.balancer.tables import UDP_OPEN, Balancer
from pronghorn.net.configure import add_address, remove_address
from pronghorn.net.path_mtu import path_mtu_find
from pronghorn.net.rates import ECHO_BURST
from pronghorn.net.state import MAPPED
from tests.support.feed import CLIENT, LOCAL, OWN, OWN4, OWN6, ROUTER, SERVICE, EngineBench
from tests.wire import judges as j

SERVER = {4: "198.51.100.80", 6: "2001:db8:2::80"}
REPORTER = {4: "100.64.9.9", 6: "2001:db8:99::9"}
INSIDE = {4: "198.51.100.83", 6: "2001:db8:2::83"}
PORTS = {"full-nat": 80, "nat": 81, "direct": 82}
SERVER_PORT = {"full-nat": 8080, "nat": 8081, "direct": 82}
FAMILIES = pytest.mark.parametrize("family", [4, 6])
PROTOCOLS = pytest.mark.parametrize("protocol", ["tcp", "udp"])
REWRITING = pytest.mark.parametrize("method", ["full-nat", "nat"])
PAYLOAD = b"what was asked, at some length"


def serve(bench: EngineBench, methods: tuple[str, ...] = ("full-nat", "nat")) -> None:
    def add(worker: Any) -> None:
        balancer = Balancer(worker.balancer)
        for family in (4, 6):
            add_local_address(balancer, ip_address(LOCAL[family]))
            for protocol in ("tcp", "udp"):
                for method in methods:
                    number = add_service(balancer, protocol, ip_address(SERVICE[family]), PORTS[method], "rr")
                    add_server(balancer, number, ip_address(SERVER[family]), SERVER_PORT[method], method=method)

    bench.everywhere(add)


@pytest.fixture(scope="module")
def shared() -> Iterator[EngineBench]:
    with EngineBench(large_packets=4, conns=256) as bench:
        serve(bench)
        yield bench


@pytest.fixture
def bench(shared: EngineBench) -> Iterator[EngineBench]:
    yield shared
    shared.drain()
    shared.sent(0)
    shared.sent(1)


def ip(family: int, src: str, dst: str, **fields: Any) -> Any:
    return j.IP(src=src, dst=dst, **fields) if family == 4 else j.IPv6(src=src, dst=dst, **fields)


def layer4(protocol: str, sport: int, dport: int, **fields: Any) -> Any:
    if protocol == "tcp":
        return j.TCP(sport=sport, dport=dport, **{"flags": "S", "seq": 12345, **fields})
    return j.UDP(sport=sport, dport=dport)


def signed(word: int) -> int:
    """A 64-bit word as compiled code has it."""
    return word - (word >> 63 << 64)


def link(port: int = 0) -> Any:
    return j.Ether(src=ROUTER, dst=OWN[port])


def error(family: int, src: str, quoted: bytes, kind: str = "unreachable", port: int = 0, **fields: Any) -> Any:
    """An error from `src` to the source of what is quoted."""
    inner = parse(family, quoted)
    message: Any
    if family == 4:
        message = {
            "unreachable": j.ICMP(type=3, code=3),
            "expired": j.ICMP(type=11, code=0),
            "problem": j.ICMP(type=12, code=0, ptr=8),
            "too-big": j.ICMP(type=3, code=4, nexthopmtu=1300),
        }[kind]
    else:
        message = {
            "unreachable": j.ICMPv6DestUnreach(code=4),
            "expired": j.ICMPv6TimeExceeded(code=0),
            "problem": j.ICMPv6ParamProblem(code=0, ptr=8),
            "too-big": j.ICMPv6PacketTooBig(mtu=1300),
        }[kind]
    return link(port) / ip(family, src, inner.src, **fields) / message / j.Raw(quoted)


def asked(bench: EngineBench, family: int, protocol: str, method: str, sport: int = 40000) -> tuple[bytes, bytes]:
    """A client's packet goes to the server; what the client sent and what the server got, from layer 3 on."""
    request = ip(family, CLIENT[family], SERVICE[family]) / layer4(protocol, sport, PORTS[method]) / PAYLOAD
    assert bench.hear(link() / request) == {"transmitted": 1}
    [got] = bench.sent(1)
    return bytes(request), got[14:]


def answered(bench: EngineBench, family: int, protocol: str, method: str) -> tuple[bytes, bytes]:
    """A reply of the server; what it sent and what its client got."""
    _, got = asked(bench, family, protocol, method)
    request = parse(family, got)
    ports = layer4(protocol, request.payload.dport, request.payload.sport, flags="SA", ack=12346)
    reply = ip(family, request.dst, request.src) / ports / PAYLOAD
    assert bench.hear(link(1) / reply, port=1) == {"transmitted": 1}
    [got] = bench.sent(0)
    return bytes(reply), got[14:]


def parse(family: int, octets: bytes) -> Any:
    return j.IP(octets) if family == 4 else j.IPv6(octets)


def hop_less(family: int, octets: bytes) -> bytes:
    """The same packet with one hop less, its header checksum right."""
    packet = parse(family, octets)
    if family == 6:
        packet.hlim -= 1
        return bytes(packet)
    packet.ttl -= 1
    del packet.chksum
    return bytes(packet)


def opened(family: int, frame: bytes) -> tuple[Any, bytes]:
    """An error as scapy reads it, its checksums right: (IP header, what it quotes)."""
    outer = parse(family, frame[14:])
    message = bytes(outer.payload)
    pseudo = b""
    if family == 4:
        assert j.scapy_checksum(frame[14:34]) == 0
    else:
        pseudo = frame[22:54] + len(message).to_bytes(4, "big") + bytes((0, 0, 0, 58))
    assert j.scapy_checksum(pseudo + message) == 0
    return outer, message[8:]


@FAMILIES
@PROTOCOLS
@REWRITING
@pytest.mark.parametrize("kind", ["unreachable", "expired", "problem", "too-big"])
def test_an_error_from_the_servers_side_reaches_the_client(
    bench: EngineBench, family: int, protocol: str, method: str, kind: str
) -> None:
    """It quotes what the client sent, one hop older, and comes from the service."""
    sent, got = asked(bench, family, protocol, method)
    report = error(family, INSIDE[family], got, kind, port=1)
    assert bench.hear(report, port=1) == {"transmitted": 1}
    [frame] = bench.sent(0)
    outer, quoted = opened(family, frame)
    assert (outer.src, outer.dst) == (SERVICE[family], CLIENT[family])
    assert (outer.ttl if family == 4 else outer.hlim) == 63
    assert quoted == hop_less(family, sent)
    message = report[j.IP if family == 4 else j.IPv6].payload
    assert (bytes(outer.payload)[:2], bytes(outer.payload)[4:8]) == (bytes(message)[:2], bytes(message)[4:8])


@FAMILIES
@PROTOCOLS
@REWRITING
def test_an_error_from_the_clients_side_reaches_the_server(
    bench: EngineBench, family: int, protocol: str, method: str
) -> None:
    """It quotes what the server sent; with NAT it comes from its reporter."""
    sent, got = answered(bench, family, protocol, method)
    assert bench.hear(error(family, REPORTER[family], got)) == {"transmitted": 1}
    [frame] = bench.sent(1)
    outer, quoted = opened(family, frame)
    source = LOCAL if method == "full-nat" else REPORTER
    assert (outer.src, outer.dst) == (source[family], SERVER[family])
    assert quoted == hop_less(family, sent)


@FAMILIES
@PROTOCOLS
def test_with_direct_routing_an_error_goes_to_the_server_as_it_came(family: int, protocol: str) -> None:
    with EngineBench() as bench:
        serve(bench, ("direct",))
        asked(bench, family, protocol, "direct")
        reply = ip(family, SERVICE[family], CLIENT[family]) / layer4(protocol, PORTS["direct"], 40000)
        report = error(family, REPORTER[family], bytes(reply))
        assert bench.hear(report) == {"transmitted": 1}
        [frame] = bench.sent(1)
        assert frame[14:] == hop_less(family, bytes(report)[14:])


@FAMILIES
@pytest.mark.parametrize("method", ["tunnel-ipip", "tunnel-gre", "tunnel-gue"])
def test_an_error_goes_through_the_tunnel_of_its_server(family: int, method: str) -> None:
    """Behind the outer header it is as it came; checksums of that cover it."""

    def add(worker: Any) -> None:
        number = add_service(Balancer(worker.balancer), "udp", ip_address(SERVICE[family]), 80, "rr")
        asks = Outer(checksum=method != "tunnel-ipip")
        add_server(Balancer(worker.balancer), number, ip_address(SERVER[family]), 80, method=method, outer=asks)

    with EngineBench() as bench:
        bench.everywhere(add)
        sent = link() / ip(family, CLIENT[family], SERVICE[family]) / layer4("udp", 40000, 80)
        assert bench.hear(sent) == {"transmitted": 1}
        bench.sent(1)
        reply = ip(family, SERVICE[family], CLIENT[family]) / layer4("udp", 80, 40000)
        report = error(family, REPORTER[family], bytes(reply))
        assert bench.hear(report) == {"transmitted": 1}
        [frame] = bench.sent(1)
        inner = hop_less(family, bytes(report)[14:])
        assert frame.endswith(inner)
        body = frame[34 if family == 4 else 54 :]
        if method == "tunnel-gre":
            assert (len(body), j.scapy_checksum(body)) == (8 + len(inner), 0)
        if method == "tunnel-gue":
            pseudo = (
                (frame[26:34] if family == 4 else frame[22:54]) + len(body).to_bytes(4, "big") + bytes((0, 0, 0, 17))
            )
            assert j.scapy_checksum(pseudo + body) == 0


@FAMILIES
@PROTOCOLS
@pytest.mark.parametrize("octets", [8, 17, 18])
def test_eight_octets_of_layer_4_are_enough(bench: EngineBench, family: int, protocol: str, octets: int) -> None:
    """The quoted checksum changes where it is quoted whole."""
    sent, got = asked(bench, family, protocol, "full-nat")
    size = octets + (20 if family == 4 else 40)
    assert bench.hear(error(family, SERVER[family], got[:size], port=1), port=1) == {"transmitted": 1}
    [frame] = bench.sent(0)
    _, quoted = opened(family, frame)
    wanted, at = hop_less(family, sent)[:size], size - octets + 16
    if protocol == "tcp" and octets < 18:
        wanted = wanted[:at] + got[at:size]
    assert quoted == wanted


@FAMILIES
@pytest.mark.parametrize("octets", [0, 4, 7])
def test_a_quote_without_ports_has_a_verdict_of_its_own(bench: EngineBench, family: int, octets: int) -> None:
    """A first fragment without ports, a later one, and a packet cut short: none is passed on."""
    own, name = (OWN4, "icmp") if family == 4 else (OWN6, "icmpv6")
    short = bytes(ip(family, own[1], SERVER[family]) / layer4("udp", 2000, 8080))
    size = octets + (20 if family == 4 else 40)
    assert bench.hear(error(family, SERVER[family], short[:size], port=1), port=1) == {f"{name}_quote_truncated": 1}
    if family == 4:
        later = bytes(j.IP(src=own[1], dst=SERVER[4], frag=1, proto=17) / bytes(16))
    else:
        later = bytes(j.IPv6(src=own[1], dst=SERVER[6]) / j.IPv6ExtHdrFragment(offset=1, m=1, nh=17) / bytes(16))
    assert bench.hear(error(family, SERVER[family], later, port=1), port=1) == {f"{name}_quote_fragment": 1}


@FAMILIES
def test_options_and_extension_headers_are_passed_over(bench: EngineBench, family: int) -> None:
    sent, got = asked(bench, family, "udp", "full-nat")
    header = 20 if family == 4 else 40
    if family == 4:
        wide = parse(4, got)
        wide.options = [j.Raw(b"\x94\4\0\0")]  # router alert
        del wide.chksum, wide.ihl, wide.len
        quoted, extra = bytes(wide), 4
    else:
        extension = bytes(j.IPv6ExtHdrDestOpt(nh=17))
        first = bytes(j.IPv6ExtHdrFragment(nh=60, offset=0, m=1, id=7))
        head = bytearray(got[:40])
        head[6] = 44
        quoted, extra = bytes(head) + first + extension + got[40:], 16
    assert bench.hear(error(family, SERVER[family], quoted, port=1), port=1) == {"transmitted": 1}
    [frame] = bench.sent(0)
    _, result = opened(family, frame)
    assert result[header + extra :] == sent[header:]
    assert result[header : header + extra] == quoted[header : header + extra]
    inner = parse(family, result)
    assert (inner.src, inner.dst) == (CLIENT[family], SERVICE[family])
    if family == 4:
        again = parse(4, result)
        del again.chksum
        assert bytes(again) == result


def test_no_checksum_stays_none(bench: EngineBench) -> None:
    _, got = asked(bench, 4, "udp", "full-nat")
    quoted = got[:26] + b"\0\0" + got[28:]
    assert bench.hear(error(4, SERVER[4], quoted, port=1), port=1) == {"transmitted": 1}
    [frame] = bench.sent(0)
    assert opened(4, frame)[1][26:28] == b"\0\0"


@FAMILIES
def test_what_is_refused(bench: EngineBench, family: int) -> None:
    """Wrong checksum; no hop left; to another address than it quotes; of another kind; a quote of nobody's packet."""
    _, got = asked(bench, family, "tcp", "full-nat")
    good = error(family, SERVER[family], got, port=1)
    wrong = bytearray(bytes(good))
    wrong[-1] ^= 1
    name = "icmp_bad_checksum" if family == 4 else "icmpv6_bad_checksum"
    assert bench.hear(bytes(wrong), port=1) == {name: 1}
    hops: dict[str, Any] = {"ttl": 1} if family == 4 else {"hlim": 1}
    last = error(family, SERVER[family], got, port=1, **hops)
    assert bench.hear(last, port=1) == {"ttl_expired": 1}
    stray = error(family, SERVER[family], got, port=1)
    stray[j.IP if family == 4 else j.IPv6].dst = (OWN4 if family == 4 else OWN6)[1]
    assert bench.hear(bytes(stray), port=1) == {"icmp_ignored": 1}
    other = error(family, SERVER[family], got, port=1)
    if family == 4:
        other[j.ICMP].type = 5  # redirect
        assert bench.hear(bytes(other), port=1) == {"not_for_us": 1}
    foreign = bytes(ip(family, LOCAL[family], SERVER[family]) / layer4("tcp", 1, 2))
    assert bench.hear(error(family, SERVER[family], foreign, port=1), port=1) == {"not_for_us": 1}
    assert bench.sent(0) == []


@FAMILIES
def test_an_error_ends_no_connection_and_keeps_none(family: int) -> None:
    with EngineBench() as bench:
        serve(bench, ("full-nat",))
        _, got = asked(bench, family, "udp", "full-nat")
        balancer = Balancer(bench.engine.workers[0].balancer)
        bench.turn(5)
        assert bench.hear(error(family, SERVER[family], got, port=1), port=1) == {"transmitted": 1}
        number = next_conn(balancer, 0)
        conn, record = balancer.conns[number], balancer.records[number]
        assert (record.state, conn.packets[0], conn.packets[1]) == (UDP_OPEN, 1, 0)
        assert conn.seen == record.created


@FAMILIES
def test_the_gateway_believes_a_path_mtu_too(bench: EngineBench, family: int) -> None:
    """About what full NAT sent to a server: the service's and local addresses are those of the host."""
    worker = bench.engine.workers[0]
    own = f"{LOCAL[family]}/{32 if family == 4 else 128}"
    add_address(worker, 1, ip_interface(own))
    request = ip(family, CLIENT[family], SERVICE[family], **({"flags": "DF"} if family == 4 else {}))
    bench.hear(link() / request / layer4("udp", 40000, 80) / bytes(1400))
    got = bench.sent(1)[-1][14:]
    report = error(family, INSIDE[family], got[:1200], "too-big", port=1)
    assert bench.hear(report, port=1).get("transmitted") == 1
    address = int(ip_address(SERVER[family]))
    hi, lo = (0, MAPPED | address) if family == 4 else (address >> 64, address & (1 << 64) - 1)
    assert path_mtu_find(worker, signed(hi), signed(lo)) == 1300
    remove_address(worker, 1, ip_interface(own))


def test_errors_pass_a_rate_limit(bench: EngineBench) -> None:
    _, got = asked(bench, 4, "udp", "full-nat")
    report = bytes(error(4, SERVER[4], got, port=1))
    for _ in range(ECHO_BURST // 20 + 2):
        for _ in range(20):
            bench.put(report, port=1)
        bench.turn(0)
    assert bench.counts()["icmp_rate_limited"] == 40
    assert bench.hear(report, port=1) == {"transmitted": 1}, "a millisecond later"


# --- several workers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["full-nat", "nat", "direct"])
def test_an_error_finds_the_worker_of_its_connection(method: str) -> None:
    """Whichever worker hears it."""
    with EngineBench(workers=3) as bench:
        serve(bench, (method,))
        for family in (4, 6):
            for sport in range(2000, 2006):
                request = ip(family, CLIENT[family], SERVICE[family]) / layer4("udp", sport, PORTS[method]) / PAYLOAD
                bench.put(link() / request, worker=sport % 3)
            settle(bench)
            arrived = [frame[14:] for frame in bench.sent(1)]
            assert len(arrived) == 6
            for place, got in enumerate(arrived):
                if method != "direct":
                    bench.put(error(family, SERVER[family], got, port=1), port=1, worker=place % 3)
                reply = ip(family, SERVICE[family], CLIENT[family]) / layer4("udp", PORTS[method], 2000 + place)
                bench.put(error(family, REPORTER[family], bytes(reply)), worker=(place + 1) % 3)
            settle(bench)
            back = [opened(family, frame) for frame in bench.sent(0)]
            ports = [j.UDP(bytes(parse(family, quoted).payload)).sport for _, quoted in back]
            assert sorted(ports) == ([] if method == "direct" else list(range(2000, 2006)))
            assert len(bench.sent(1)) == 6


def settle(bench: EngineBench) -> None:
    for _ in range(3):
        bench.turn()
