"""What leaves: headers as the options say, checksums, pieces, segmentation offload, and a port without room."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from pronghorn.net.path_mtu import path_mtu_add
from pronghorn.net.state import MAPPED, net_of
from pronghorn.state import linux
from pronghorn.state.endpoints import WRITABLE
from pronghorn.state.port import CHECKSUM_TX, SEGMENTATION, TRANSMIT_BURST
from pronghorn.udp.endpoint import NO_CHECK, NO_CHECK6_TX
from tests.udp.bench import UdpBench
from tests.udp.frames import PEER, incoming, outgoing
from tests.wire import judges as j


def sent(bench: UdpBench) -> list[Any]:
    bench.turn()
    return [j.Ether(frame) for frame in bench.sent()]


def test_headers_as_the_options_say() -> None:
    with UdpBench() as bench:
        number, six = bench.open(4, 7), bench.open(6, 7)
        one = bench.endpoint(number)
        one.tos, one.ttl = 0xB8, 3
        two = bench.endpoint(six)
        two.traffic_class, two.hops = 0xB8, 3
        bench.send(number, b"x", (PEER[4], 9))
        bench.send(six, b"x", (PEER[6], 9))
        first, second = sent(bench)
        assert (first[j.IP].tos, first[j.IP].ttl, first[j.IP].flags) == (0xB8, 3, "DF")
        assert (second[j.IPv6].tc, second[j.IPv6].hlim) == (0xB8, 3)
        one.ttl = two.hops = 0
        bench.send(number, b"x", (PEER[4], 9))
        bench.send(six, b"x", (PEER[6], 9))
        first, second = sent(bench)
        assert first[j.IP].ttl == second[j.IPv6].hlim == 64


DISCOVERY = [
    (linux.IP_PMTUDISC_WANT, 1000, "DF"),
    (linux.IP_PMTUDISC_WANT, 1400, "pieces"),
    (linux.IP_PMTUDISC_DONT, 1000, ""),
    (linux.IP_PMTUDISC_DONT, 1400, "pieces"),
    (linux.IP_PMTUDISC_DO, 1000, "DF"),
    (linux.IP_PMTUDISC_DO, 1400, "EMSGSIZE"),
    (linux.IP_PMTUDISC_PROBE, 1400, "DF"),
    (linux.IP_PMTUDISC_PROBE, 1600, "EMSGSIZE"),
    (linux.IP_PMTUDISC_INTERFACE, 1400, ""),
    (linux.IP_PMTUDISC_OMIT, 1600, "pieces"),
]


@pytest.mark.parametrize("family", [4, 6])
def test_path_mtu_discovery(family: int) -> None:
    """The path takes 1300 octets, the interface 1500."""
    with UdpBench(large_packets=2) as bench:
        number = bench.open(family, 7)
        path_mtu_add(bench.worker(), *((0, MAPPED | 0x6440004D) if family == 4 else (0x20010DB800090000, 0x77)), 1300)
        for discover, size, expected in DISCOVERY:
            bench.endpoint(number).discover = bench.endpoint(number).discover6 = discover
            done = bench.send(number, bytes(size), (PEER[family], 9))
            frames = sent(bench)
            assert done == (-errno.EMSGSIZE if expected == "EMSGSIZE" else size), (discover, size)
            assert len(frames) == {"EMSGSIZE": 0, "pieces": 2}.get(expected, 1), (discover, size)
            if family == 4 and expected in ("DF", ""):
                assert frames[0][j.IP].flags == expected, (discover, size)


def test_no_checksum() -> None:
    with UdpBench() as bench:
        number, six = bench.open(4, 7), bench.open(6, 7)
        bench.endpoint(number).flags |= NO_CHECK
        bench.send(number, b"x", (PEER[4], 9))
        bench.send(six, b"x", (PEER[6], 9))
        bench.endpoint(six).flags |= NO_CHECK6_TX
        bench.send(six, b"x", (PEER[6], 9))
        assert [frame[j.UDP].chksum == 0 for frame in sent(bench)] == [True, False, True]


def test_a_sum_of_zero_is_sent_as_ffff() -> None:
    with UdpBench() as bench:
        number = bench.open(4, 7)
        bench.send(number, b"\0\0", (PEER[4], 9))
        (frame,) = sent(bench)
        bench.send(number, frame[j.UDP].chksum.to_bytes(2, "big"), (PEER[4], 9))
        (frame,) = sent(bench)
        assert frame[j.UDP].chksum == 0xFFFF


@pytest.mark.parametrize("family", [4, 6])
def test_a_port_that_sums(family: int) -> None:
    with UdpBench(large_packets=2) as bench:
        bench.engine.ports[0].offloads = CHECKSUM_TX
        number = bench.open(family, 7)
        bench.send(number, b"hello", (PEER[family], 9))
        (frame,) = sent(bench)
        right = j.Ether(bytes(frame))
        right[j.UDP].chksum = None
        right = j.Ether(bytes(right))
        assert frame[j.UDP].chksum != right[j.UDP].chksum
        octets = bytes(frame[j.UDP])
        assert j.scapy_checksum(octets[:6] + frame[j.UDP].chksum.to_bytes(2, "big") + octets[8:]) == right[j.UDP].chksum
        bench.send(number, bytes(3000), (PEER[family], 9))
        assert len(sent(bench)) == 3, "pieces are summed here"


def test_segmentation_offload() -> None:
    with UdpBench(large_packets=2) as bench:
        number = bench.open(4, 7)
        bench.endpoint(number).segment = 1400
        octets = bytes(range(250)) * 28  # five times 1400
        bench.engine.ports[0].offloads = CHECKSUM_TX | SEGMENTATION
        assert bench.send(number, octets, (PEER[4], 9)) == 7000
        (frame,) = sent(bench)
        assert bytes(frame[j.UDP].payload) == octets
        assert bench.send(number, octets[:1000], (PEER[4], 9)) == 1000
        (frame,) = sent(bench)
        assert bytes(frame[j.UDP].payload) == octets[:1000]
        bench.engine.ports[0].offloads = 0
        assert bench.send(number, octets[:3000], (PEER[4], 9)) == 3000
        bench.turn()
        datagrams = [outgoing(frame)[4] for frame in bench.sent()]
        assert [len(one) for one in datagrams] == [1400, 1400, 200]
        assert b"".join(datagrams) == octets[:3000]
        bench.endpoint(number).segment = 1473
        assert bench.send(number, octets, (PEER[4], 9)) == -errno.EINVAL
        bench.endpoint(number).segment = 10
        assert bench.send(number, octets, (PEER[4], 9)) == -errno.EINVAL, "too many segments"


def test_a_train_is_taken_apart() -> None:
    with UdpBench(large_packets=2) as bench:
        number = bench.open(4, 7)
        octets = bytes(range(250)) * 10
        for coalesced in (False, True):
            bench.put_train(incoming(4, 7, octets), 1000)
            bench.turn()
            if not coalesced:
                got = [bench.receive(number)[0] for _ in range(3)]  # type: ignore[index]
                assert got == [octets[:1000], octets[1000:2000], octets[2000:]]
                values = bench.parts([1])
                assert bench.option(number, linux.SOL_UDP, linux.UDP_GRO, values.address + 8) == 0
        assert bench.receive(number) == (octets, (PEER[4], 4000))
        assert bench.udp().taken.segment == 1000


def test_a_port_without_room() -> None:
    with UdpBench() as bench:
        number = bench.open(4, 7)
        for _ in range(TRANSMIT_BURST):
            assert bench.send(number, b"x", (PEER[4], 9)) == 1
        assert bench.send(number, b"x", (PEER[4], 9)) == -errno.EAGAIN
        assert bench.events(number) == 0
        assert bench.counter("SndbufErrors") == 1
        bench.turn()
        assert bench.events(number) == WRITABLE
        assert bench.send(number, b"x", (PEER[4], 9)) == 1
        for _ in range(TRANSMIT_BURST):
            done = bench.send(number, b"x", (PEER[4], 9))
        assert done == -errno.EAGAIN
        assert bench.close_socket(number) == 0


def test_no_packets_left() -> None:
    with UdpBench(packets=64) as bench:
        number = bench.open(4, 7)
        done = [bench.send(number, b"x", (PEER[4], 9)) for _ in range(70)]
        assert -errno.ENOBUFS in done
        assert bench.send(number, bytes(3000), (PEER[4], 9)) == -errno.ENOBUFS, "no large ones at all"


def test_an_unknown_neighbour_is_asked_for() -> None:
    with UdpBench() as bench:
        number = bench.open(4, 7)
        assert bench.send(number, b"wait", ("192.0.2.9", 9)) == 4
        (frame,) = sent(bench)
        assert frame[j.ARP].pdst == "192.0.2.9"
        reply = j.ARP(op=2, psrc="192.0.2.9", hwsrc="02:00:00:00:00:99", pdst="192.0.2.1", hwdst=frame.src)
        bench.hear(j.Ether(src="02:00:00:00:00:99", dst=frame.src) / reply)
        (frame,) = sent(bench)
        assert (frame.dst, bytes(frame[j.UDP].payload)) == ("02:00:00:00:00:99", b"wait")
        assert net_of(bench.worker()).incomplete == 0


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [4, 6])
def test_bad_input_27_checksums_and_lengths(family: int) -> None:
    with UdpBench() as bench:
        number = bench.open(family, 7)
        for field, value, verdict in (
            ("chksum", 1, "udp_bad_checksum"),
            ("len", 9, "udp_bad_length"),
            ("len", 7, "udp_bad_length"),
            ("len", 0, "udp_bad_length"),
            ("len", 200, "udp_bad_length"),
        ):
            frame = incoming(family, 7, b"payload")
            setattr(frame[j.UDP], field, value)
            assert bench.hear(frame) == {verdict: 1}
        frame = incoming(family, 7, b"payload")
        frame[j.UDP].chksum = 0
        assert bench.hear(frame) == ({"delivered": 1} if family == 4 else {"udp_no_checksum": 1})
        assert bench.endpoint(number).waiting == (1 if family == 4 else 0)
