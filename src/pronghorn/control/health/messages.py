"""What a gateway and its checkers say to each other: lines of JSON over pipes.

    gateway -> checker    {"set": [[number, {order}], ...], "drop": [number, ...]}
    checker -> gateway    {"tracks": [[number, {track}], ...]}           at least every BEAT seconds

An order is a check with whom it concerns and the track that it goes on from. What a checker says is read as if a
stranger had said it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from pronghorn.control.endpoint import Address, parse_address
from pronghorn.control.health.settings import Check
from pronghorn.control.health.track import Track, read_track

BEAT = 1.0  # s
EACH = 256  # checks of one line, at most
LINE = 16 << 20  # octets, at most: each check may have texts of some kilobytes


@dataclass(frozen=True)
class Order:
    """One check of one server."""

    check: Check
    address: Address
    port: int
    service: str  # names of both, for scripts; empty for others, which a new name does not concern
    server: str


def orders(wanted: dict[int, tuple[Order, Track]], unwanted: list[int]) -> bytes:
    """The lines for a checker."""
    several: list[Any] = [
        [number, {"check": order.check.model_dump(mode="json", exclude_defaults=True), "address": str(order.address),
                  "port": order.port, "service": order.service, "server": order.server, "track": asdict(track)}]
        for number, (order, track) in wanted.items()
    ]  # fmt: skip
    lines = [{"set": several[at : at + EACH], "drop": []} for at in range(0, len(several), EACH)]
    return _lines([{"set": [], "drop": unwanted}, *lines])


def read_orders(line: bytes) -> tuple[dict[int, tuple[Order, Track]], list[int]]:
    """A line, at the checker. It believes its gateway."""
    data = json.loads(line)
    found = {}
    for number, one in data["set"]:
        check, address = Check.model_validate(one["check"]), parse_address(one["address"])
        found[number] = Order(check, address, one["port"], one["service"], one["server"]), read_track(one["track"])
    return found, data["drop"]


def tracks(changed: dict[int, Track]) -> bytes:
    """The lines for the gateway; at least one."""
    several = [[number, asdict(track)] for number, track in changed.items()]
    return _lines([{"tracks": several[at : at + EACH]} for at in range(0, max(len(several), 1), EACH)])


def _lines(messages: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


def read_tracks(line: bytes) -> dict[int, Track]:
    """A line, at the gateway. Raises ValueError."""
    data: Any = json.loads(line)
    if not isinstance(data, dict) or not isinstance(data.get("tracks"), list):
        raise ValueError("a checker has said something unknown")
    found = {}
    for pair in data["tracks"]:
        if not isinstance(pair, list) or len(pair) != 2 or type(pair[0]) is not int:
            raise ValueError("a checker has said something unknown")
        found[pair[0]] = read_track(pair[1])
    return found
