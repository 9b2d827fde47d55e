"""The border of a program's link: mutated frames with any marks, and lanes whose memory is written over.

Whatever a program does, packets are accounted for, the program beside it is served, and nothing leaves the gateway that
the program may not say. Everything random comes from the round's number.
"""

from __future__ import annotations

import ctypes
from random import Random
from typing import Any

import pytest

from pronghorn.compiled import mode
from pronghorn.ports.program_port import ProgramPort
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED
from tests.programs.bench import Gateway
from tests.programs.test_paths import HERE, came, ip, said
from tests.support.feed import CLIENT, OWN
from tests.wire import judges as j

TURNS = 24 if mode() == "interpreted" else 100
EACH = 8
VALUES = (0, 1, 4, 5, 6, 14, 17, 20, 40, 44, 58, 63, 64, 127, 128, 191, 192, 255)


def seeds() -> list[bytes]:
    """Good frames of a program."""
    found: list[Any] = []
    for family in (4, 6):
        quoted = bytes(ip(family, CLIENT[family], HERE[family]) / j.UDP(sport=9, dport=53))
        error = j.ICMP(type=3, code=3) if family == 4 else j.ICMPv6DestUnreach(code=4)
        found += [
            said(family, j.UDP(sport=53, dport=9) / bytes(30)),
            said(family, j.TCP(sport=80, dport=9, flags="PA") / bytes(900)),
            said(family, j.TCP(sport=1001, dport=80, flags="S", options=[("MSS", 1460)])),
            said(family, j.TCP(sport=1001, dport=81, flags="S"), dst=HERE[family]),
            said(family, j.ICMP(id=1001) if family == 4 else j.ICMPv6EchoRequest(id=1001)),
            said(family, error / j.Raw(quoted)),
        ]
    found.append(j.Ether() / j.IPv6(src=HERE[6], dst=CLIENT[6]) / j.IPv6ExtHdrFragment(id=7, m=1) / j.Raw(bytes(64)))
    found.append(j.Ether() / j.IP(src=HERE[4], dst=CLIENT[4], flags=1, id=7, proto=17) / j.Raw(bytes(64)))
    return [bytes(frame) for frame in found]


def mutated(draw: Random, seed: bytes) -> bytes:
    octets = bytearray(seed)
    for _ in range(draw.randrange(4)):
        place = draw.randrange(len(octets)) if draw.random() < 0.3 else draw.randrange(12, min(len(octets), 80))
        octets[place] = draw.choice(VALUES) if draw.random() < 0.7 else draw.randrange(256)
    if draw.random() < 0.1:
        del octets[draw.randrange(1, len(octets)) :]
    return bytes(octets)


def may_leave(frame: bytes) -> bool:
    """Whether what left the gateway comes from an address and a port of the two programs, or is its own to say."""
    packet: Any = j.Ether(frame)
    if j.ARP in packet or j.ICMPv6ND_NS in packet:  # the gateway asks for a neighbour
        return packet.src in OWN
    if packet.payload.src not in HERE.values():
        return False
    if packet.payload.name == "IP" and packet.payload.frag:
        return True
    layer4 = packet.payload.payload
    sport = layer4.sport if layer4.name in ("TCP", "UDP") else 53
    return sport in (53, 54, 80, 81) or 1000 <= int(sport) <= 1099


@pytest.mark.parametrize("number", [1, 2])
def test_mutated_frames(number: int) -> None:
    draw, good = Random(number), seeds()
    with Gateway(workers=1 + number % 2) as gateway:
        one, other = gateway.attach(1), gateway.attach(2)
        for claim in (("udp", 53), ("tcp", 80)):
            assert gateway.claim(1, *claim) == 0
        assert gateway.claim(2, "udp", 54) == 0
        served = 0
        for _ in range(TURNS):
            for _ in range(EACH):
                flags = draw.choice((0, 0, 0, CHECKSUM_PARTIAL, CHECKSUM_PARTIAL | UNSEGMENTED, UNSEGMENTED))
                frame = mutated(draw, draw.choice(good))
                if len(frame) >= 14:
                    gso = draw.choice((1, 7, 100, 536, 1460, 65_535)) if flags & UNSEGMENTED else 0
                    one.say(frame, flags=flags, gso=gso)
            gateway.put(came(draw.choice((4, 6)), j.UDP(sport=9, dport=54)))
            gateway.turn()
            gateway.turn()
            for worker in range(gateway.programs.queues):
                served += len(other.hears(worker))
                one.hears(worker)
            for sent in gateway.sent(0) + gateway.sent(1):
                assert may_leave(sent), sent.hex()
        assert served >= TURNS
        facts = gateway.facts(1)
        assert facts.packets_in > TURNS
        assert len(facts.drops) > 8, facts.drops
        gateway.wait(70, 5)


@pytest.mark.parametrize("number", [11, 12])
def test_lanes_written_over(number: int) -> None:
    """Words of the lanes' headers, descriptors and frames, at any time; the program may come back each time."""
    draw, good = Random(number), seeds()
    with Gateway() as gateway:
        one, other = gateway.attach(1), gateway.attach(2)
        gateway.claim(1, "udp", 53)
        gateway.claim(2, "udp", 54)
        driver = one.driver(0)
        assert isinstance(driver, ProgramPort)
        assert driver._memory is not None
        start, half = driver._memory.address, driver._memory.octets // 2
        served = 0
        for turn in range(TURNS):
            one.say(*[mutated(draw, draw.choice(good)) + bytes(14) for _ in range(EACH)])
            for _ in range(draw.randrange(6)):
                place = draw.randrange(2) * half + 8 * draw.randrange(48 if draw.random() < 0.5 else 600)
                word = draw.choice((0, 1, turn, 511, 512, 1 << 19, 1 << 32, (1 << 64) - 1, draw.getrandbits(64)))
                ctypes.memmove(start + place, word.to_bytes(8, "little"), 8)
            gateway.put(came(4, j.UDP(sport=9, dport=53)))
            gateway.put(came(4, j.UDP(sport=9, dport=54)))
            gateway.turn()
            served += len(other.hears())
            one.hears()
        assert served == TURNS
        assert mode() == "interpreted" or gateway.facts(1).broken > 0
        gateway.leave(1)
        gateway.attach(1)
        assert gateway.claim(1, "udp", 53) == 0
        assert gateway.hear(came(4, j.UDP(sport=9, dport=53)))["transmitted"] == 1
