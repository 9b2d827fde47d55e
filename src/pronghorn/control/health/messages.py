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
LINE = 16 << 20  # octets, at most


@dataclass(frozen=True)
class Order:
    """One check of one server."""

    check: Check
    address: Address
    port: int
    service: str  # names of both, for scripts
    server: str


def orders(wanted: dict[int, tuple[Order, Track]], unwanted: list[int]) -> bytes:
    """The line for a checker."""
    several = [
        [number, {"check": order.check.model_dump(mode="json"), "address": str(order.address), "port": order.port,
                  "service": order.service, "server": order.server, "track": asdict(track)}]
        for number, (order, track) in wanted.items()
    ]  # fmt: skip
    return json.dumps({"set": several, "drop": unwanted}).encode() + b"\n"


def read_orders(line: bytes) -> tuple[dict[int, tuple[Order, Track]], list[int]]:
    """The same, at the checker. It believes its gateway."""
    data = json.loads(line)
    found = {}
    for number, one in data["set"]:
        check, address = Check.model_validate(one["check"]), parse_address(one["address"])
        found[number] = Order(check, address, one["port"], one["service"], one["server"]), read_track(one["track"])
    return found, data["drop"]


def tracks(changed: dict[int, Track]) -> bytes:
    """The line for the gateway."""
    return json.dumps({"tracks": [[number, asdict(track)] for number, track in changed.items()]}).encode() + b"\n"


def read_tracks(line: bytes) -> dict[int, Track]:
    """The same, at the gateway. Raises ValueError."""
    data: Any = json.loads(line)
    if not isinstance(data, dict) or not isinstance(data.get("tracks"), list):
        raise ValueError("a checker has said something unknown")
    found = {}
    for pair in data["tracks"]:
        if not isinstance(pair, list) or len(pair) != 2 or type(pair[0]) is not int:
            raise ValueError("a checker has said something unknown")
        found[pair[0]] = read_track(pair[1])
    return found
