"""Which connections and sockets to show: what stands in the query of GET /v1/tcp and /v1/udp, read and checked.

States are called as ss(8) calls them. An address is one of an end's, or a prefix that contains it; a port is either
end's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from pronghorn.control.problems import meant
from pronghorn.control.trouble import Trouble

LIMIT = 1000
"""Rows in one answer, unless `limit` says otherwise."""

MOST = 20_000
"""Rows that may be asked for: some seven seconds of the control thread."""

STATES = (
    "free",
    "established",
    "syn-sent",
    "syn-recv",
    "fin-wait-1",
    "fin-wait-2",
    "time-wait",
    "closed",
    "close-wait",
    "last-ack",
    "listening",
    "closing",
)
"""By their numbers in tcp/tcb.py."""

KEYS = ("limit", "state", "port", "address", "listening")


class FilterError(Trouble):
    """The query cannot be understood; the text says why."""


@dataclass(frozen=True)
class Filter:
    """All of them, if nothing is said."""

    limit: int = LIMIT
    states: tuple[str, ...] = ()
    port: int = 0
    address: IPv4Network | IPv6Network | None = None
    listening: bool = False


def read_filter(query: Mapping[str, str]) -> Filter:
    """From the words of a query; `state` may be several, with commas between. Raises FilterError."""
    for key in query:
        if key not in KEYS:
            raise FilterError(f"{key}: unknown; known are {', '.join(KEYS)}")
    states = tuple(filter(None, query.get("state", "").split(",")))
    for state in states:
        if state not in STATES[1:]:
            near = meant(state, STATES[1:])
            hint = f"did you mean {near}?" if near else f"there are: {', '.join(STATES[1:])}"
            raise FilterError(f"state = {state}: unknown; {hint}")
    return Filter(
        limit=read_number(query, "limit", LIMIT, MOST),
        states=states,
        port=read_number(query, "port", 0, 65_535),
        address=_address(query["address"]) if "address" in query else None,
        listening=query.get("listening") == "1" or states == ("listening",),
    )


def read_number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    """A number of the query. Raises FilterError."""
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= most):
        raise FilterError(f"{name} = {text} is not a number 0..{most}")
    return int(text)


def _address(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise FilterError(f"address = {text} is no address and no prefix such as 10.0.0.0/8") from None
