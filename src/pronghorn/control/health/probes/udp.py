"""A datagram is answered as expected. Where no answer is expected silence is good, and an ICMP error (port or host
unreachable) is not: it is waited for through half of the time that the check may take."""

from __future__ import annotations

import asyncio

from pronghorn.control.health.messages import Order
from pronghorn.control.health.settings import octets_of
from pronghorn.control.health.way import Failed, Way, shown


async def probe(way: Way, order: Order) -> None:
    loop, check = asyncio.get_running_loop(), order.check
    expected = octets_of(check.expect)
    async with way.datagrams(order.address, order.port) as socket:
        await loop.sock_sendall(socket, octets_of(check.send) or b"\0")
        if check.expect is None:
            try:
                async with asyncio.timeout(check.timeout.seconds / 2):
                    await loop.sock_recv(socket, 65_536)
            except TimeoutError:
                return
            return
        found = await loop.sock_recv(socket, 65_536)
        if expected not in found:
            raise Failed(f"the answer does not contain what is expected: {shown(found)}")
