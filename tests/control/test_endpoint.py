"""Endpoints are written one way, and read back as what was written."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pronghorn.control.endpoint import Endpoint, parse_endpoint


@given(st.ip_addresses(), st.integers(1, 65535))
def test_text_reads_back(address: IPv4Address | IPv6Address, port: int) -> None:
    assume(not (address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255"))
    endpoint = Endpoint(address, port)
    assert parse_endpoint(str(endpoint)) == endpoint


WRONG = """
: 10.0.0.1 10.0.0.1: 10.0.0.1:0 10.0.0.1:65536 10.0.0.1:+1 10.0.0.1:٣ [10.0.0.1]:80 [::1] [::1]80 ::1:80 host:80
[]:80 [fe80::1%eth0]:80 0.0.0.0:80 [ff02::1]:80 255.255.255.255:80 10.0.0.1:80:80 10.0.0.256:80
"""


@pytest.mark.parametrize("text", ["", " 10.0.0.1:80", *WRONG.split()])
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError, match=r"is|needs|zone|brackets"):
        parse_endpoint(text)
