"""Reading configurations: every mistake is named with its place, its value and what is allowed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pronghorn.control.load import load, loads
from pronghorn.control.model import Config
from pronghorn.control.problems import ConfigError
from pronghorn.control.reference import EXAMPLE
from tests.control.gateways import CONFIG

PORT = '[[ports]]\nname = "p"\ndevice = "xdp:eth0"\naddresses = ["10.0.0.1/24", "fd00::1/64"]\n'
LOCAL = '[balancer]\nlocal_addresses = ["10.0.0.1", "fd00::1"]\n'
SERVICE = '[[services]]\nname = "s"\naddress = "10.0.0.1:80"\n'


def said(text: str) -> list[str]:
    """What is said about a wrong text, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        loads(text, "f")
    return [str(problem).removeprefix("f:") for problem in caught.value.problems]


def test_a_right_one_is_read() -> None:
    config = loads(CONFIG)
    assert config.gateway.name == "edge"
    assert [str(server.address) for server in config.services[0].servers] == ["10.0.2.10:8080", "10.0.2.11:8080"]
    assert str(loads(EXAMPLE).services[1].address) == "[2001:db8::10]:80"
    assert Config.model_validate(config.model_dump(mode="json")) == config


def test_an_empty_one_is_the_defaults() -> None:
    assert loads("") == Config()


def test_all_mistakes_are_named_at_once() -> None:
    text = """\
[gateway]
workers = "two"
pakets = 1     # [not a table]

[[ports]]
name = "outside"
device = "xpd:eth0"
mtu = 99999
addresses = [
  "10.0.0.1/24",
  "fd00::1",
]

[[services]]
address = "2001:db8::1:80"
scheduler = "wlcc"
servers = [ { address = "10.0.2.1:80", weight = 70000 }, { weight = true } ]
"""
    assert said(text) == [
        '2: gateway.workers = "two": is a string, not a number or a list of cores; allowed: a number 1..256, '
        "or a list of different cores such as [2, 3], each 0..1023",
        "3: gateway.pakets = 1: unknown key; allowed: name, workers, packets, arena, huge_pages, busy_poll; "
        "did you mean packets?",
        '7: ports[0].device = "xpd:eth0": no such kind of device: "xpd"; allowed: "KIND:NAME", KIND being '
        "xdp, packet, tap, veth, bridge, pcap, null",
        "8: ports[0].mtu = 99999: is too large; allowed: 68..65535",
        '11: ports[0].addresses[1] = "fd00::1": the prefix length is missing; allowed: "ADDRESS/LENGTH", such as '
        '"10.0.0.1/24" or "fd00::1/64", length 0..32 (IPv4) or 0..128 (IPv6)',
        '14: services[0].name: missing; allowed: 1..32 letters, digits, ".", "_" or "-", ends being letters or digits',
        '15: services[0].address = "2001:db8::1:80": an IPv6 address needs brackets before the port, such as '
        '"[2001:db8::1]:80"; allowed: "ADDRESS:PORT", such as "198.51.100.1:80" or "[2001:db8::1]:80", port 1..65535',
        '16: services[0].scheduler = "wlcc": unknown; allowed: "rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh", '
        '"lblc", "lblcr", "fo", "ovf", "mh", "conhash", "p2c"; did you mean "wlc"?',
        "17: services[0].servers[0].weight = 70000: is too large; allowed: 0..65535",
        '17: services[0].servers[1].address: missing; allowed: "ADDRESS:PORT", such as "198.51.100.1:80" or '
        '"[2001:db8::1]:80", port 1..65535',
        "17: services[0].servers[1].weight = true: is a boolean; allowed: 0..65535",
    ]


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("gateway.name", '"../etc"', "is not a name"),
        ("gateway.workers", "0", "is out of range"),
        ("gateway.workers", "[1, 1]", "names a core twice"),
        ("gateway.workers", "[]", "is not a list of cores"),
        ("gateway.workers", "1.5", "is a floating-point number, not a number or a list of cores"),
        ("gateway.packets", "1023", "is too small; allowed: 1024..16777216"),
        ("gateway.packets", "1e6", "is a floating-point number"),
        ("gateway.packets", "9" * 30, "is too large"),
        ("gateway.workers", "9" * 30, "is out of range"),
        ("gateway.busy_poll", "1", "is a number; allowed: true, false"),
        ("gateway.arena", '"arena"', "is not the absolute path of a file"),
        ("balancer.local_ports", '"1-2"', "is out of range"),
        ("balancer.local_ports", '"3000-2000"', "ends before it begins"),
        ("balancer.timeouts.udp", "0", "is too small; allowed: 1..2000000"),
        ("balancer.timeouts.udp", "07:32:00", "is a date or time"),
        ("sockets.enabled", '"yes"', "is a string; allowed: true, false"),
        ("sockets.connections", "3", "is too small; allowed: 16..16777216"),
        ("sockets.local_ports", '"1-2"', "is out of range"),
        ("tcp.congestion", '"vegas"', 'unknown; allowed: "cubic", "reno", "bbr"'),
        ("tcp.ecn", "2", "unknown; allowed"),
        ("tcp.memory_low", "101", "is too large; allowed: 1..100"),
        ("tcp.timewait", "1", "did you mean time_wait?"),
        ("tcp.sack", "false", "has no effect on a gateway without sockets"),
        ("udp.send_buffer", "4096", "allowed: with sockets.enabled = true, any; without, none"),
        ("sockets.local_ports", '"2000-3000"', "has no effect on a gateway without sockets"),
        ("programs.ports_each", "9", "has no effect on a gateway that takes no programs"),
        ("programs.most", "193", "is too large; allowed: 1..192"),
        ("programs.users", '["a b"]', "is not a name"),
        ("balancer", "3", "is a number; allowed: a table with the keys local_addresses, local_ports, timeouts"),
        ("ports", '"x"', "is a string; allowed: an array, each: a table"),
        ("nothing", "1", "unknown key"),
    ],
)
def test_values_out_of_range(key: str, value: str, sentence: str) -> None:
    (found,) = said(f"{key} = {value}")
    assert found.startswith(f"1: {key}")
    assert sentence in found


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("10.0.0.0/24", "is the network 10.0.0.0/24"),
        ("10.0.0.255/24", "is the broadcast address of 10.0.0.0/24"),
        ("10.0.0.1/33", "the prefix length is out of range"),
        ("224.0.0.1/24", "is not the address of one host"),
        ("0.0.0.0/0", "is not the address of one host"),
        ("::/64", "is not the address of one host"),
        ("fe80::1%eth0/64", "a zone"),
        ("10.0.0.01/24", "is not an IPv4 or IPv6 address"),
        ("host/24", "is not an IPv4 or IPv6 address"),
    ],
)
def test_addresses_that_no_port_can_own(address: str, sentence: str) -> None:
    (found,) = said(PORT.replace("10.0.0.1/24", address))
    assert found.startswith(f'4: ports[0].addresses[0] = "{address}"')
    assert sentence in found


@pytest.mark.parametrize("mac", ["01:00:00:00:00:01", "00:00:00:00:00:00", "02:00:00:00:00", "x"])
def test_hardware_addresses_that_no_port_can_have(mac: str) -> None:
    assert "allowed: a unicast MAC address" in said(PORT + f'mac = "{mac}"')[0]


@pytest.mark.parametrize("device", ["eth0", "xdp:", "xdp:a/b", "tap:sixteen-letters-", "xdp:eth0~3", "veth:"])
def test_devices_that_cannot_be(device: str) -> None:
    assert 'allowed: "KIND:NAME"' in said(PORT.replace("xdp:eth0", device))[0]


@pytest.mark.parametrize("device", ["null:", "veth:blue", "bridge:lan"])
def test_devices_that_several_ports_may_open(device: str) -> None:
    one = PORT.replace("xdp:eth0", device)
    other = one.replace('"p"', '"q"').replace("10.0", "10.1").replace("fd00", "fd01")
    assert len(loads(one + other).ports) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (PORT + PORT.replace("10.0", "10.1").replace("fd00", "fd01"), "another port has this name"),
        (PORT + PORT.replace("10.0", "10.1").replace("fd00", "fd01"), "another port opens this device"),
        (PORT + PORT, "this address is listed twice"),
        (PORT + PORT.replace("0.1/", "0.2/").replace("::1", "::2"), 'the network fd00::/64 is on port "p" already'),
        (PORT + "mtu = 1000\n", "too small for a port with IPv6 addresses"),
        ('[[routes]]\nprefix = "10.0.0.1/8"\n', "has bits set after the prefix length; the prefix is 10.0.0.0/8"),
        ('[[routes]]\nprefix = "10.0.0.0/8"\n', "has neither `via` nor `port`"),
        (PORT + '[[routes]]\nprefix = "::/0"\nport = "q"\n', "no port has this name; allowed: p"),
        (PORT + '[[routes]]\nprefix = "::/0"\nvia = "10.0.0.2"\n', "is not of the route's family (IPv6)"),
        (PORT + '[[routes]]\nprefix = "::/0"\nvia = "fe80::1"\n', "is link-local, so the route needs `port`"),
        (PORT + '[[routes]]\nprefix = "::/0"\nvia = "fd00::1"\n', "is an address of this gateway"),
        (PORT + '[[routes]]\nprefix = "::/0"\nvia = "fd01::1"\n', "is in no network of any port; allowed: an address"),
        (PORT + 2 * '[[routes]]\nprefix = "::/0"\nport = "p"\n', "another route has this prefix"),
        (PORT + LOCAL.replace("10.0.0.1", "10.0.0.9"), "no port owns 10.0.0.9"),
        (PORT + LOCAL.replace("fd00::1", "10.0.0.1"), "this address is listed twice"),
        (PORT + SERVICE.replace("10.0.0.1", "10.0.0.9"), "no port owns 10.0.0.9; allowed: an address listed in"),
        (PORT + SERVICE + SERVICE.replace("80", "81"), "another service has this name"),
        (PORT + SERVICE + SERVICE.replace('"s"', '"t"'), "another service has this protocol and address"),
        (PORT + SERVICE + 'servers = [{ address = "10.0.0.9:1" }]', "balancer.local_addresses has no IPv4 address"),
        (PORT + LOCAL + SERVICE + 'method="nat"\nservers=[{address="[fd00::9]:1"}]', "is IPv6, the service is IPv4"),
        (PORT + LOCAL + SERVICE + 'servers = [{ address = "10.0.0.1:1" }]', "is an address of this gateway"),
        (
            PORT + LOCAL + SERVICE + "servers = [" + 2 * '{ address = "10.0.0.9:1" }, ' + "]",
            "another server of this service",
        ),
    ],
)
def test_values_that_do_not_go_together(text: str, sentence: str) -> None:
    assert any(sentence in found for found in said(text)), said(text)


def test_the_same_port_number_for_tcp_and_udp_is_two_services() -> None:
    loads(PORT + SERVICE + SERVICE.replace('"s"', '"t"') + 'protocol = "udp"\n')


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[gateway\nname = 1", "1: not TOML: expected ']'"),
        ("[gateway]\nname = 'x'\nname = 'y'", "3: not TOML: cannot overwrite a value"),
        ("a = [", "1: not TOML: invalid value"),
        ("a = \x00", "1: not TOML"),
        ("a = " + "9" * 5000, "1: not TOML: exceeds the limit"),
        ("a = " + "[" * 5000, " is nested too deeply"),
    ],
)
def test_what_is_not_toml(text: str, sentence: str) -> None:
    assert said(text)[0].startswith(sentence)


@pytest.mark.parametrize("depth", range(50, 1000, 50))
def test_any_depth_is_an_error_and_nothing_worse(depth: int) -> None:
    assert said("a = " + "[" * depth + "]" * depth)
    assert said("a = " + "{b = " * depth + "1" + "}" * depth)


def test_mutated_configurations_are_read_or_refused() -> None:
    draw = random.Random(20261120)
    for _ in range(400):
        letters = list(EXAMPLE)
        for _ in range(draw.randint(1, 6)):
            place, source = draw.randrange(len(letters)), draw.randrange(len(letters))
            what = draw.choice([[], list(draw.choice("[]{}\"'=.,#\n09:/x\0é\\")), letters[source : source + 20]])
            letters[place : place + draw.randint(0, 8)] = what
        text = "".join(letters)
        try:
            loads(text)
        except ConfigError as error:
            for problem in error.problems:
                assert problem.line is not None
                assert 1 <= problem.line <= text.count("\n") + 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"# \n# \xff")
    with pytest.raises(ConfigError, match=r"binary.toml:2: is not UTF-8 text"):
        load(tmp_path / "binary.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_what_sockets_need_of_each_other() -> None:
    text = """\
[gateway]
workers = 64
[sockets]
enabled = true
sockets = 100
[tcp]
receive_buffer = 4194304
receive_max = 65536
memory_high = 60
"""
    assert said(text) == [
        "3: sockets.datagram_sockets = 4096: is more than all sockets; allowed: 1..100 (sockets.sockets)",
        "4: sockets.enabled = true: is for fewer workers; allowed: gateway.workers 1..63",
        "6: tcp.memory_pressure = 75: is more than tcp.memory_high; allowed: at most 60",
        "7: tcp.receive_buffer = 4194304: is more than tcp.receive_max; allowed: at most 65536",
    ]


def test_what_programs_need() -> None:
    """Each of the four rules, and that a right section passes."""
    text = """\
[[ports]]
name = "a"
device = "null:"
addresses = ["10.0.0.1/24", "10.0.0.2/24"]
[balancer]
local_addresses = ["10.0.0.2"]
[sockets]
enabled = true
[programs]
enabled = true
addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
ports = "32000-33000"
ports_each = 16
"""
    assert [problem.partition(": ")[2] for problem in complaints(text)] == [
        'programs.addresses[1] = "10.0.0.2": is one of balancer.local_addresses, whose ports are the balancer\'s; '
        "allowed: another address of a port",
        'programs.addresses[2] = "10.0.0.3": no port owns 10.0.0.3; '
        "allowed: an address listed in ports.addresses (10.0.0.1, 10.0.0.2)",
        'programs.ports = "32000-33000": overlaps sockets.local_ports, the ports of the gateway\'s own sockets; '
        "allowed: ports outside 32768-60999",
        "programs.ports_each = 16: is too much for 64 programs (programs.most) in 32000-33000 (programs.ports); "
        "allowed: 1..15",
    ]
    right = text.replace(', "10.0.0.2", "10.0.0.3"', "").replace("33000", "32767").replace("= 16", "= 12")
    assert loads(right).programs.ports_each == 12


def complaints(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loads(text)
    return [str(problem) for problem in caught.value.problems]
