"""What a configuration may say about health, and what is found wrong with it."""

from __future__ import annotations

import pytest

from pronghorn.control.load import loads, parse
from pronghorn.control.problems import ConfigError
from tests.control.test_health_manager import ADDRESS, config

HEAD = f"""
[[ports]]
name = "out"
device = "null:"
addresses = ["198.51.100.1/24", "{ADDRESS}/32"]
[balancer]
local_addresses = ["198.51.100.1"]
[[services]]
name = "web"
address = "{ADDRESS}:80"
"""


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('checks = [{type = "tcp"}]\nservers=[{address="10.0.0.1:80"}]', "takes no programs"),
        ('checks = [{type = "dns", via = "kernel"}]', "query: missing: a check of type dns needs it"),
        ('checks = [{type = "agent", via = "kernel"}]\nservers=[{address="10.0.0.1:80"}]', "port: missing"),
        ('checks = [{type = "script"}]', "command: missing"),
        ('checks = [{type = "tcp", path = "/x"}]', "no meaning for a check of type tcp"),
        ('checks = [{type = "http", verify = false}]', "no meaning for a check of type http"),
        ('checks = [{type = "tcp"}, {type = "tcp"}]', "another check of this service has this name"),
        ('checks = [{type = "tcp", interval = "10ms"}]', "is too small"),
        ('checks = [{type = "tcp", interval = "10 s"}]', "is not a duration"),
        ('checks = [{type = "tcp", interval = 2}]', "is a number, not a string"),
        ('checks = [{type = "http", status = "2xx"}]', "is not a list of status codes"),
        ('checks = [{type = "http", headers = ["a b: c"]}]', "is not a header field"),
        ('checks = [{type = "http", path = "x y"}]', "is not the path of a request"),
        ('checks = [{type = "udp", send = "hex:0g"}]', "no hexadecimal digits"),
        ('checks = [{type = "tpc"}]', 'did you mean "tcp"'),
        ('on_no_server = "sorry"', "sorry_server: missing"),
        ('sorry_server = "10.0.0.1:80"', "has no effect without"),
        ('on_no_server = "sorry"\nsorry_server = "[fd00::1]:80"\nmethod = "nat"', "is IPv6, the service is IPv4"),
        ('hysteresis = 1', "leaves nothing of the quorum"),
    ],
)  # fmt: skip
def test_mistakes_are_found(text: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong.replace("(", r"\(")):
        loads(HEAD + text)


def test_only_an_address_of_its_own_can_be_withdrawn() -> None:
    text = HEAD.replace(f'address = "{ADDRESS}:80"', 'address = "198.51.100.1:80"\non_no_server = "withdraw"')
    with pytest.raises(ConfigError) as caught:
        loads(text)
    said = str(caught.value)
    assert "would take the network of 198.51.100.1/24 away" in said
    assert "own connections" in said


def test_what_is_read_can_be_written_and_read_again() -> None:
    check = {"type": "https", "via": "kernel", "interval": "1500ms", "headers": ["a:b"], "status": "200"}
    wanted = config({"checks": [check], "passive": {"window": "60s"}, "on_down": ["/bin/x", "y"]})
    assert wanted.services[0].checks[0].headers == ("a: b",)
    assert wanted.services[0].passive is not None
    assert wanted.services[0].passive.window == "1m"
    assert parse(wanted.model_dump(mode="json")) == wanted
