"""SYN proxy: conversations as scapy sees them on both sides."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from pronghorn.balancer.change_proxy import change_syn_proxy
from pronghorn.balancer.configure import ConfigureError, remove_server
from pronghorn.balancer.icmp_errors import find_quoted, pass_error, quoted_at
from pronghorn.balancer.tables import ESTABLISHED, SYN_SENT, Balancer
from pronghorn.compiled import mode
from pronghorn.state.packet import CHECKSUM_GOOD, CHECKSUM_PARTIAL, Packet
from pronghorn.state.verdicts import (
    NO_CONN,
    QUEUED,
    SERVICE_NO_SERVER,
    SYN_PROXY_ACK_STORM,
    SYN_PROXY_ANSWERED,
    SYN_PROXY_BAD_ACK,
    SYN_PROXY_BAD_ANSWER,
    SYN_PROXY_CHALLENGED,
    SYN_PROXY_DEFERRED,
    SYN_PROXY_EARLY,
    TCP_RESET,
)
from pronghorn.state.worker import Worker
from pronghorn.wire.reasons import TCP_BAD_CHECKSUM
from tests.balancer.frames import CLIENT, LOCAL, SERVER, SERVICE
from tests.balancer.gateway import CLIENTS, OWN_MAC, PEER_MAC, SERVERS, Gateway, mac
from tests.balancer.proxy_talk import ALL, ISN, MASK, SERVERS_ISN, THEIRS, Talk

FAMILIES = pytest.mark.parametrize("family", [4, 6])
FLOOD = 20_000 if mode() == "jit" else 500


@FAMILIES
@pytest.mark.parametrize("method", ["full-nat", "nat"])
def test_a_connection_from_cookie_to_data_and_back(family: int, method: str) -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, family, method)
        said = dict(talk.challenge(ALL).layer.options)
        assert said["MSS"] == (1460 if family == 4 else 1440)
        assert said["WScale"] == 7
        assert said["Timestamp"][1] == 5000
        assert "SAckOK" in said
        assert gateway.balancer.count == 0
        syn = talk.bring_back()
        assert talk.server_sees[0] == (LOCAL if method == "full-nat" else CLIENT)[family]
        assert dict(syn.layer.options) == {
            "MSS": 1400, "SAckOK": b"", "Timestamp": (5001, 0), "NOP": None, "WScale": 9,
        }  # fmt: skip
        assert talk.state == SYN_SENT
        server, client = talk.answer(THEIRS)
        assert (server.layer.window, dict(server.layer.options)["Timestamp"]) == (500, (5001, 900_000))
        assert (client.layer.window, dict(client.layer.options)["Timestamp"]) == (60_000 >> 7, (talk.told, 5001))
        assert talk.state == ESTABLISHED
        up = talk.across(
            CLIENTS, "PA", ISN + 1, talk.cookie + 1, b"question", window=300,
            options=[("NOP", None), ("NOP", None), ("Timestamp", (5100, talk.told + 50))],
        )  # fmt: skip
        assert (up.layer.seq, up.layer.ack, up.payload) == ((ISN + 1) & MASK, SERVERS_ISN + 1, b"question")
        assert (up.layer.window, dict(up.layer.options)["Timestamp"]) == (300, (5100, 900_050))
        down = talk.across(
            SERVERS, "PA", SERVERS_ISN + 1, ISN + 9, b"answer", window=50,
            options=[("NOP", None), ("NOP", None), ("Timestamp", (900_100, 5100))],
        )  # fmt: skip
        assert (down.layer.seq, down.layer.ack) == ((talk.cookie + 1) & MASK, (ISN + 9) & MASK)
        assert (down.layer.window, dict(down.layer.options)["Timestamp"]) == (400, ((talk.told + 100) & MASK, 5100))
        assert down.source == (SERVICE[family], 80)


@FAMILIES
@pytest.mark.parametrize("pad", [0, 1])
def test_sack_blocks_of_the_client_are_of_the_servers_numbers(family: int, pad: int) -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, family)
        talk.opened([("SAckOK", b"")], [("SAckOK", b"")])
        base = talk.cookie + 1
        blocks = tuple((base + n) & MASK for n in (100, 200, 400, 500))
        options = [("NOP", None)] * pad + [("SAck", blocks)]
        up = talk.across(CLIENTS, "A", ISN + 1, base, options=options)
        assert dict(up.layer.options)["SAck"] == tuple(SERVERS_ISN + 1 + n for n in (100, 200, 400, 500))
        theirs = [("NOP", None)] * pad + [("SAck", (1, 2))]
        down = talk.across(SERVERS, "A", SERVERS_ISN + 1, ISN + 1, options=theirs)
        assert dict(down.layer.options)["SAck"] == (1, 2)


@FAMILIES
@pytest.mark.parametrize("pad", [0, 1, 2])
def test_timestamps_at_any_place(family: int, pad: int) -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, family)
        talk.opened(ALL, THEIRS)
        options = [("NOP", None)] * pad + [("Timestamp", (6000, (talk.told + 3) & MASK))]
        up = talk.across(CLIENTS, "A", ISN + 1, talk.cookie + 1, options=options)
        assert dict(up.layer.options)["Timestamp"] == (6000, 900_003)
        down = talk.across(
            SERVERS, "A", SERVERS_ISN + 1, ISN + 1, options=[*options[:pad], ("Timestamp", (900_009, 6))]
        )
        assert dict(down.layer.options)["Timestamp"] == ((talk.told + 9) & MASK, 6)


@pytest.mark.parametrize("options", [[], [("MSS", 536)], [("WScale", 3)], [("SAckOK", b""), ("WScale", 14)]])
def test_options_come_back_without_timestamps(options: list[Any]) -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, 4)
        talk.challenge(options)
        back = dict(talk.bring_back().layer.options)
        wanted = dict(options)
        assert back.get("WScale") == wanted.get("WScale")
        assert ("SAckOK" in back) == ("SAckOK" in wanted)
        assert back["MSS"] == 536
        assert "Timestamp" not in back


def test_a_server_that_does_not_scale_gets_windows_as_they_are() -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, 4)
        talk.challenge([("WScale", 2)])
        talk.bring_back()
        server, client = talk.answer([], window=10_000)
        assert (server.layer.window, client.layer.window) == (2_000, 10_000 >> 7)
        assert talk.across(CLIENTS, "PA", ISN + 1, talk.cookie + 1, b"x", window=30_000).layer.window == 65_535
        assert talk.across(SERVERS, "PA", SERVERS_ISN + 1, ISN + 2, b"y", window=1280).layer.window == 10


@FAMILIES
def test_a_checksum_that_the_port_fills_is_left_to_it(family: int) -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, family)
        talk.opened(ALL, THEIRS)
        sent = talk.frame(SERVERS, "PA", SERVERS_ISN + 1, ISN + 1, b"data", options=[], window=0)
        whole = bytes(gateway.forward(sent, SERVERS))
        at = 34 if family == 4 else 54
        pseudo = Ether(sent)
        partial = bytearray(sent)
        octets = len(sent) - at
        words = sent[26:34] if family == 4 else sent[22:54]
        total = 6 + octets + sum(int.from_bytes(words[i : i + 2], "big") for i in range(0, len(words), 2))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        partial[at + 16 : at + 18] = total.to_bytes(2, "big")
        assert pseudo
        out = bytearray(gateway.forward(bytes(partial), SERVERS, CHECKSUM_PARTIAL))
        layer = bytes(out[at:])
        total = sum(int.from_bytes(layer[i : i + 2], "big") for i in range(0, len(layer), 2))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        out[at + 16 : at + 18] = (total ^ 0xFFFF).to_bytes(2, "big")
        start = 20 if family == 4 else 14  # the identification may differ
        assert bytes(out[start:]) == whole[start:]


@FAMILIES
def test_an_error_about_a_reply_quotes_what_the_server_sent(family: int) -> None:
    def error_input(worker: Worker, packet: Packet) -> int:
        balancer = Balancer(worker.balancer)
        protocol, at = quoted_at(packet)
        return pass_error(worker, balancer, packet, find_quoted(balancer, packet, protocol, at), protocol, at)

    with Gateway() as gateway:
        talk = Talk(gateway, family)
        talk.opened([], [])
        assert talk.put(SERVERS, "PA", SERVERS_ISN + 1, ISN + 1, b"0123456789") == QUEUED
        [(_, sent)] = gateway.taken()
        network = bytes(Ether(sent).payload)
        link = Ether(src=mac(PEER_MAC[CLIENTS]), dst=mac(OWN_MAC[CLIENTS]))
        if family == 4:
            error = link / IP(src="100.64.9.9", dst=SERVICE[4]) / ICMP(type=3, code=4, nexthopmtu=1300) / Raw(network)
        else:
            error = link / IPv6(src="2001:db8:9::9", dst=SERVICE[6]) / ICMPv6PacketTooBig(mtu=1300) / Raw(network)
        assert gateway.put(bytes(error), CLIENTS, enter=error_input) == QUEUED
        [(port, out)] = gateway.taken()
        told = Ether(out)
        quoted = told[ICMP if family == 4 else ICMPv6PacketTooBig].payload
        assert (port, quoted.payload.seq) == (SERVERS, SERVERS_ISN + 1)
        again = Ether(out)
        inner = again[ICMP if family == 4 else ICMPv6PacketTooBig].payload
        del inner.payload.chksum
        assert bytes(again)[-20:] == out[-20:], "the quoted checksum"


# --- what goes wrong ------------------------------------------------------------------------------------------------


@FAMILIES
def test_what_is_no_cookie_opens_nothing(family: int) -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, family)
        assert talk.put(CLIENTS, "A", ISN + 1, 12345) == NO_CONN  # nobody has got one
        talk.challenge([("MSS", 1460)])
        wrong = [(ISN + 1, talk.cookie + 2), (ISN + 2, talk.cookie + 1), (ISN + 1, talk.cookie + 1 + (1 << 27))]
        for seq, ack in wrong:
            assert talk.put(CLIENTS, "A", seq, ack) == SYN_PROXY_BAD_ACK
        talk.sport += 1
        assert talk.put(CLIENTS, "A", ISN + 1, talk.cookie + 1) == SYN_PROXY_BAD_ACK
        talk.sport -= 1
        assert talk.put(CLIENTS, "A", ISN + 1, talk.cookie + 1, chksum=1) == TCP_BAD_CHECKSUM
        assert talk.put(CLIENTS, "R", ISN + 1, talk.cookie + 1) == NO_CONN
        assert gateway.balancer.count == 0
        assert talk.out() == []
        assert gateway.balancer.proxies[talk.service].bad == 4
        talk.bring_back()


def test_a_cookie_with_another_timestamp_is_none() -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, 4)
        talk.challenge(ALL)
        talk.told += 1 << 20
        assert talk.put(CLIENTS, "A", ISN + 1, talk.cookie + 1, options=talk.ack_options()) == SYN_PROXY_BAD_ACK
        assert talk.put(CLIENTS, "A", ISN + 1, talk.cookie + 1) == SYN_PROXY_BAD_ACK


def test_a_cookie_grows_old() -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, 4)
        talk.challenge(ALL)
        gateway.wait(60)
        talk.bring_back()
    with Gateway() as gateway:
        talk = Talk(gateway, 4)
        talk.challenge(ALL)
        gateway.wait(138)
        assert talk.put(CLIENTS, "A", ISN + 1, talk.cookie + 1, options=talk.ack_options()) in (
            NO_CONN,
            SYN_PROXY_BAD_ACK,
        )


@FAMILIES
def test_a_silent_server_is_asked_four_times_and_the_client_is_told(family: int) -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, family)
        talk.challenge(ALL)
        talk.bring_back()
        heard = []
        for second in range(1, 18):
            gateway.wait(1)
            heard += [(second, port, str(seen.layer.flags)) for port, seen in talk.out()]
        assert [(port, flags) for _, port, flags in heard] == [(SERVERS, "S")] * 3 + [(CLIENTS, "RA")]
        assert [second for second, _, _ in heard] == pytest.approx([1, 3, 7, 15], abs=1)
        assert gateway.balancer.count == 0
        assert gateway.balancer.servers[0].unanswered == 1
        assert gateway.balancer.services[talk.service].half_open == 0


@FAMILIES
def test_a_reset_of_the_server_is_the_clients(family: int) -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, family)
        talk.challenge(ALL)
        talk.bring_back()
        assert talk.put(SERVERS, "RA", 0, ISN + 1) == TCP_RESET
        [(port, seen)] = talk.out()
        assert port == CLIENTS
        assert str(seen.layer.flags) == "RA"
        assert (seen.layer.seq, seen.layer.ack) == ((talk.cookie + 1) & MASK, (ISN + 1) & MASK)
        assert gateway.balancer.count == 0
        assert gateway.balancer.servers[0].refused == 1


def test_what_comes_before_the_servers_answer() -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, 4)
        talk.challenge(ALL)
        talk.bring_back()
        assert talk.put(CLIENTS, "PA", ISN + 1, talk.cookie + 1, b"early") == SYN_PROXY_EARLY
        assert talk.put(CLIENTS, "S", 5) == SYN_PROXY_EARLY
        assert talk.put(SERVERS, "SA", 1, ISN) == SYN_PROXY_BAD_ANSWER
        [(port, seen)] = talk.out()
        assert (port, str(seen.layer.flags), seen.layer.seq) == (SERVERS, "R", ISN)
        assert talk.put(SERVERS, "A", 1, ISN + 1) == SYN_PROXY_BAD_ANSWER
        assert talk.put(CLIENTS, "R", 5) == SYN_PROXY_BAD_ANSWER
        talk.answer(THEIRS)
        assert talk.put(SERVERS, "SA", SERVERS_ISN, ISN + 1, options=THEIRS) == SYN_PROXY_ANSWERED
        [(port, seen)] = talk.out()
        assert (port, str(seen.layer.flags), seen.layer.ack) == (SERVERS, "A", SERVERS_ISN + 1)


def test_a_client_that_gives_up_takes_the_servers_half_along() -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, 4)
        talk.challenge(ALL)
        talk.bring_back()
        assert talk.put(CLIENTS, "R", ISN + 1) == TCP_RESET
        [(port, seen)] = talk.out()
        assert (port, str(seen.layer.flags), seen.layer.seq) == (SERVERS, "R", (ISN + 1) & MASK)
        assert gateway.balancer.count == 0


def test_a_storm_of_acknowledgements_ends_and_probes_do_not() -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, 4)
        talk.opened(ALL, THEIRS)
        same = ("A", ISN + 1, talk.cookie + 1)
        verdicts = [talk.put(CLIENTS, *same) for _ in range(12)]
        gateway.taken()
        assert verdicts == [QUEUED] * 9 + [SYN_PROXY_ACK_STORM] * 3
        assert gateway.balancer.proxies[talk.service].storms == 3
        talk.across(SERVERS, "PA", SERVERS_ISN + 1, ISN + 1, b"new")
        talk.across(CLIENTS, *same)
        for _ in range(15):
            gateway.wait(2)
            talk.across(CLIENTS, *same)


def test_nobody_to_take_it() -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, 4)
        talk.challenge(ALL)
        remove_server(gateway.balancer, 0)
        assert talk.put(CLIENTS, "A", ISN + 1, talk.cookie + 1, options=talk.ack_options()) == SERVICE_NO_SERVER
        [(port, seen)] = talk.out()
        assert (port, str(seen.layer.flags), seen.layer.seq) == (CLIENTS, "R", (talk.cookie + 1) & MASK)


# --- when -----------------------------------------------------------------------------------------------------------


def test_a_deferred_server_hears_of_the_connection_with_its_data() -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, 4, defer=True)
        talk.challenge(ALL, window=1460)
        assert (
            talk.put(CLIENTS, "A", ISN + 1, talk.cookie + 1, options=talk.ack_options()) == SYN_PROXY_DEFERRED
        )  # fmt: skip
        assert gateway.balancer.count == 0
        assert talk.out() == []
        talk.bring_back(b"GET /")
        talk.answer(THEIRS)
        assert talk.across(CLIENTS, "PA", ISN + 1, talk.cookie + 1, b"GET /").payload == b"GET /"


def test_auto_asks_when_too_many_are_half_open_and_when_the_table_is_full() -> None:
    with Gateway(conns=32) as gateway:
        talk = Talk(gateway, 4, mode="auto", half_open=3)
        for _ in range(3):
            assert talk.put(CLIENTS, "S", ISN) == QUEUED
            talk.sport += 1
        gateway.taken()
        assert gateway.balancer.services[talk.service].half_open == 3
        talk.opened(ALL, THEIRS)
        assert gateway.balancer.services[talk.service].half_open == 3
        change_syn_proxy(gateway.balancer, talk.service, "auto", half_open=1000)
        verdicts = []
        for _ in range(40):
            talk.sport += 1
            verdicts.append(talk.put(CLIENTS, "S", ISN))
            gateway.taken()
        assert verdicts == [QUEUED] * 25 + [SYN_PROXY_CHALLENGED] * 15
        gateway.wait(200)
        assert gateway.balancer.services[talk.service].half_open == 0
        assert talk.put(CLIENTS, "S", ISN) == QUEUED


def test_a_flood_leaves_the_table_empty_and_the_honest_client_is_served() -> None:
    with Gateway() as gateway:
        talk = Talk(gateway, 4)
        syn = bytearray(talk.frame(CLIENTS, "S", 7, options=[("MSS", 1460)]))
        for place in range(FLOOD):
            syn[26:30], syn[34:36] = (place * 2654435761 & MASK).to_bytes(4, "big"), (place & 0xFFFF).to_bytes(2, "big")
            syn[26] = 100  # a source that can be
            assert gateway.put(bytes(syn), CLIENTS, CHECKSUM_GOOD) == SYN_PROXY_CHALLENGED
            if place % 16 == 15:
                gateway.taken()
        gateway.taken()
        assert gateway.balancer.count == 0
        talk.opened(ALL, THEIRS)


def test_what_cannot_be_is_refused() -> None:
    with Gateway() as gateway:
        udp = gateway.service("udp", SERVICE[4], 53, (SERVER[4],))
        tcp = gateway.service("tcp", SERVICE[4], 80, (SERVER[4],))
        for number, mode_, half_open in ((udp, "always", 1), (tcp, "sometimes", 1), (tcp, "auto", 0)):
            with pytest.raises(ConfigureError):
                change_syn_proxy(gateway.balancer, number, mode_, half_open=half_open)
        change_syn_proxy(gateway.balancer, udp, "off")
