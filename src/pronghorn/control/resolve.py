"""Which port a route leaves through, when the configuration does not say: the one whose network contains `via`."""

from ipaddress import IPv4Network, IPv6Network

from pronghorn.control.model import Config, Route


def resolve(config: Config, route: Route) -> Route:
    """The same route with its port named. The configuration has passed check.py, so there is one."""
    if route.port is not None:
        return route
    networks: list[tuple[int, IPv4Network | IPv6Network, str]] = [
        (interface.network.prefixlen, interface.network, port.name)
        for port in config.ports
        for interface in port.addresses
        if interface.version == route.prefix.version and route.via in interface.network
    ]
    longest = max(networks, key=lambda network: network[0])
    return route.model_copy(update={"port": longest[2]})
