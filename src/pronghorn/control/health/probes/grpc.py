"""gRPC's health protocol, grpc.health.v1.Health/Check (grpc/grpc, doc/health-checking.md), over HTTP/2 by h2.

Two messages of one field each need no code generator: a request is field 1, the service's name; an answer field 1, a
number of which 1 is SERVING (Protocol Buffers' wire format: tag, then length or varint).
"""

from __future__ import annotations

from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from pronghorn.control.health.messages import Order
from pronghorn.control.health.probes.tls import context_of
from pronghorn.control.health.way import Failed, Streams, Way

STATES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
SERVING = 1
MOST = 65_536


async def probe(way: Way, order: Order) -> None:
    check = order.check
    tls = context_of(check, "h2") if check.tls else None
    name = check.server_name or check.host
    async with way.connection(order.address, order.port, tls, name) as streams:
        try:
            await _ask(order, streams)
        except h2.exceptions.ProtocolError as error:
            raise Failed(f"this is not HTTP/2: {error}") from None


async def _ask(order: Order, streams: Streams) -> None:
    reader, writer = streams
    check = order.check
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    host = check.host or (f"[{order.address}]" if order.address.version == 6 else str(order.address))
    fields = [(":method", "POST"), (":scheme", "https" if check.tls else "http"), (":authority", f"{host}")]
    fields += [(":path", "/grpc.health.v1.Health/Check"), ("te", "trailers"), ("content-type", "application/grpc")]
    connection.send_headers(1, fields)
    connection.send_data(1, framed(request(check.service)), end_stream=True)
    writer.write(connection.data_to_send())
    headers: dict[str, str] = {}
    body = b""
    while True:
        octets = await reader.read(65_536)
        if not octets or len(body) > MOST:
            raise Failed("the connection ended before there was an answer")
        if octets.startswith(b"HTTP/1"):
            raise Failed("this is not HTTP/2")
        for event in connection.receive_data(octets):
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                headers |= _fields(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
                connection.acknowledge_received_data(event.flow_controlled_length, 1)
            elif isinstance(event, h2.events.StreamEnded):
                judge(headers, body)
                return
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                raise Failed(f"the server ended it with HTTP/2 error {event.error_code}")
        writer.write(connection.data_to_send())


def _fields(headers: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in headers or ()}


def judge(headers: dict[str, str], body: bytes) -> None:
    """Failed, unless the answer is SERVING."""
    if headers.get(":status") != "200":
        raise Failed(f"HTTP status {headers.get(':status', 'missing')}")
    status = headers.get("grpc-status", "missing")
    if status != "0":
        raise Failed(f"grpc-status {status} {headers.get('grpc-message', '')}".strip())
    if len(body) < 5 or body[0] != 0 or int.from_bytes(body[1:5]) != len(body) - 5:
        raise Failed("the answer is no message of gRPC")
    state = state_of(body[5:])
    if state != SERVING:
        raise Failed(STATES.get(state, f"state {state}"))


def framed(message: bytes) -> bytes:
    """Length-prefixed, not compressed."""
    return b"\0" + len(message).to_bytes(4) + message


def request(service: str) -> bytes:
    """HealthCheckRequest."""
    octets = service.encode()
    return b"\x0a" + varint(len(octets)) + octets if octets else b""


def varint(number: int) -> bytes:
    """Seven bits an octet, the lowest first."""
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def state_of(message: bytes) -> int:
    """HealthCheckResponse.status. A message without it means 0 (proto3)."""
    if not message:
        return 0
    if message[0] != 0x08:
        raise Failed("the answer is no HealthCheckResponse")
    number = 0
    for place, octet in enumerate(message[1:11]):
        number |= (octet & 127) << 7 * place
        if octet < 128:
            return number
    raise Failed("the answer is no HealthCheckResponse")
