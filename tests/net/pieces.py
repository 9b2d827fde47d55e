"""Packets in pieces for the tests of reassembly: made, let in, and what came out of them put together by scapy."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from scapy.layers import inet, inet6

from tests.support.feed import CLIENT, OWN, OWN4, OWN6, ROUTER, SMALL, EngineBench
from tests.wire import judges as j

LIMITS = replace(SMALL, fragments=640)
SHARE = 80
"""Pieces that one source may hold: an eighth of the limit."""
LINK = j.Ether(src=ROUTER, dst=OWN[0])
idents = itertools.count(1)
fragment: Any = inet.fragment
fragment6: Any = inet6.fragment6
defragment: Any = inet.defragment
defragment6: Any = inet6.defragment6


def octets(count: int, seed: int = 1) -> bytes:
    return Random(seed).randbytes(count)


def echo(family: int, payload: bytes, source: str = "") -> bytes:
    """The octets behind the IP header of an echo request to us, and of its answer if `source` is us."""
    source = source or CLIENT[family]
    if family == 4:
        return bytes(j.IP(src=source, dst=OWN4[0]) / j.ICMP(id=1) / payload)[20:]
    packet = j.IPv6(src=source, dst=OWN6[0]) / j.ICMPv6EchoRequest(id=1, data=payload)
    return bytes(packet)[40:]


def piece(
    family: int, start: int, data: bytes, more: bool, ident: int, source: str = "", protocol: int = 0
) -> Any:  # fmt: skip
    """A frame with one piece of an echo request, or of what `protocol` says."""
    source = source or CLIENT[family]
    if family == 4:
        ip = j.IP(src=source, dst=OWN4[0], id=ident & 0xFFFF, flags=int(more), frag=start // 8, proto=protocol or 1)
        return LINK / ip / j.Raw(data)
    header = j.IPv6ExtHdrFragment(nh=protocol or 58, offset=start // 8, m=int(more), id=ident)
    return LINK / j.IPv6(src=source, dst=OWN6[0]) / header / j.Raw(data)


def pieces(family: int, data: bytes, cuts: list[int], ident: int = 0, source: str = "") -> list[Any]:
    """The payload cut at these places (multiples of 8)."""
    ident = ident or next(idents)
    edges = [0, *cuts, len(data)]
    return [
        piece(family, start, data[start:stop], stop < len(data), ident, source)
        for start, stop in itertools.pairwise(edges)
    ]


def hear(bench: EngineBench, frames: list[Any]) -> Counter[str]:
    before = bench.counts()
    for frame in frames:
        bench.put(frame)
        bench.turn()
    return bench.counts() - before


def answer(bench: EngineBench, family: int) -> bytes:
    """The payload of the echo reply that was sent, in pieces or not."""
    frames = [j.Ether(octets) for octets in bench.sent(0)]
    assert frames
    whole: Any
    if family == 4:
        (packet,) = defragment([frame[j.IP] for frame in frames])
        whole = j.IP(bytes(packet))
        assert (whole.dst, whole[j.ICMP].type) == (CLIENT[4], 0)
        return bytes(whole[j.ICMP].payload)
    parts = [frame[j.IPv6] for frame in frames]
    packet = defragment6(parts) if len(parts) > 1 else parts[0]
    whole = j.IPv6(bytes(packet))
    assert (whole.dst, whole[j.ICMPv6EchoReply].id) == (CLIENT[6], 1)
    return bytes(whole[j.ICMPv6EchoReply].data)


both = pytest.mark.parametrize("family", [4, 6])
