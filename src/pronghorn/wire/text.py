"""Addresses between text and the integers that headers hold. Plain Python, for the control plane and for tests.

An Ethernet address is one integer of 48 bits, an IPv4 address one of 32. An IPv6 address is two halves as be64 fields
read them: signed 64-bit numbers. Text that is no address raises ValueError (ipaddress says what is wrong with it).
"""

import re
from ipaddress import IPv4Address, IPv6Address

_WRAP = 1 << 64
_MAC_PART = re.compile("[0-9A-Fa-f]{1,2}")


def parse_mac(text: str) -> int:
    """Six octets in hexadecimal with colons or dashes between them."""
    parts = text.replace("-", ":").split(":")
    if len(parts) != 6 or not all(_MAC_PART.fullmatch(part) for part in parts):
        raise ValueError(f"{text!r} is not an Ethernet address such as 02:00:00:00:00:01")
    return int.from_bytes(bytes(int(part, 16) for part in parts), "big")


def format_mac(mac: int) -> str:
    """As 02:00:00:00:00:01."""
    return mac.to_bytes(6, "big").hex(":")


def parse_ip4(text: str) -> int:
    """An IPv4 address."""
    return int(IPv4Address(text))


def format_ip4(ip: int) -> str:
    """As 192.0.2.1."""
    return str(IPv4Address(ip))


def signed(number: int) -> int:
    """The 64-bit number that compiled code sees."""
    number &= _WRAP - 1
    return number - _WRAP if number >= _WRAP >> 1 else number


def unsigned(number: int) -> int:
    """Back from the number that compiled code sees."""
    return number & _WRAP - 1


def parse_ip6(text: str) -> tuple[int, int]:
    """An IPv6 address as its two halves. A zone (%eth0) is not part of it and is refused."""
    if "%" in text:
        raise ValueError(f"{text!r} names a zone; give the address alone")
    number = int(IPv6Address(text))
    return signed(number >> 64), signed(number)


def format_ip6(hi: int, lo: int) -> str:
    """As 2001:db8::1."""
    return str(IPv6Address(unsigned(hi) << 64 | unsigned(lo)))
