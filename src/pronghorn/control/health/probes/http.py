"""HTTP and HTTPS (RFC 9112, by h11): one request on a connection of its own; the status and the page are as expected.

A redirection is an answer and is not followed. At most MOST octets of a page are looked at.
"""

from __future__ import annotations

import h11

from pronghorn.control.health.messages import Order
from pronghorn.control.health.probes.tls import context_of
from pronghorn.control.health.settings import Check, octets_of
from pronghorn.control.health.way import Failed, Streams, Way, shown

MOST = 1 << 20


async def probe(way: Way, order: Order) -> None:
    check = order.check
    tls = context_of(check) if check.type == "https" else None
    async with way.connection(order.address, order.port, tls, check.server_name or check.host) as streams:
        try:
            await _ask(check, _host(order), streams)
        except h11.ProtocolError as error:
            raise Failed(f"this is not HTTP: {error}") from None


def _host(order: Order) -> str:
    """The Host field: as configured, or the server's own address (RFC 9110 7.2)."""
    if order.check.host is not None:
        return order.check.host
    host = f"[{order.address}]" if order.address.version == 6 else str(order.address)
    usual = 443 if order.check.type == "https" else 80
    return host if order.port == usual else f"{host}:{order.port}"


async def _ask(check: Check, host: str, streams: Streams) -> None:
    reader, writer = streams
    connection, body = h11.Connection(h11.CLIENT), octets_of(check.body)
    fields = [("Host", host), ("User-Agent", "pronghorn-check"), ("Connection", "close")]
    fields += [(name, value) for name, _, value in (header.partition(": ") for header in check.headers)]
    if body:
        fields.append(("Content-Length", str(len(body))))
    request = h11.Request(method=check.method, target=check.path, headers=fields)
    events = [request, *([h11.Data(data=body)] if body else []), h11.EndOfMessage()]
    writer.write(b"".join(connection.send(event) or b"" for event in events))
    expected, page = octets_of(check.expect), b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Response):
            if not is_good(event.status_code, check.status):
                raise Failed(f"status {event.status_code} {event.reason.decode(errors='replace')}".strip())
            if check.expect is None:
                return
        elif isinstance(event, h11.Data):
            page += event.data
            if expected in page:
                return
            if len(page) > MOST:
                break
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            break
    if expected not in page:
        raise Failed(f"the page does not contain what is expected: {shown(page)}")


def is_good(status: int, wanted: str) -> bool:
    """Whether a status is one of "200,204,300-399"."""
    ranges = (part.partition("-") for part in wanted.split(","))
    return any(int(low) <= status <= int(high or low) for low, _, high in ranges)
