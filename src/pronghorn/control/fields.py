"""The kinds of values a configuration holds: how each is written in TOML, what is allowed, and how it reads back.

Each kind is an annotated type: a reader (text or number to value, ValueError says what is wrong), a writer (value to
text) and the sentence on what is allowed. Error messages and the reference page both take that sentence from here, so
they cannot differ.
"""

import re
from collections.abc import Callable
from datetime import date, time
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_interface, ip_network
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, Strict

from pronghorn.control.endpoint import FORM, Address, Endpoint, parse_address, parse_endpoint

Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network

DEVICES = {
    "xdp": "a kernel interface by AF_XDP",
    "packet": "a kernel interface by AF_PACKET rings",
    "tap": "a TAP device: the way back to the kernel",
    "veth": "one end of a user-veth",
    "bridge": "a port of a user-vbridge",
    "pcap": "replay and capture of a file",
    "null": "generator and sink for benchmarks",
}


def _from_text(read: Callable[[str], Any]) -> PlainValidator:
    """Text is read; a value that is already what the text would give (its text reads back as itself) is kept."""

    def convert(value: Any) -> Any:
        if isinstance(value, bool | int | float | list | dict | date | time):
            raise ValueError(f"is {kind_of(value)}, not a string")
        return read(value) if isinstance(value, str) else value

    return PlainValidator(convert)


def kind_of(value: object) -> str:
    """What TOML calls this value."""
    kinds: dict[type, str] = {
        bool: "a boolean",
        int: "a number",
        float: "a floating-point number",
        str: "a string",
        list: "an array",
        dict: "a table",
    }
    return kinds.get(type(value), "a date or time" if isinstance(value, date | time) else "null")


def _allowed(sentence: str) -> Any:
    return Field(json_schema_extra={"allowed": sentence})


_text = PlainSerializer(str, return_type=str)


def _read_interface(text: str) -> Interface:
    host, slash, _ = text.partition("/")
    parse_address(host)
    if not slash:
        raise ValueError("the prefix length is missing")
    try:
        interface = ip_interface(text)
    except ValueError:
        raise ValueError("the prefix length is out of range") from None
    network = interface.network
    if network.num_addresses > 2 and interface.ip == network.network_address:
        raise ValueError(f"is the network {network}, not the address of a host in it")
    if interface.version == 4 and network.num_addresses > 2 and interface.ip == network.broadcast_address:
        raise ValueError(f"is the broadcast address of {network}")
    return interface


def _read_network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        loose = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("is not a prefix") from None
    raise ValueError(f"has bits set after the prefix length; the prefix is {loose}")


def _read_mac(text: str) -> str:
    octets = text.lower().replace("-", ":")
    if not re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", octets):
        raise ValueError("is not a MAC address")
    if int(octets[:2], 16) & 1:
        raise ValueError("is a multicast address")
    if octets == "00:00:00:00:00:00":
        raise ValueError("is the null address")
    return octets


def _read_device(text: str) -> str:
    kind, colon, rest = text.partition(":")
    if not colon:
        raise ValueError("the kind of device is missing")
    if kind not in DEVICES:
        raise ValueError(f'no such kind of device: "{kind}"')
    if not rest and kind != "null":
        raise ValueError(f'what comes after "{kind}:" is missing')
    if kind in ("xdp", "packet", "tap") and "~" in rest:
        raise ValueError("a single queue of an interface cannot be chosen yet: a port takes the whole interface")
    if kind in ("xdp", "packet", "tap") and not re.fullmatch(r"[^\s/]{1,15}", rest):
        raise ValueError(f'"{rest}" is not the name of a kernel interface (1..15 characters, no space or slash)')
    return text


def _read_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,30}[A-Za-z0-9])?", text):
        raise ValueError("is not a name")
    return text


def _read_path(text: str) -> str:
    if not text.startswith("/") or text.endswith("/") or "\0" in text:
        raise ValueError("is not the absolute path of a file")
    return text


def _read_workers(value: Any) -> Any:
    """A number of workers, or the cores they are pinned to."""
    if isinstance(value, bool) or not isinstance(value, int | list | tuple):
        raise ValueError(f"is {kind_of(value)}, not a number or a list of cores")
    if isinstance(value, int):
        if not 1 <= value <= 256:
            raise ValueError("is out of range")
        return value
    cores = tuple(value)
    if not cores or not all(type(core) is int and 0 <= core <= 1023 for core in cores):
        raise ValueError("is not a list of cores")
    if len(set(cores)) != len(cores):
        raise ValueError("names a core twice")
    return cores


def _read_ports(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
    if not match:
        raise ValueError("is not a range of ports")
    low, high = int(match[1]), int(match[2])
    if not 1024 <= low <= high <= 65535:
        raise ValueError("is out of range" if low <= high else "ends before it begins")
    return low, high


NameField = Annotated[
    str, _from_text(_read_name), _allowed('1..32 letters, digits, ".", "_" or "-", ends being letters or digits')
]
DeviceField = Annotated[
    str, _from_text(_read_device), _allowed('"KIND:NAME", KIND being ' + ", ".join(f"{kind}" for kind in DEVICES))
]
EndpointField = Annotated[Endpoint, _from_text(parse_endpoint), _text, _allowed(FORM)]
AddressField = Annotated[
    Address,
    _from_text(parse_address),
    _text,
    _allowed('the address of one host, such as "10.0.0.1" or "fd00::1"'),
]
InterfaceField = Annotated[
    Interface,
    _from_text(_read_interface),
    _text,
    _allowed('"ADDRESS/LENGTH", such as "10.0.0.1/24" or "fd00::1/64", length 0..32 (IPv4) or 0..128 (IPv6)'),
]
NetworkField = Annotated[
    Network,
    _from_text(_read_network),
    _text,
    _allowed('"PREFIX/LENGTH", such as "10.0.0.0/8" or "::/0"'),
]
MacField = Annotated[str, _from_text(_read_mac), _allowed('a unicast MAC address, such as "02:00:00:00:00:01"')]
PathField = Annotated[str, _from_text(_read_path), _allowed('an absolute path, such as "/run/pronghorn/edge.arena"')]
WorkersField = Annotated[
    int | tuple[int, ...],
    PlainValidator(_read_workers),
    PlainSerializer(lambda value: value, return_type=Any),
    _allowed("a number 1..256, or a list of different cores such as [2, 3], each 0..1023"),
]
PortRangeField = Annotated[
    tuple[int, int],
    _from_text(_read_ports),
    PlainSerializer(lambda ports: f"{ports[0]}-{ports[1]}", return_type=str),
    _allowed('"LOW-HIGH", each 1024..65535'),
]
NotStrict = Strict(False)  # TOML has arrays only; the model keeps them as tuples, so that a configuration cannot change
