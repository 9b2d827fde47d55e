"""Frames from a client to us, and what was sent for them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.feed import CLIENT, OWN, OWN4, OWN6, ROUTER, EngineBench
from tests.wire import judges as j

LINK = j.Ether(src=ROUTER, dst=OWN[0])
ANY = "ff:ff:ff:ff:ff:ff"
both = pytest.mark.parametrize("family", [4, 6])


def ip(family: int, **fields: Any) -> Any:
    """A header from the client to us."""
    fields = {"src": CLIENT[family], "dst": OWN4[0] if family == 4 else OWN6[0], **fields}
    if family == 4:
        return j.IP(**fields)
    if "ttl" in fields:
        fields["hlim"] = fields.pop("ttl")
    return j.IPv6(**fields)


def ping(family: int) -> Any:
    return j.ICMP(id=7) / b"hello" if family == 4 else j.ICMPv6EchoRequest(id=7, data=b"hello")


def only(bench: EngineBench, port: int = 0) -> Any:
    """The one frame that was sent."""
    (octets,) = bench.sent(port)
    assert bench.sent(1 - port) == []
    return j.Ether(octets)
