"""Resets: what RFC 9293 section 3.10.7.1 asks for, to whom, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pronghorn.net.rates import DESTINATION_BURST
from tests.support.feed import CLIENT, OWN, OWN4, OWN6, ROUTER, EngineBench
from tests.wire import judges as j

LINK = j.Ether(src=ROUTER, dst=OWN[0])
FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture
def bench() -> Iterator[EngineBench]:
    with EngineBench() as made:
        yield made
        made.drain()
        made.sent(0)
        made.sent(1)


def segment(family: int, flags: str, octets: int = 0, **fields: Any) -> Any:
    ip = j.IP(src=CLIENT[4], dst=OWN4[0]) if family == 4 else j.IPv6(src=CLIENT[6], dst=OWN6[0])
    return LINK / ip / j.TCP(sport=1234, dport=9, seq=1000, ack=77, flags=flags, **fields) / j.Raw(bytes(octets))


@FAMILIES
@pytest.mark.parametrize(
    ("flags", "octets", "answer"),
    [
        ("S", 0, (0, 1001, "RA")),
        ("S", 5, (0, 1006, "RA")),
        ("SF", 0, None),  # no segment that a stack sends: refused before
        ("F", 3, (0, 1004, "RA")),
        ("A", 0, (77, 0, "R")),
        ("PA", 100, (77, 0, "R")),
        ("SA", 0, (77, 0, "R")),
        ("FA", 0, (77, 0, "R")),
        ("R", 0, ()),
        ("RA", 0, ()),
    ],
)
def test_what_is_answered(
    bench: EngineBench, family: int, flags: str, octets: int, answer: tuple[Any, ...] | None
) -> None:
    found = bench.hear(segment(family, flags, octets, options=[("MSS", 1460)]))
    if answer is None:
        assert found == {"tcp_bad_flags": 1}
        return
    if not answer:
        assert found == {"no_listener": 1}
        return
    assert found == {"no_listener": 1, "transmitted": 1}
    [octets_sent] = bench.sent(0)
    reset = j.Ether(octets_sent)
    network = reset[j.IP] if family == 4 else reset[j.IPv6]
    assert (network.src, network.dst) == ((OWN4 if family == 4 else OWN6)[0], CLIENT[family])
    tcp = reset[j.TCP]
    assert (tcp.sport, tcp.dport, tcp.window, tcp.dataofs) == (9, 1234, 0, 5)
    assert (tcp.seq, tcp.ack, str(tcp.flags)) == answer
    wanted = tcp.chksum
    del tcp.chksum
    assert j.Ether(bytes(reset))[j.TCP].chksum == wanted


@FAMILIES
def test_a_wrong_checksum_is_not_answered(bench: EngineBench, family: int) -> None:
    assert bench.hear(segment(family, "S", chksum=1)) == {"tcp_bad_checksum": 1}


@FAMILIES
def test_one_sender_gets_few(bench: EngineBench, family: int) -> None:
    answered = [bench.hear(segment(family, "S")).get("transmitted", 0) for _ in range(4 * DESTINATION_BURST)]
    assert answered[:DESTINATION_BURST] == [1] * DESTINATION_BURST
    assert answered[DESTINATION_BURST:].count(1) <= 1


def test_groups_and_broadcast_are_not_answered(bench: EngineBench) -> None:
    everybody = j.Ether(src=ROUTER, dst="ff:ff:ff:ff:ff:ff")
    assert "transmitted" not in bench.hear(everybody / segment(4, "S").payload)
