"""Where servers are: addresses for benchmarks (RFC 2544 C.2.2, RFC 5180 8)."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface

SERVER4, SERVER6 = IPv4Interface("198.19.0.1/24"), IPv6Interface("2001:2:0:2::1/64")
CLIENT4 = IPv4Interface("198.19.0.254/24")
TARGETS = 128
"""Addresses of a server whose clients would run out of ports (SERVER4 and those after it)."""
PORT, CLOSING_PORT = 80, 81
