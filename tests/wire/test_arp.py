"""ARP for IPv4 over Ethernet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.wire import arp
from pronghorn.wire.arp import ARP
from pronghorn.wire.text import format_ip4, format_mac
from tests.wire import judges
from tests.wire.support import NAMES, octets_at, place, vectors

macs = st.integers(0, (1 << 48) - 1)
ips = st.integers(0, (1 << 32) - 1)
REQUEST = vectors("frames")["arp-request"][14:]
REPLY = vectors("frames")["arp-reply"][14:]
REPLY_TO_REQUEST = bytes.fromhex("0001080006040002 020000000002c0000202 020000000001c0000201")


def judge(packet: bytes) -> str:
    return NAMES[arp.check(place(packet), len(packet))]


@given(st.sampled_from([1, 2]), macs, ips, macs, ips)
def test_emit_and_scapy_agree(operation: int, mac: int, ip: int, other_mac: int, other_ip: int) -> None:
    address = place(bytes(28))
    arp.emit(address, operation, mac, ip, other_mac, other_ip)
    wanted = judges.ARP(
        op=operation,
        hwsrc=format_mac(mac),
        psrc=format_ip4(ip),
        hwdst=format_mac(other_mac),
        pdst=format_ip4(other_ip),
    )
    assert octets_at(address, 28) == bytes(wanted)
    packet = ARP(address)
    assert (packet.operation, arp.sender(packet), packet.sender_ip) == (operation, mac, ip)
    assert (arp.target(packet), packet.target_ip) == (other_mac, other_ip)


def test_a_request_becomes_its_reply() -> None:
    address = place(REQUEST)
    arp.emit_reply(ARP(address), 0x0200_0000_0002)
    assert octets_at(address, 28) == REPLY_TO_REQUEST


def test_a_probe_is_good_and_padding_is_not_read() -> None:
    assert judge(REQUEST[:14] + bytes(4) + REQUEST[18:]) == "GOOD"
    assert judge(REQUEST + bytes(18)) == "GOOD"


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (REQUEST[:27], "ARP_TRUNCATED"),
        (b"\0\6" + REQUEST[2:], "ARP_BAD_HARDWARE"),
        (REQUEST[:2] + b"\x86\xdd" + REQUEST[4:], "ARP_BAD_PROTOCOL"),
        (REQUEST[:4] + b"\x08\x04" + REQUEST[6:], "ARP_BAD_LENGTHS"),
        (REQUEST[:4] + b"\x06\x10" + REQUEST[6:], "ARP_BAD_LENGTHS"),
        (REQUEST[:4] + b"\x00\x00" + REQUEST[6:], "ARP_BAD_LENGTHS"),
        (REQUEST[:6] + b"\x00\x03" + REQUEST[8:], "ARP_BAD_OPERATION"),
        (REQUEST[:8] + b"\x01" + REQUEST[9:], "ARP_BAD_SENDER"),
        (REQUEST[:8] + bytes(6) + REQUEST[14:], "ARP_BAD_SENDER"),
        (REQUEST[:14] + b"\xe0\0\0\1" + REQUEST[18:], "ARP_BAD_SENDER"),
        (REQUEST[:14] + b"\xff" * 4 + REQUEST[18:], "ARP_BAD_SENDER"),
        (REPLY[:14] + bytes(4) + REPLY[18:], "ARP_BAD_SENDER"),
    ],
)
def test_malformed(packet: bytes, reason: str) -> None:
    assert judge(packet) == reason
