"""DNS over UDP (RFC 1035, messages by dnspython): a name is asked for; the response code, and where wanted an address
in the answer, are as expected."""

from __future__ import annotations

import asyncio

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from pronghorn.control.endpoint import parse_address
from pronghorn.control.health.messages import Order
from pronghorn.control.health.way import Failed, Way


async def probe(way: Way, order: Order) -> None:
    loop, check = asyncio.get_running_loop(), order.check
    question = dns.message.make_query(check.query or ".", check.record)
    async with way.datagrams(order.address, order.port) as socket:
        await loop.sock_sendall(socket, question.to_wire())
        while True:
            octets = await loop.sock_recv(socket, 65_536)
            if octets[:2] == question.id.to_bytes(2):
                break
    try:
        answer = dns.message.from_wire(octets)
    except dns.exception.DNSException as error:
        raise Failed(f"the answer is not DNS: {error}") from None
    code = dns.rcode.to_text(answer.rcode())
    if not question.is_response(answer):
        raise Failed(f"the answer is for another question ({code})")
    if check.rcode not in ("any", code):
        raise Failed(f"response code {code}")
    if check.answer is None:
        return
    types = (dns.rdatatype.A, dns.rdatatype.AAAA)
    found = [item.to_text() for rrset in answer.answer if rrset.rdtype in types for item in rrset]
    if str(check.answer) not in {str(parse_address(text)) for text in found}:
        raise Failed(f"the answer has {', '.join(found) or 'no address'}")
