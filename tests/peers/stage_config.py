"""The configuration of a gateway on a stage (topology.py): a port per link, full NAT, both families."""

from __future__ import annotations

import json

from tests.peers.topology import SERVICE4, SERVICE6, Topology


def configuration(stage: Topology, name: str, driver: str, *settings: str) -> str:
    """The TOML of a gateway that balances both addresses over the stage's servers. `settings`: more lines on itself."""
    lines = ["[gateway]", f'name = "{name}"', "packets = 4096", *settings]
    for node in stage.nodes:
        own = [f"{node.gateway4}/24", f"{node.gateway6}/64"]
        own += [f"{SERVICE4}/32", f"{SERVICE6}/128"] if node is stage.client else []
        lines += ["[[ports]]", f'name = "{node.name}"', f'device = "{driver}:{node.port}"']
        lines += [f"addresses = {json.dumps(own)}"]
    first = stage.servers[0]
    lines += ["[balancer]", f"local_addresses = {json.dumps([first.gateway4, first.gateway6])}"]
    for name, address, form in (("web", SERVICE4, "{0.address4}:80"), ("web6", f"[{SERVICE6}]", "[{0.address6}]:80")):
        lines += ["[[services]]", f'name = "{name}"', f'address = "{address}:80"', 'scheduler = "rr"']
        for node in stage.servers:
            lines += ["[[services.servers]]", f'name = "{node.name}"', f'address = "{form.format(node)}"']
    return "\n".join(lines) + "\n"
