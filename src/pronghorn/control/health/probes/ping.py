"""ICMP and ICMPv6 echo (RFC 792, RFC 4443 4.1), by a socket that sends requests and gets their answers (as Linux's
ping sockets: identifier and checksum are the socket's). Where the kernel grants none, by a raw socket."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import struct

from pronghorn.control.health.messages import Order
from pronghorn.control.health.way import Way

REQUEST, REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
PROTOCOL = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
_serial = itertools.count()


async def probe(way: Way, order: Order) -> None:
    loop, family, number = asyncio.get_running_loop(), order.address.version, next(_serial) & 0xFFFF
    payload = b"pronghorn" + os.urandom(23)
    try:
        made = way.socket(order.address, socket.SOCK_DGRAM, PROTOCOL[family])
    except PermissionError:
        made = way.socket(order.address, socket.SOCK_RAW, PROTOCOL[family])
    with made:
        made.connect((str(order.address), 0))
        await loop.sock_sendall(made, request(family, number, payload))
        while True:
            found = await loop.sock_recv(made, 2048)
            if family == 4 and made.type == socket.SOCK_RAW:
                found = found[(found[0] & 15) * 4 :]
            if found[:1] == bytes([REPLY[family]]) and found[6:8] == number.to_bytes(2) and found[8:] == payload:
                return


def request(family: int, number: int, payload: bytes) -> bytes:
    """An echo request; the checksum of ICMPv6 is the kernel's, and that of ICMP as well where it knows better."""
    identifier = os.getpid() & 0xFFFF
    octets = struct.pack("!BBHHH", REQUEST[family], 0, 0, identifier, number) + payload
    if family == 6:
        return octets
    return octets[:2] + checksum(octets).to_bytes(2) + octets[4:]


def checksum(octets: bytes) -> int:
    """RFC 1071."""
    octets += b"\0" * (len(octets) & 1)
    total = sum(int.from_bytes(octets[place : place + 2]) for place in range(0, len(octets), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
