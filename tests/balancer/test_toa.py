"""The client's address as a TCP option: which segments carry it, read by scapy and octet by octet."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from pronghorn.balancer.addresses import ConfigureError
from pronghorn.balancer.change_options import change_toa
from pronghorn.balancer.tables import REWRITE, TELL, WAYS
from pronghorn.input.report import error_input
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED
from pronghorn.state.verdicts import QUEUED
from tests.balancer.frames import CLIENT, LOCAL, SERVER, SERVICE, Seen, frame
from tests.balancer.gateway import CLIENTS, OWN_MAC, PEER_MAC, SERVERS, Gateway, mac, number_of

FAMILIES = pytest.mark.parametrize("family", [4, 6])


class Telling:
    """A connection of a service whose servers are told."""

    def __init__(self, gateway: Gateway, family: int) -> None:
        self.gateway, self.family = gateway, family
        self.service = gateway.service("tcp", SERVICE[family], 80, (SERVER[family],))
        change_toa(gateway.balancer, self.service, True)
        syn = self.request("S")
        assert told(syn) is None, "a SYN carries none"
        self.local = syn.source[1]
        self.reply("SA")

    def request(self, flags: str = "A", payload: bytes = b"", headroom: int | None = None, **more: Any) -> Seen:
        data = frame(CLIENT[self.family], 40000, SERVICE[self.family], 80, flags, payload, **more)
        seen = Seen(self.gateway.forward(data, headroom=headroom))
        assert (seen.payload, seen.ttl, seen.layer.seq) == (payload, 63, 1000)
        return seen

    def reply(self, flags: str = "A") -> Seen:
        data = frame(SERVER[self.family], 8080, LOCAL[self.family], self.local, flags, b"", SERVERS)
        return Seen(self.gateway.forward(data, SERVERS))

    @property
    def counted(self) -> tuple[int, int, int]:
        options = self.gateway.balancer.options[self.service]
        return options.told, options.no_room, options.too_long

    @property
    def way(self) -> int:
        return self.gateway.balancer.conns[number_of(self.gateway)].flags & WAYS


def told(seen: Seen) -> tuple[str, int] | None:
    """What a server's module reads: the first option, as octets."""
    octets = bytes(seen.layer)[20 : seen.layer.dataofs * 4]
    if octets[:1] != b"\xfe":
        return None
    assert octets[1] == (8 if seen.ip.version == 4 else 20)
    return str(ip_address(octets[4 : octets[1]])), int.from_bytes(octets[2:4], "big")


@FAMILIES
def test_segments_carry_it_until_the_server_has_a_socket(family: int) -> None:
    """Lost acknowledgements and retransmitted data included."""
    with Gateway() as gateway:
        talk, client = Telling(gateway, family), (CLIENT[family], 40000)
        assert told(talk.request("A")) == client
        talk.reply("SA")  # it was lost
        for payload in (b"odd", b"GET / HTTP/1.1", b"q" * 700):
            assert told(talk.request("PA", payload)) == client
        assert (talk.counted, talk.way) == ((4, 0, 0), TELL)
        talk.reply("A")
        assert told(talk.request("PA", b"more")) is None
        assert (talk.counted, talk.way) == ((4, 0, 0), REWRITE)


@FAMILIES
def test_a_segment_of_full_size_goes_without_and_the_next_has_it(family: int) -> None:
    with Gateway() as gateway:
        talk, header = Telling(gateway, family), 40 if family == 4 else 60
        grows = 8 if family == 4 else 20
        assert told(talk.request("A", b"q" * (1500 - header))) is None
        assert told(talk.request("A", b"q" * (1500 - header - grows + 1))) is None
        assert told(talk.request("A", b"q" * (1500 - header - grows))) is not None
        assert talk.counted == (1, 0, 2)


@FAMILIES
def test_other_options_stay_behind_it_or_leave_no_room(family: int) -> None:
    with Gateway() as gateway:
        talk = Telling(gateway, family)
        ended = [("Timestamp", (7, 8)), ("EOL", None)]
        assert told(talk.request("A", b"x", options=ended)) is not None
        full = [("Timestamp", (7, 8)), ("SAck", (1, 2, 3, 4, 5, 6))]
        seen = talk.request("A", b"x", options=full)
        assert told(seen) is None
        assert seen.layer.options[-1] == full[-1] or full[-1] in seen.layer.options
        assert told(talk.request("A", b"x", headroom=40)) is None, "and neither does a chunk without headroom"
        assert talk.counted == (1, 2, 0)


@FAMILIES
def test_a_reset_carries_none_and_a_fin_does(family: int) -> None:
    with Gateway() as gateway:
        talk = Telling(gateway, family)
        assert told(talk.request("FA")) is not None
        assert told(talk.request("RA")) is None


@FAMILIES
def test_a_frame_that_the_port_cuts_and_a_partial_checksum(family: int) -> None:
    """The option goes into every segment, and the pseudo header's sum grows with it."""
    with Gateway() as gateway:
        Telling(gateway, family)
        data = bytearray(frame(CLIENT[family], 40000, SERVICE[family], 80, "PA", b"q" * 1600))
        sums = []
        for segment in (1000, 1480 - (40 if family == 4 else 60) + 20):
            assert gateway.put(bytes(data), flags=UNSEGMENTED | CHECKSUM_PARTIAL, segments=segment) == QUEUED
            [(_, out)] = gateway.taken()
            seen = Seen(out, checksums="header")
            assert (told(seen) is not None) == (segment == 1000)
            sums.append(seen.layer.chksum)
        assert (sums[0] - sums[1]) % 65535 == (8 if family == 4 else 20)


def test_only_tcp_can_be_told_so() -> None:
    with Gateway() as gateway:
        number = gateway.service("udp", SERVICE[4], 53, (SERVER[4],))
        with pytest.raises(ConfigureError):
            change_toa(gateway.balancer, number, True)


def test_a_report_about_a_segment_that_carried_it_reaches_the_client() -> None:
    """It quotes what the server's side saw: its first eight octets of TCP are what the client sent."""
    with Gateway() as gateway:
        talk = Telling(gateway, 4)
        sent = talk.request("A", b"x")
        report = (
            Ether(src=mac(PEER_MAC[SERVERS]), dst=mac(OWN_MAC[SERVERS]))
            / IP(src=SERVER[4], dst=LOCAL[4])
            / ICMP(type=3, code=1)
            / Raw(bytes(sent.ip)[:28])
        )
        assert gateway.put(bytes(report), SERVERS, enter=error_input) == QUEUED
        [(port, out)] = gateway.taken()
        quoted = Ether(out)[ICMP].payload
        assert (port, quoted.src, quoted.dst, quoted.sport) == (CLIENTS, CLIENT[4], SERVICE[4], 40000)
