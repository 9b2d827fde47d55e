"""SCTP through the balancer, whole turns of an engine: scapy writes chunks and judges checksums."""

from __future__ import annotations

import shutil
import subprocess
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from scapy.utils import wrpcap

from pronghorn.balancer.configure import ConfigureError, Outer, add_local_address, add_server, add_service
from pronghorn.balancer.sctp_state import next_sctp_state
from pronghorn.balancer.show import connections, next_conn
from pronghorn.balancer.tables import (
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    FIN_WAIT,
    LAST_ACK,
    REPLY,
    REQUEST,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    Balancer,
)
from pronghorn.state.packet import CHECKSUM_PARTIAL
from pronghorn.wire import sctp
from tests.support.feed import CLIENT, LOCAL, OWN, ROUTER, SERVICE, EngineBench
from tests.wire import judges as j

SERVER = {4: "198.51.100.80", 6: "2001:db8:2::80"}
FAMILIES = pytest.mark.parametrize("family", [4, 6])
INIT = j.SCTPChunkInit(init_tag=7, a_rwnd=9999, n_out_streams=2, n_in_streams=2, init_tsn=1)
INIT_ACK = j.SCTPChunkInitAck(init_tag=9, a_rwnd=9999, n_out_streams=2, n_in_streams=2, init_tsn=5)
ECHO, ECHO_ACK = j.SCTPChunkCookieEcho(cookie=b"cookie"), j.SCTPChunkCookieAck()
DATA = j.SCTPChunkData(data=b"some data", tsn=1)
DOWN, DOWN_ACK, DOWN_COMPLETE = j.SCTPChunkShutdown(), j.SCTPChunkShutdownAck(), j.SCTPChunkShutdownComplete()


def serve(bench: EngineBench, method: str) -> None:
    def add(worker: Any) -> None:
        balancer = Balancer(worker.balancer)
        for family in (4, 6):
            add_local_address(balancer, ip_address(LOCAL[family]))
            number = add_service(balancer, "sctp", ip_address(SERVICE[family]), 80, "rr")
            add_server(balancer, number, ip_address(SERVER[family]), 80 if method == "direct" else 8080, method=method)

    bench.everywhere(add)


def packet(family: int, src: tuple[str, int], dst: tuple[str, int], *chunks: Any, port: int = 0, hops: int = 64) -> Any:
    ends: dict[str, Any] = {"src": src[0], "dst": dst[0]}
    ip = j.IP(**ends, ttl=hops) if family == 4 else j.IPv6(**ends, hlim=hops)
    made = j.Ether(src=ROUTER, dst=OWN[port]) / ip
    made /= j.SCTP(sport=src[1], dport=dst[1], tag=0 if chunks[0].type == 1 else 77)
    for chunk in chunks:
        made /= chunk
    return made


def request(family: int, *chunks: Any, sport: int = 40000) -> Any:
    return packet(family, (CLIENT[family], sport), (SERVICE[family], 80), *chunks)


def seen(family: int, frame: bytes) -> tuple[tuple[str, int], tuple[str, int], bytes]:
    """Both ends and all chunks; checksums are those that scapy computes."""
    got, again = j.Ether(frame), j.Ether(frame)
    del again[j.SCTP].chksum
    if family == 4:
        del again[j.IP].chksum
    assert bytes(again) == frame, "a checksum is wrong"
    ip = got[j.IP if family == 4 else j.IPv6]
    return (ip.src, got[j.SCTP].sport), (ip.dst, got[j.SCTP].dport), bytes(got[j.SCTP].payload)


def state(bench: EngineBench) -> int:
    balancer = Balancer(bench.engine.workers[0].balancer)
    return balancer.records[next_conn(balancer, 0)].state


@FAMILIES
@pytest.mark.parametrize("method", ["full-nat", "nat"])
def test_an_association_from_init_to_shutdown_complete(family: int, method: str) -> None:
    with EngineBench() as bench:
        serve(bench, method)
        source = ("", 0)
        steps: tuple[tuple[int, tuple[Any, ...], int], ...] = (
            (REQUEST, (INIT,), SYN_SENT),
            (REPLY, (INIT_ACK,), SYN_RECEIVED),
            (REQUEST, (ECHO, DATA), SYN_RECEIVED),
            (REPLY, (ECHO_ACK, DATA), ESTABLISHED),
            (REQUEST, (DATA,), ESTABLISHED),
            (REPLY, (DOWN,), CLOSE_WAIT),
            (REQUEST, (DOWN_ACK,), LAST_ACK),
            (REPLY, (DOWN_COMPLETE,), TIME_WAIT),
        )
        for direction, chunks, expected in steps:
            if direction == REQUEST:
                sent = request(family, *chunks)
                assert bench.hear(sent) == {"transmitted": 1}
                source, destination, octets = seen(family, bench.sent(1)[0])
                assert destination == (SERVER[family], 8080)
                assert source == (CLIENT[family], 40000) or source[0] == LOCAL[family]
            else:
                sent = packet(family, (SERVER[family], 8080), source, *chunks, port=1)
                assert bench.hear(sent, port=1) == {"transmitted": 1}
                back, destination, octets = seen(family, bench.sent(0)[0])
                assert (back, destination) == ((SERVICE[family], 80), (CLIENT[family], 40000))
            assert octets == bytes(sent[j.SCTP].payload)
            assert state(bench) == expected
        assert bench.hear(request(family, INIT)) == {"transmitted": 1}
        assert state(bench) == SYN_SENT, "a new association in its place"
        worker = bench.engine.workers[0]
        [row] = connections(Balancer(worker.balancer), worker, 0, 9)[0]
        assert row.protocol == "sctp"


@FAMILIES
def test_direct_routing_leaves_the_packet_as_it_came(family: int) -> None:
    with EngineBench() as bench:
        serve(bench, "direct")
        for chunks, expected in (((INIT,), SYN_RECEIVED), ((ECHO,), ESTABLISHED), ((DOWN,), FIN_WAIT)):
            sent = request(family, *chunks)
            assert bench.hear(sent) == {"transmitted": 1}
            [frame] = bench.sent(1)
            assert seen(family, frame)[:2] == ((CLIENT[family], 40000), (SERVICE[family], 80))
            assert frame[-len(bytes(sent[j.SCTP])) :] == bytes(sent[j.SCTP])
            assert state(bench) == expected
        assert bench.hear(request(family, j.SCTPChunkAbort())) == {"transmitted": 1}
        assert state(bench) == CLOSED


@FAMILIES
def test_a_wrong_checksum_stays_wrong_by_as_much(family: int) -> None:
    with EngineBench() as bench:
        serve(bench, "full-nat")
        sent = bytearray(bytes(request(family, INIT)))
        at = 14 + (20 if family == 4 else 40) + 8
        sent[at] ^= 0x40
        assert bench.hear(bytes(sent)) == {"transmitted": 1}
        frame = bytearray(bench.sent(1)[0])
        frame[at] ^= 0x40
        seen(family, bytes(frame))


@FAMILIES
def test_a_checksum_that_is_not_finished_is_finished(family: int) -> None:
    with EngineBench() as bench:
        serve(bench, "full-nat")
        sent = bytearray(bytes(request(family, INIT)))
        at = 14 + (20 if family == 4 else 40) + 8
        sent[at : at + 4] = b"\x12\x34\0\0"
        assert bench.hear(bytes(sent), flags=CHECKSUM_PARTIAL) == {"transmitted": 1}
        seen(family, bench.sent(1)[0])


@FAMILIES
def test_what_opens_nothing(family: int) -> None:
    with EngineBench() as bench:
        serve(bench, "full-nat")
        assert bench.hear(request(family, DATA)) == {"no_conn": 1}
        assert bench.hear(request(family, j.SCTPChunkAbort())) == {"no_conn": 1}
        last = packet(family, (CLIENT[family], 1), (SERVICE[family], 80), INIT, hops=1)
        assert bench.hear(last).get("ttl_expired") == 1
        other = packet(family, (CLIENT[family], 1), (SERVICE[family], 81), INIT)
        assert bench.hear(other) == {"not_for_us": 1}


@FAMILIES
@pytest.mark.parametrize("side", ["servers", "clients"])
def test_an_error_about_an_association_finds_its_way(family: int, side: str) -> None:
    with EngineBench() as bench:
        serve(bench, "full-nat")
        sent = bytes(request(family, INIT))[14:]
        assert bench.hear(request(family, INIT)) == {"transmitted": 1}
        got = bench.sent(1)[0][14:]
        header = 20 if family == 4 else 40
        local = int.from_bytes(got[header : header + 2], "big")
        port = 1 if side == "servers" else 0
        if side == "clients":
            reply = packet(family, (SERVER[family], 8080), (LOCAL[family], local), INIT_ACK, port=1)
            assert bench.hear(reply, port=1) == {"transmitted": 1}
            sent, got = bytes(reply)[14:], bench.sent(0)[0][14:]
        inner = j.IP(got) if family == 4 else j.IPv6(got)
        kind = j.ICMP(type=3, code=2) if family == 4 else j.ICMPv6DestUnreach(code=3)
        ip = j.IP(src=inner.dst, dst=inner.src) if family == 4 else j.IPv6(src=inner.dst, dst=inner.src)
        report = j.Ether(src=ROUTER, dst=OWN[port]) / ip / kind / j.Raw(got[: header + 8])
        assert bench.hear(report, port=port) == {"transmitted": 1}
        quoted = bench.sent(1 - port)[0][14 + header + 8 :]
        assert quoted[header : header + 8] == sent[header : header + 8]
        assert quoted[12 if family == 4 else 8 : header] == sent[12 if family == 4 else 8 : header]


def test_an_association_belongs_to_one_of_several_workers() -> None:
    with EngineBench(workers=3) as bench:
        serve(bench, "full-nat")
        for sport in range(2000, 2006):
            bench.put(request(4, INIT, sport=sport), worker=sport % 3)
        settle(bench)
        arrived = [seen(4, frame)[0] for frame in bench.sent(1)]
        assert len(arrived) == 6
        for place, source in enumerate(arrived):
            bench.put(packet(4, (SERVER[4], 8080), source, INIT_ACK, port=1), port=1, worker=place % 3)
        settle(bench)
        assert sorted(seen(4, frame)[1][1] for frame in bench.sent(0)) == list(range(2000, 2006))


@FAMILIES
@pytest.mark.parametrize("method", ["tunnel-gre", "tunnel-gue"])
def test_a_tunnels_checksum_covers_it(family: int, method: str) -> None:
    def add(worker: Any) -> None:
        number = add_service(Balancer(worker.balancer), "sctp", ip_address(SERVICE[family]), 80, "rr")
        server = ip_address(SERVER[family])
        add_server(Balancer(worker.balancer), number, server, 80, method=method, outer=Outer(checksum=True))

    with EngineBench() as bench:
        bench.everywhere(add)
        sent = request(family, INIT)
        assert bench.hear(sent) == {"transmitted": 1}
        [frame] = bench.sent(1)
        assert frame.endswith(bytes(sent[j.SCTP]))
        body = frame[34 if family == 4 else 54 :]
        pseudo = b""
        if method == "tunnel-gue":
            pseudo = (
                (frame[26:34] if family == 4 else frame[22:54]) + len(body).to_bytes(4, "big") + bytes((0, 0, 0, 17))
            )
        assert j.scapy_checksum(pseudo + body) == 0
        assert state(bench) == SYN_RECEIVED


def test_no_translation_of_sctp() -> None:
    with EngineBench() as bench:
        balancer = Balancer(bench.engine.workers[0].balancer)
        number = add_service(balancer, "sctp", ip_address(SERVICE[4]), 80, "rr")
        with pytest.raises(ConfigureError, match="not translated"):
            add_server(balancer, number, ip_address(SERVER[6]), 80)


def test_states_that_forgers_would_like() -> None:
    """An INIT changes no open association; nothing but time ends one that was closed in good order."""
    everything = 0xFFFF & ~(1 << sctp.ABORT | 1 << sctp.SHUTDOWN_COMPLETE | 1 << sctp.SHUTDOWN_ACK | 1 << sctp.SHUTDOWN)
    for direction in (REQUEST, REPLY):
        assert next_sctp_state(ESTABLISHED, direction, everything, False) == ESTABLISHED
        assert next_sctp_state(TIME_WAIT, direction, 0xFFFF, False) == TIME_WAIT
    assert next_sctp_state(SYN_RECEIVED, REQUEST, 1 << sctp.COOKIE_ECHO, False) == SYN_RECEIVED
    assert next_sctp_state(FIN_WAIT, REPLY, 1 << sctp.SHUTDOWN_ACK, False) == LAST_ACK


def settle(bench: EngineBench) -> None:
    for _ in range(3):
        bench.turn()


@pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark")
def test_tshark_finds_every_checksum_good(tmp_path: Path) -> None:
    """Of associations, and of errors about them with all that is quoted."""
    frames = []
    with EngineBench() as bench:
        serve(bench, "full-nat")
        for family in (4, 6):
            for chunks in ((INIT,), (ECHO, DATA), (DATA,)):
                assert bench.hear(request(family, *chunks)) == {"transmitted": 1}
            made = bench.sent(1)
            inner = j.IP(made[0][14:]) if family == 4 else j.IPv6(made[0][14:])
            kind = j.ICMP(type=3, code=2) if family == 4 else j.ICMPv6DestUnreach(code=3)
            ip = j.IP(src=inner.dst, dst=inner.src) if family == 4 else j.IPv6(src=inner.dst, dst=inner.src)
            report = j.Ether(src=ROUTER, dst=OWN[1]) / ip / kind / j.Raw(bytes(inner))
            assert bench.hear(report, port=1) == {"transmitted": 1}
            frames += made + bench.sent(0)
    path = tmp_path / "sent.pcap"
    wrpcap(str(path), [j.Ether(frame) for frame in frames])
    fields = ["ip.checksum.status", "icmp.checksum.status", "icmpv6.checksum.status", "sctp.checksum.status"]
    command = ["tshark", "-r", str(path), "-o", "sctp.checksum:CRC 32c", "-o", "ip.check_checksum:TRUE", "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    ip4, quoted4, ip6, quoted6 = "1\t\t\t1", "1,1\t1\t\t", "\t\t\t1", "\t\t1\t"
    lines = done.stdout.splitlines()
    assert lines[:3] == [ip4] * 3
    assert lines[4:7] == [ip6] * 3
    assert lines[3].startswith(quoted4), lines
    assert lines[7].startswith(quoted6), lines
