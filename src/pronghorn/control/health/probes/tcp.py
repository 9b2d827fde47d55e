"""A TCP connection is accepted; optionally, what is sent is answered as expected."""

from __future__ import annotations

from pronghorn.control.health.messages import Order
from pronghorn.control.health.settings import octets_of
from pronghorn.control.health.way import Way, answer_with


async def probe(way: Way, order: Order) -> None:
    check = order.check
    async with way.connection(order.address, order.port) as (reader, writer):
        if check.send is not None:
            writer.write(octets_of(check.send))
        if check.expect is not None:
            await answer_with(reader, octets_of(check.expect))
