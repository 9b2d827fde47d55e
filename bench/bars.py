"""The bars: what each benchmark must reach. One table; the harness, the report and the tests read it.

A bar is set on the ratio to the peer or, where there is no peer, on the value itself. A figure that misses its bar is
reported as missed; the bar is not adjusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.figures import short

_SIGNS = {"at least": "≥", "at most": "≤", "below": "<"}


@dataclass(frozen=True)
class Bar:
    """`ratio at least 0.2`, `value below 1`, and so on."""

    of: Literal["ratio", "value"]
    relation: Literal["at least", "at most", "below"]
    limit: float
    unit: str = ""

    def met(self, value: float | None, ratio: float | None) -> bool | None:
        """Whether a result reaches the bar; None where the number is missing."""
        number = ratio if self.of == "ratio" else value
        if number is None:
            return None
        if self.relation == "at least":
            return number >= self.limit
        return number <= self.limit if self.relation == "at most" else number < self.limit

    def __str__(self) -> str:
        return (
            f"{'ratio ' if self.of == 'ratio' else ''}{_SIGNS[self.relation]} {short(self.limit)} {self.unit}".rstrip()
        )


# In the order in which they run: what needs quiet cores first.
BARS = {
    "mac_swap": Bar("ratio", "at least", 1.0),
    "lb_full_nat_100k": Bar("ratio", "at least", 0.20),
    "lb_full_nat_1m": Bar("ratio", "at least", 0.10),
    "lb_full_nat_10m": Bar("ratio", "at least", 0.05),
    "lb_direct": Bar("ratio", "at least", 0.30),
    "lb_nat": Bar("ratio", "at least", 0.20),
    "lb_tunnel": Bar("ratio", "at least", 0.22),
    "lb_nat64": Bar("ratio", "at least", 0.12),
    "lb_connections": Bar("value", "at least", 1e6, "connections/s"),
    "lb_many": Bar("ratio", "at least", 0.90),
    "lb_deny_100k": Bar("ratio", "at least", 0.90),
    "lb_memory": Bar("value", "at most", 128, "B"),
    "lb_remap": Bar("value", "below", 0.5, "% of flows"),
    "bridge": Bar("value", "at least", 20e6, "packets/s"),
    "tcp_server_100": Bar("ratio", "at least", 0.03),
    "tcp_server_10k": Bar("ratio", "at least", 0.015),
    "tcp_server_short": Bar("ratio", "at least", 0.007),
    "tcp_requests": Bar("ratio", "at least", 10.0),
    "tcp_connections": Bar("ratio", "at least", 10.0),
    "tcp_bulk": Bar("ratio", "at least", 1.5),
    "tcp_bulk_mtu": Bar("ratio", "at least", 2.0),
    "tcp_million": Bar("ratio", "at least", 0.8),
    "syn_flood": Bar("ratio", "at least", 0.7),
    "tcp_loss": Bar("ratio", "at least", 3.0),
    "tcp_kernel_peer": Bar("value", "at most", 0, "octets"),
    "tcp_idle_memory": Bar("value", "at most", 512, "B"),
    "redis_50": Bar("ratio", "at least", 4.0),
    "redis_1": Bar("ratio", "at least", 3.0),
    "redis_pipeline": Bar("ratio", "at least", 1.5),
    "nginx_keepalive": Bar("ratio", "at least", 2.5),
    "nginx_short": Bar("ratio", "at least", 3.0),
    "iperf": Bar("ratio", "at least", 1.3),
    "asyncio_echo": Bar("ratio", "at least", 2.0),
    "asyncio_echo_uvloop": Bar("ratio", "at least", 1.0),
    "kill_program": Bar("value", "at most", 0, "leaks and failures"),
    "redis_gateway": Bar("ratio", "at least", 1.0),
    "zero_copy": Bar("ratio", "at most", 0.7),
    "http_xdp": Bar("ratio", "at least", 1.0),
    "drain": Bar("value", "at most", 0, "failures"),
    "idle_cpu": Bar("value", "below", 1.0, "% of a core"),
    "start": Bar("value", "below", 1.0, "s"),
    "build": Bar("value", "below", 180.0, "s"),
}
