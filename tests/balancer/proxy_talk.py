"""A client and a server that talk through a SYN proxy, written and judged by scapy."""

from __future__ import annotations

from typing import Any

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from pronghorn.balancer.change_proxy import change_syn_proxy
from pronghorn.state.verdicts import QUEUED, SYN_PROXY_ANSWERED, SYN_PROXY_CHALLENGED, SYN_PROXY_OPENED
from tests.balancer.frames import CLIENT, SERVER, SERVICE, Seen
from tests.balancer.gateway import CLIENTS, OWN_MAC, PEER_MAC, SERVERS, Gateway, mac, number_of

ALL = [("MSS", 1400), ("SAckOK", b""), ("Timestamp", (5000, 0)), ("NOP", None), ("WScale", 9)]
THEIRS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (900_000, 5001)), ("NOP", None), ("WScale", 10)]
ISN, SERVERS_ISN = 0xFFFF_FFFE, 77_000
MASK = 0xFFFF_FFFF


class Talk:
    """A client and its server, on either side of the gateway."""

    def __init__(
        self, gateway: Gateway, family: int, method: str = "full-nat", mode: str = "always", sport: int = 40000,
        **more: Any,
    ) -> None:  # fmt: skip
        self.gateway, self.family, self.sport, self.cookie, self.told = gateway, family, sport, 0, 0
        self.service = gateway.service("tcp", SERVICE[family], 80, (SERVER[family],), method=method)
        change_syn_proxy(gateway.balancer, self.service, mode, **more)
        self.server_sees = ("", 0)
        self.stamps = False

    def frame(self, port: int, flags: str, seq: int, ack: int = 0, payload: bytes = b"", **more: Any) -> bytes:
        """From the client (port CLIENTS) or the server."""
        ends = [(CLIENT[self.family], self.sport), (SERVICE[self.family], 80)]
        if port == SERVERS:
            ends = [(SERVER[self.family], 8080), self.server_sees]
        (src, sport), (dst, dport) = ends
        link = Ether(src=mac(PEER_MAC[port]), dst=mac(OWN_MAC[port]))
        ip = IPv6(src=src, dst=dst) if self.family == 6 else IP(src=src, dst=dst)
        layer = TCP(sport=sport, dport=dport, flags=flags, seq=seq & MASK, ack=ack & MASK, **more)
        return bytes(link / ip / layer / Raw(payload))

    def put(self, port: int, flags: str, seq: int, ack: int = 0, payload: bytes = b"", **more: Any) -> int:
        return self.gateway.put(self.frame(port, flags, seq, ack, payload, **more), port)

    def out(self) -> list[tuple[int, Seen]]:
        return [(port, Seen(data)) for port, data in self.gateway.taken()]

    def challenge(self, options: list[Any], window: int = 0) -> Seen:
        """The client's SYN; the answer to it."""
        assert self.put(CLIENTS, "S", ISN, options=options) == SYN_PROXY_CHALLENGED
        [(port, seen)] = self.out()
        assert port == CLIENTS
        assert seen.source == (SERVICE[self.family], 80)
        assert seen.destination == (CLIENT[self.family], self.sport)
        assert (str(seen.layer.flags), seen.layer.ack, seen.layer.window) == ("SA", (ISN + 1) & MASK, window)
        self.cookie = seen.layer.seq
        said = dict(seen.layer.options)
        self.stamps = "Timestamp" in said
        self.told = said["Timestamp"][0] if self.stamps else 0
        return seen

    def ack_options(self) -> list[Any]:
        return [("NOP", None), ("NOP", None), ("Timestamp", (5001, self.told))] if self.stamps else []

    def bring_back(self, payload: bytes = b"") -> Seen:
        """The client's acknowledgement; the SYN that the server gets."""
        verdict = self.put(
            CLIENTS, "A", ISN + 1, self.cookie + 1, payload, options=self.ack_options(), window=500
        )  # fmt: skip
        assert verdict == SYN_PROXY_OPENED
        [(port, seen)] = self.out()
        assert port == SERVERS
        assert seen.destination == (SERVER[self.family], 8080)
        assert (str(seen.layer.flags), seen.layer.seq) == ("S", ISN)
        self.server_sees = seen.source
        return seen

    def answer(self, options: list[Any], window: int = 60_000) -> tuple[Seen, Seen]:
        """The server's SYN and ACK; what the server gets, and the client."""
        assert self.put(SERVERS, "SA", SERVERS_ISN, ISN + 1, options=options, window=window) == SYN_PROXY_ANSWERED
        [(first, client), (second, server)] = self.out()
        assert (first, second) == (CLIENTS, SERVERS)
        assert (str(server.layer.flags), server.layer.seq) == ("A", (ISN + 1) & MASK)
        assert server.layer.ack == SERVERS_ISN + 1
        assert (str(client.layer.flags), client.layer.seq) == ("A", (self.cookie + 1) & MASK)
        assert client.layer.ack == (ISN + 1) & MASK
        return server, client

    def opened(self, options: list[Any], theirs: list[Any]) -> None:
        self.challenge(options)
        self.bring_back()
        self.answer(theirs)

    def across(self, port: int, *fields: Any, **more: Any) -> Seen:
        """A segment that goes on; what comes out."""
        assert self.put(port, *fields, **more) == QUEUED
        [(out, seen)] = self.out()
        assert out == 1 - port
        return seen

    @property
    def state(self) -> int:
        return self.gateway.balancer.records[number_of(self.gateway)].state
