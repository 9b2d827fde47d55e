"""An agent of the server says how it is (agents.py): one line, then the end of the connection. Not reaching it, or not
understanding it, changes nothing but the counters: whether the server answers is for the other checks."""

from __future__ import annotations

import asyncio
from typing import Any

from pronghorn.control.health.agents import read_words
from pronghorn.control.health.messages import Order
from pronghorn.control.health.settings import octets_of
from pronghorn.control.health.way import Failed, Way


async def probe(way: Way, order: Order) -> dict[str, Any]:
    async with way.connection(order.address, order.port) as (reader, writer):
        if order.check.send is not None:
            writer.write(octets_of(order.check.send))
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            line = error.partial
        except asyncio.LimitOverrunError:
            raise Failed("the agent does not end its line") from None
    try:
        return read_words(line.decode(errors="replace"))
    except ValueError as error:
        raise Failed(str(error)) from None
