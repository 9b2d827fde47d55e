"""What attached programs do to end with verdicts of their own. Each makes a gateway and lets it happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pronghorn.engine.programs import Limits
from pronghorn.state.packet import CHECKSUM_PARTIAL
from tests.programs.bench import Gateway
from tests.programs.test_paths import came, said
from tests.support.feed import EngineBench
from tests.wire import judges as j


def saying(*frames: Any, flags: int = 0, limits: Limits | None = None) -> Callable[[], EngineBench]:
    """A program that says this."""

    def situation() -> EngineBench:
        gateway = Gateway()
        gateway.attach(1, limits=limits)
        gateway.tell(1, *frames, flags=flags)
        return gateway

    return situation


def after_an_end() -> EngineBench:
    """A segment for a program that has ended."""
    gateway = Gateway()
    gateway.attach(1)
    gateway.claim(1, "tcp", 80)
    gateway.hear(came(4, j.TCP(sport=9, dport=80, flags="S")))
    gateway.leave(1)
    gateway.hear(came(4, j.TCP(sport=9, dport=80, flags="A")))
    return gateway


DATAGRAM = said(4, j.UDP(sport=1001, dport=53))
GRE = said(4, j.UDP(sport=1001, dport=53))
GRE[j.IP].proto = 47

PROGRAMS: dict[str, Callable[[], EngineBench]] = {
    "program_marks": saying(said(4, j.ICMP(id=1001)), flags=CHECKSUM_PARTIAL),
    "program_source": saying(said(4, j.UDP(sport=1001, dport=53), src="192.0.2.99")),
    "program_port": saying(said(4, j.UDP(sport=53, dport=53))),
    "program_protocol": saying(GRE),
    "program_icmp": saying(said(4, j.ICMP(id=1))),
    "program_rate": saying(DATAGRAM, DATAGRAM, DATAGRAM, limits=Limits(packets=10)),
    "program_gone": after_an_end,
}
