"""Every sample frame, cut at every octet, with a guard page behind the cut.

Two ways to be cut: the octets are gone while headers state the old lengths (a damaged frame), and the lengths of the IP
header and of UDP were mended so that the upper layers see the cut (an attacker's frame). Nothing is read past the end,
and the reason names the layer in which the cut lies.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pronghorn.compiled import bounds
from tests.wire.judges import scapy_checksum
from tests.wire.support import judge, vectors

ROOT = Path(__file__).parents[2]
PATHS = f"{ROOT / 'src'}:{ROOT}"
FRAMES = vectors("frames")
LAYERS = {
    "arp": ("ARP_TRUNCATED",),
    "tcp4": ("IPV4_TRUNCATED", "IPV4_BAD_LENGTH"),
    "udp4": ("IPV4_TRUNCATED", "IPV4_BAD_LENGTH"),
    "vlan": ("VLAN_TRUNCATED", "IPV4_TRUNCATED", "IPV4_BAD_LENGTH"),
    "qinq": ("VLAN_TRUNCATED", "IPV6_TRUNCATED", "IPV6_BAD_LENGTH"),
    "icmp": ("IPV4_TRUNCATED", "IPV4_BAD_LENGTH"),
    "options4": ("IPV4_TRUNCATED", "IPV4_BAD_IHL", "IPV4_BAD_LENGTH"),
    "fragment4": ("IPV4_TRUNCATED", "IPV4_BAD_LENGTH"),
}
IPV6 = ("IPV6_TRUNCATED", "IPV6_BAD_LENGTH")


def layers(name: str) -> tuple[str, ...]:
    """What a cut of this frame may be called, from the front to the back."""
    return LAYERS.get(name.partition("-")[0], IPV6)


@pytest.mark.parametrize("name", FRAMES)
def test_cut_at_every_octet(name: str) -> None:
    frame = FRAMES[name]
    reasons = [judge(frame[:octets]) for octets in range(len(frame))]
    order = ("ETHERNET_RUNT", *layers(name))
    assert set(reasons) == set(order)
    assert reasons == sorted(reasons, key=order.index)  # a longer piece gets further


MENDED = {
    "udp4": ["UDP_TRUNCATED", "UDP_BAD_LENGTH"],
    "udp6": ["UDP_TRUNCATED", "UDP_BAD_LENGTH"],
    "tcp4-syn": ["TCP_TRUNCATED", "TCP_OFFSET_BEYOND"],
    "tcp4-data": ["TCP_TRUNCATED", "TCP_OFFSET_BEYOND", "TCP_BAD_CHECKSUM"],
    "tcp6-syn": ["TCP_TRUNCATED", "TCP_OFFSET_BEYOND"],
    "icmp-echo": ["ICMP_TRUNCATED", "ICMP_BAD_CHECKSUM"],
    "icmp6-echo": ["ICMPV6_TRUNCATED", "ICMPV6_BAD_CHECKSUM"],
    "extensions-udp6": ["EXTENSION_TRUNCATED", "UDP_TRUNCATED", "UDP_BAD_LENGTH"],
    "fragment6-first": ["EXTENSION_TRUNCATED", "IPV6_FRAGMENT_EMPTY", "IPV6_FRAGMENT_UNALIGNED", "GOOD"],
}


def mended(frame: bytes, octets: int) -> bytes:
    """The first octets of the frame, with the IP length (and header checksum) that fits them."""
    if not is_ipv4(frame):
        return frame[:18] + (octets - 54).to_bytes(2, "big") + frame[20:octets]
    header = bytearray(frame[14:34])
    header[2:4] = (octets - 14).to_bytes(2, "big")
    header[10:12] = b"\0\0"
    header[10:12] = scapy_checksum(bytes(header)).to_bytes(2, "big")
    return frame[:14] + bytes(header) + frame[34:octets]


def is_ipv4(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x00"


@pytest.mark.parametrize("name", MENDED)
def test_cut_with_mended_lengths(name: str) -> None:
    frame = FRAMES[name]
    start = 34 if is_ipv4(frame) else 54
    reasons = [judge(mended(frame, octets)) for octets in range(start, len(frame))]
    assert list(dict.fromkeys(reasons)) == MENDED[name]


def test_the_guard_page_bites() -> None:
    """Else nothing here could fail: one octet too far ends a process, in this mode."""
    program = (
        "from tests.wire import support; from pronghorn.wire import checksum; checksum.add(support.place(b'12'), 3)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=dict(os.environ, PYTHONPATH=PATHS), check=False
    )
    assert ended.returncode == -(signal.SIGABRT if bounds.ENABLED else signal.SIGSEGV)
