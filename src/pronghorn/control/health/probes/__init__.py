"""Kinds of checks, one per file. Each is `async probe(way, order)`: it returns what an agent said, or None, and raises
Failed or OSError when the server cannot be used. Time limits are the caller's (checker.py).

tcp   http (https too)   udp   dns   ping   grpc   script   agent   tls (the contexts of https and grpc)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from pronghorn.control.health.messages import Order
from pronghorn.control.health.way import Way

Probe = Callable[[Way, Order], Awaitable[dict[str, Any] | None]]

FILES = {name: name for name in ("tcp", "http", "udp", "dns", "ping", "grpc", "script", "agent")} | {"https": "http"}


def probe_of(kind: str) -> Probe:
    """The function for a kind of check; its libraries are imported when it is used."""
    made: Probe = import_module(f"pronghorn.control.health.probes.{FILES[kind]}").probe
    return made
