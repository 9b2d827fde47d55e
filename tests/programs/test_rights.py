"""What a program may not send: every check with its verdict, floods, scribbled lanes, and programs that never read."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator
from typing import Any

import pytest

from pronghorn.engine.programs import Limits, ProgramError
from pronghorn.ports.driver import PortError
from pronghorn.ports.program_port import ProgramPort
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED
from tests.input.frames import both
from tests.programs.bench import Gateway
from tests.programs.test_paths import HERE, came, ip, said
from tests.support.feed import CLIENT, OWN4, OWN6
from tests.wire import judges as j


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as made:
        yield made


OTHERS = {4: (OWN4[1], "192.0.2.99", CLIENT[4]), 6: (OWN6[1], "2001:db8:1::99", CLIENT[6])}


@both
def test_a_foreign_source_address(gateway: Gateway, family: int) -> None:
    gateway.attach(1)
    for place, source in enumerate(OTHERS[family], 1):
        frame = said(family, j.UDP(sport=1001, dport=53), src=source, dst="192.0.2.7" if family == 4 else "2001:db8::7")
        assert gateway.tell(1, frame) == {"program_source": 1}
        assert gateway.facts(1).drops == {"program_source": place}
    assert gateway.sent(0) + gateway.sent(1) == []


@both
@pytest.mark.parametrize("layer4", [j.TCP, j.UDP])
def test_an_unclaimed_port(gateway: Gateway, family: int, layer4: Any) -> None:
    gateway.attach(1)
    gateway.attach(2)
    protocol = "tcp" if layer4 is j.TCP else "udp"
    assert gateway.claim(2, protocol, 80) == 0
    for port in (80, 2001, 999, 1100, 1):
        assert gateway.tell(1, said(family, layer4(sport=port, dport=53))) == {"program_port": 1}, port
    assert gateway.claim(1, "udp" if protocol == "tcp" else "tcp", 999) == 0
    assert gateway.tell(1, said(family, layer4(sport=999, dport=53))) == {"program_port": 1}, "the other protocol's"
    assert gateway.facts(1).flows == 0


def test_anothers_connection(gateway: Gateway) -> None:
    gateway.attach(1)
    gateway.attach(2)
    gateway.tell(1, said(4, j.TCP(sport=1001, dport=80, flags="S")))
    assert gateway.tell(2, said(4, j.TCP(sport=1001, dport=80, flags="R"))) == {"program_port": 1}


@both
def test_other_protocols(gateway: Gateway, family: int) -> None:
    gateway.attach(1)
    head = ip(family, HERE[family], CLIENT[family])
    if family == 4:
        head.proto = 47
    else:
        head.nh = 47
    assert gateway.tell(1, j.Ether() / head / j.Raw(bytes(30))) == {"program_protocol": 1}
    other = said(family, j.ICMPv6EchoRequest() if family == 4 else j.ICMP())
    if family == 4:
        other[j.IP].proto = 58
    assert gateway.tell(1, other) == {"program_protocol": 1}
    assert gateway.tell(1, j.Ether() / j.ARP(psrc=HERE[4])) == {"unknown_ethertype": 1}


@both
def test_messages_about_nothing_of_its_own(gateway: Gateway, family: int) -> None:
    gateway.attach(1)
    gateway.attach(2)
    gateway.claim(1, "udp", 53)
    gateway.claim(2, "udp", 54)

    def error(port: int) -> Any:
        quoted = bytes(ip(family, CLIENT[family], HERE[family]) / j.UDP(sport=9, dport=port))
        return said(family, (j.ICMP(type=3, code=3) if family == 4 else j.ICMPv6DestUnreach(code=4)) / j.Raw(quoted))

    assert gateway.tell(1, error(53)) == {"transmitted": 1}
    assert gateway.tell(1, error(54)) == {"program_icmp": 1}
    echo: Any = (j.ICMP(id=2001), j.ICMP(type=0, id=1001), j.ICMP(type=5, id=1001))
    if family == 6:
        echo = (j.ICMPv6EchoRequest(id=2001), j.ICMPv6EchoReply(id=1001), j.ICMPv6ND_NA())
    for message in echo:
        assert gateway.tell(1, said(family, message)) == {"program_icmp": 1}, message.summary()
    assert gateway.tell(1, error(99)) == {"program_icmp": 1}


@both
def test_shapes(gateway: Gateway, family: int) -> None:
    gateway.attach(1)
    good = bytes(said(family, j.UDP(sport=1001, dport=53) / b"hello"))
    network = 14 + (20 if family == 4 else 40)
    assert gateway.tell(1, good[:20]) != {"transmitted": 1}
    assert gateway.tell(1, good[: network + 4]) != {"transmitted": 1}
    assert gateway.tell(1, good[:12] + b"\x08\x06" + good[14:]) == {"unknown_ethertype": 1}
    assert gateway.tell(1, said(family, j.TCP(sport=1001, dport=1, flags=0))) != {"transmitted": 1}
    assert gateway.tell(1, said(family, j.UDP(sport=1001) / bytes(1600))) == {"ethernet_oversize": 1}
    assert gateway.sent(0) == []


def test_marks(gateway: Gateway) -> None:
    gateway.attach(1)
    segment = said(4, j.TCP(sport=1001, dport=80, flags="A") / j.Raw(bytes(1000)))
    echo = said(4, j.ICMP(id=1001))
    both_marks = CHECKSUM_PARTIAL | UNSEGMENTED
    for frame, flags, gso in (
        (echo, CHECKSUM_PARTIAL, 0),
        (echo, both_marks, 100),
        (segment, UNSEGMENTED, 100),
        (segment, both_marks, 7),
    ):
        assert gateway.tell(1, frame, flags=flags, gso=gso) == {"program_marks": 1}
    assert gateway.tell(1, segment, flags=both_marks, gso=100).get("program_marks") is None


def test_groups_and_everybody(gateway: Gateway) -> None:
    gateway.attach(1)
    for dst in ("224.0.0.251", "255.255.255.255", "192.0.2.255"):
        gateway.tell(1, said(4, j.UDP(sport=1001, dport=53), dst=dst))
    gateway.tell(1, said(6, j.UDP(sport=1001, dport=53), dst="ff02::fb"))
    assert gateway.sent(0) == []


@pytest.mark.parametrize("limits", [Limits(packets=1000), Limits(octets=128_000)])
def test_rates(gateway: Gateway, limits: Limits) -> None:
    """A tenth of a second's worth at once, then the rate; another program is not slowed down."""
    gateway.attach(1, limits=limits)
    gateway.attach(2)
    frame = said(4, j.UDP(sport=1001, dport=53) / bytes(100))
    sent = gateway.tell(1, *[frame] * 64)["transmitted"] + gateway.tell(1, *[frame] * 128).get("transmitted", 0)
    assert 98 <= sent <= 110
    assert gateway.facts(1).drops["program_rate"] == 192 - sent
    assert gateway.tell(2, said(4, j.UDP(sport=2001, dport=53)))["transmitted"] == 1
    gateway.turn(0.05)
    sent = gateway.tell(1, *[frame] * 64 * 2)["transmitted"]
    assert 48 <= sent <= 56


def test_a_flood_takes_its_turn(gateway: Gateway) -> None:
    """A burst of each port in a turn: who sends a lot does not keep who sends little from being heard."""
    gateway.attach(1)
    gateway.attach(2)
    one, other = gateway.guests[1], gateway.guests[2]
    one.say(*[said(4, j.UDP(sport=9, dport=53))] * 250)
    other.say(said(4, j.UDP(sport=2001, dport=53)))
    gateway.turn()
    assert gateway.facts(2).packets_in == 1
    assert gateway.facts(1).drops == {"program_port": 64}
    for _ in range(4):
        gateway.turn()
    assert gateway.facts(1).drops == {"program_port": 250}


def test_a_program_that_never_reads(gateway: Gateway) -> None:
    gateway.attach(1)
    other = gateway.attach(2)
    gateway.claim(1, "udp", 53)
    gateway.claim(2, "udp", 54)
    free = gateway.engine.free_packets()
    for _ in range(15):
        for _ in range(50):
            gateway.put(came(4, j.UDP(sport=9, dport=53)))
        gateway.turn()
    facts = gateway.facts(1)
    assert facts.full == gateway.counts()["transmit_full"] == 750 - 512
    assert gateway.engine.free_packets() == free
    assert gateway.hear(came(4, j.UDP(sport=9, dport=54))) == {"transmitted": 1}
    assert len(other.hears()) == 1
    assert len(gateway.guests[1].hears()) == 512, "it was stopped for a while"
    assert gateway.hear(came(4, j.UDP(sport=9, dport=53))) == {"transmitted": 1}


@pytest.mark.parametrize("seed", range(6))
def test_scribbled_lanes(gateway: Gateway, seed: int) -> None:
    """Whatever is in the memory, the gateway goes on and others are served."""
    draw = random.Random(seed)
    one, other = gateway.attach(1), gateway.attach(2)
    gateway.claim(1, "udp", 53)
    gateway.claim(2, "udp", 54)
    driver = one.driver(0)
    assert isinstance(driver, ProgramPort)
    memory = driver._memory
    assert memory is not None
    for _ in range(30):
        for _ in range(50):
            half = memory.octets // 2
            at = draw.choice((draw.randrange(5000), draw.randrange(memory.octets - 8), half + draw.randrange(5000)))
            ctypes.memmove(memory.address + at, draw.randbytes(8), 8)
        one.say(said(4, j.UDP(sport=1001, dport=53)))
        gateway.hear(came(4, j.UDP(sport=9, dport=53)))
        gateway.hear(came(4, j.UDP(sport=9, dport=54)))
        gateway.turn()
    assert gateway.facts(2).packets_out == 30
    assert len(other.hears()) == 30
    gateway.check()


def test_memory_that_can_be_shortened_is_refused(gateway: Gateway) -> None:
    with pytest.raises(PortError, match="sealed"):
        gateway.attach(1, seal=False)
    assert gateway.programs.programs() == []
    gateway.attach(1)


def test_what_cannot_be_attached(gateway: Gateway) -> None:
    gateway.attach(1)
    for number in (1, 8, -1):
        with pytest.raises(ProgramError):
            gateway.attach(number)
    gateway.leave(1)
    gateway.attach(1)


def test_nothing_comes_unasked(gateway: Gateway) -> None:
    one = gateway.attach(1)
    for _ in range(50):
        gateway.turn(1)
        assert one.hears() == []
