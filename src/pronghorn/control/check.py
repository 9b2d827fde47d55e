"""What must hold between the values of a configuration, one rule per function.

Names and addresses are used once; what refers to something refers to something that is there; both ends of a balanced
connection are of one family and full NAT has a local address of that family. Pure: a configuration in, findings out.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pronghorn.control import access_settings, methods, options, scheduling
from pronghorn.control.health.rules import findings
from pronghorn.control.model import Address, Config, Port, Programs, Sockets, Tcp, Udp
from pronghorn.control.places import Path
from pronghorn.control.problems import meant

IPV6_MINIMUM_MTU = 1280  # RFC 8200 section 5
SOCKET_WORKERS = 63  # workers that can have a UDP port together: the bits of a word (udp/endpoint.py)


@dataclass(frozen=True)
class Finding:
    path: Path
    value: Any
    wrong: str
    allowed: str | None = None
    meant: str | None = None


def check(config: Config) -> Iterator[Finding]:
    """All findings of all rules."""
    for rule in RULES:
        yield from rule(config)


def _port_names(config: Config) -> Iterator[Finding]:
    names = [(("ports", i, "name"), port.name) for i, port in enumerate(config.ports)]
    return _unique(names, "another port has this name")


def _devices(config: Config) -> Iterator[Finding]:
    """A user-veth has two ends and a user-vbridge many members, all of one name; null ports have none."""
    shared = ("null:", "veth:", "bridge:")
    devices = [
        (("ports", i, "device"), port.device)
        for i, port in enumerate(config.ports)
        if not port.device.startswith(shared)
    ]
    return _unique(devices, "another port opens this device")


def _mtus(config: Config) -> Iterator[Finding]:
    for i, port in enumerate(config.ports):
        ipv6 = any(interface.version == 6 for interface in port.addresses)
        if ipv6 and port.mtu is not None and port.mtu < IPV6_MINIMUM_MTU:
            wrong = "is too small for a port with IPv6 addresses (RFC 8200 section 5)"
            yield Finding(("ports", i, "mtu"), port.mtu, wrong, f"{IPV6_MINIMUM_MTU}..65535")


def _owned_once(config: Config) -> Iterator[Finding]:
    """An address belongs to one port, and a network is reached through one port."""
    addresses = [(path, interface.ip) for path, _, interface in _interfaces(config)]
    yield from _unique(addresses, "this address is listed twice")
    owners: dict[Any, Port] = {}
    for path, port, interface in _interfaces(config):
        network = interface.network
        owner = owners.setdefault(network, port)
        if owner is not port and network.num_addresses > 1:
            wrong = f'the network {network} is on port "{owner.name}" already'
            yield Finding(path, str(interface), wrong, f"a network of its own, or /{network.max_prefixlen} as length")


def _routes(config: Config) -> Iterator[Finding]:
    prefixes = [(("routes", i, "prefix"), route.prefix) for i, route in enumerate(config.routes)]
    yield from _unique(prefixes, "another route has this prefix")
    names = [port.name for port in config.ports]
    for i, route in enumerate(config.routes):
        place: Path = ("routes", i)
        if route.via is None and route.port is None:
            yield Finding(place, str(route.prefix), "has neither `via` nor `port`", "one of them or both")
            continue
        if route.port is not None and route.port not in names:
            near = meant(route.port, names)
            wrong = "no port has this name"
            yield Finding((*place, "port"), route.port, wrong, _listed(names), f'"{near}"' if near else None)
        elif route.via is not None:
            yield from _via(config, place, route.via, route.port, route.prefix.version)


def _via(config: Config, place: Path, via: Address, name: str | None, family: int) -> Iterator[Finding]:
    if via.version != family:
        yield Finding((*place, "via"), str(via), f"is not of the route's family (IPv{family})")
    elif via.is_link_local:
        if name is None:
            yield Finding((*place, "via"), str(via), "is link-local, so the route needs `port` as well")
    elif any(interface.ip == via for _, _, interface in _interfaces(config)):
        yield Finding((*place, "via"), str(via), "is an address of this gateway", "the address of another router")
    else:
        networks = [i.network for _, port, i in _interfaces(config) if name in (None, port.name)]
        if not any(via in network for network in networks if network.version == family):
            where = f'port "{name}"' if name else "any port"
            allowed = "an address in " + _listed(str(n) for n in networks if n.version == family)
            yield Finding((*place, "via"), str(via), f"is in no network of {where}", allowed)


def _local_addresses(config: Config) -> Iterator[Finding]:
    listed = [
        (("balancer", "local_addresses", i), address) for i, address in enumerate(config.balancer.local_addresses)
    ]
    yield from _unique(listed, "this address is listed twice")
    owned = _all_owned(config)
    for path, address in listed:
        yield from _owned(owned, path, address, str(address))


def _services(config: Config) -> Iterator[Finding]:
    names = [(("services", i, "name"), service.name) for i, service in enumerate(config.services)]
    yield from _unique(names, "another service has this name")
    keys = [(("services", i, "address"), service.key) for i, service in enumerate(config.services)]
    yield from _unique(keys, "another service has this protocol and address")
    owned = _all_owned(config)
    for i, service in enumerate(config.services):
        yield from _owned(owned, ("services", i, "address"), service.address.address, str(service.address))


def _servers(config: Config) -> Iterator[Finding]:
    owned = _all_owned(config)
    for i, service in enumerate(config.services):
        place: Path = ("services", i, "servers")
        listed = [((*place, k, "address"), server.address) for k, server in enumerate(service.servers)]
        yield from _unique(listed, "another server of this service has this address")
        labels = [((*place, k, "name"), server.name) for k, server in enumerate(service.servers) if server.name]
        yield from _unique(labels, "another server of this service has this name")
        for path, address in listed:
            if address.address in owned:
                yield Finding(path, str(address), "is an address of this gateway", "the address of another host")


def _local_families(config: Config) -> Iterator[Finding]:
    """Full NAT needs a local address of each family that its servers have."""
    families = {address.version for address in config.balancer.local_addresses}
    for i, service in enumerate(config.services):
        for family in sorted(methods.local_families(service) - families):
            wrong = f"balancer.local_addresses has no IPv{family} address for its connections to servers"
            yield Finding(("services", i, "address"), str(service.address), wrong)


def _sockets(config: Config) -> Iterator[Finding]:
    """What is said about sockets has an effect, and an engine can have them."""
    sockets, workers = config.sockets, config.gateway.workers
    if not sockets.enabled:
        unused = [("sockets", "local_ports")] if sockets.local_ports != Sockets().local_ports else []
        for name, section, usual in (("tcp", config.tcp, Tcp()), ("udp", config.udp, Udp())):
            unused += [(name, key) for key, value in section if value != getattr(usual, key)]
        for section_name, key in unused:
            value = config.model_dump(mode="json")[section_name][key]
            wrong = "has no effect on a gateway without sockets"
            yield Finding((section_name, key), value, wrong, "with sockets.enabled = true, any; without, none")
        return
    if (len(workers) if isinstance(workers, tuple) else workers) > SOCKET_WORKERS:
        yield Finding(("sockets", "enabled"), True, "is for fewer workers", f"gateway.workers 1..{SOCKET_WORKERS}")
    if sockets.datagram_sockets > sockets.sockets:
        allowed = f"1..{sockets.sockets} (sockets.sockets)"
        yield Finding(("sockets", "datagram_sockets"), sockets.datagram_sockets, "is more than all sockets", allowed)


def _tcp_limits(config: Config) -> Iterator[Finding]:
    """What grows begins below its limit, and pressure comes before the end."""
    tcp = config.tcp
    for low, high in (
        ("receive_buffer", "receive_max"),
        ("send_buffer", "send_max"),
        ("memory_low", "memory_pressure"),
        ("memory_pressure", "memory_high"),
    ):
        least, most = getattr(tcp, low), getattr(tcp, high)
        if least > most:
            yield Finding(("tcp", low), least, f"is more than tcp.{high}", f"at most {most}")


def _programs(config: Config) -> Iterator[Finding]:
    """What is said about programs has an effect; their addresses and ports are theirs."""
    programs = config.programs
    if not programs.enabled:
        for key, value in programs:
            if value != getattr(Programs(), key):
                wrong = "has no effect on a gateway that takes no programs"
                shown = config.model_dump(mode="json")["programs"][key]
                yield Finding(("programs", key), shown, wrong, "with programs.enabled = true, any; without, none")
        return
    listed = [(("programs", "addresses", i), address) for i, address in enumerate(programs.addresses)]
    yield from _unique(listed, "this address is listed twice")
    owned = _all_owned(config)
    for path, address in listed:
        yield from _owned(owned, path, address, str(address))
        if address in config.balancer.local_addresses:
            wrong = "is one of balancer.local_addresses, whose ports are the balancer's"
            yield Finding(path, str(address), wrong, "another address of a port")
    low, high = programs.ports
    if programs.most * programs.ports_each > high - low + 1:
        wrong = f"is too much for {programs.most} programs (programs.most) in {low}-{high} (programs.ports)"
        allowed = f"1..{(high - low + 1) // programs.most}" if high - low + 1 >= programs.most else "with more ports"
        yield Finding(("programs", "ports_each"), programs.ports_each, wrong, allowed)
    first, last = config.sockets.local_ports
    if config.sockets.enabled and first <= high and low <= last:
        wrong = "overlaps sockets.local_ports, the ports of the gateway's own sockets"
        yield Finding(("programs", "ports"), f"{low}-{high}", wrong, f"ports outside {first}-{last}")


def _health(config: Config) -> Iterator[Finding]:
    return (Finding(*found) for found in findings(config))


def _methods(config: Config) -> Iterator[Finding]:
    return (Finding(*found) for found in methods.findings(config))


def _options(config: Config) -> Iterator[Finding]:
    return (Finding(*found) for found in options.findings(config))


def _scheduling(config: Config) -> Iterator[Finding]:
    return (Finding(*found) for found in scheduling.findings(config))


def _access(config: Config) -> Iterator[Finding]:
    return (Finding(*found) for found in access_settings.findings(config))


def _owned(owned: dict[Address, None], path: Path, address: Address, value: str) -> Iterator[Finding]:
    if address not in owned:
        same_family = _listed(str(ip) for ip in owned if ip.version == address.version)
        yield Finding(path, value, f"no port owns {address}", f"an address listed in ports.addresses ({same_family})")


def _all_owned(config: Config) -> dict[Address, None]:
    """In the order of the file."""
    return {interface.ip: None for _, _, interface in _interfaces(config)}


def _interfaces(config: Config) -> Iterator[tuple[Path, Port, Any]]:
    for i, port in enumerate(config.ports):
        for k, interface in enumerate(port.addresses):
            yield ("ports", i, "addresses", k), port, interface


def _unique(items: Iterable[tuple[Path, Hashable]], wrong: str) -> Iterator[Finding]:
    seen: set[Hashable] = set()
    for path, item in items:
        if item in seen:
            yield Finding(path, str(item), wrong)
        seen.add(item)


def _listed(words: Iterable[str]) -> str:
    unique = list(dict.fromkeys(words))
    if len(unique) > 8:
        unique[8:] = [f"and {len(unique) - 8} more"]
    return ", ".join(unique) if unique else "there is none"


RULES: tuple[Callable[[Config], Iterator[Finding]], ...] = (
    _port_names,
    _devices,
    _mtus,
    _owned_once,
    _routes,
    _local_addresses,
    _services,
    _servers,
    _methods,
    _local_families,
    _sockets,
    _tcp_limits,
    _programs,
    _health,
    _access,
    _options,
    _scheduling,
)
