"""The kernel's own layer-4 balancer: destination NAT to the servers in turn, with masquerade, in the gateway namespace.

What a full-NAT virtual service is in nftables terms: `dnat to numgen inc mod N map {...}` chooses the server of a new
connection round robin, `masquerade` makes the replies come back, connection tracking does the rest. Both families.
"""

from __future__ import annotations

import shutil

from bench.harness import Unavailable
from tests.peers.topology import SERVICE4, SERVICE6, Topology

_TABLE = """
table {family} balance {{
    chain pre {{
        type nat hook prerouting priority dstnat; policy accept;
        {family} daddr {service} tcp dport {port} dnat to numgen inc mod {count} map {{ {servers} }}
    }}
    chain post {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname {{ {ports} }} masquerade
    }}
}}
"""


def ruleset(top: Topology, port: int = 80) -> str:
    """The nftables program that balances the topology's service addresses over its servers."""
    ports = ", ".join(f'"{node.port}"' for node in top.servers)
    return "".join(
        _TABLE.format(
            family=family,
            service=service,
            port=port,
            count=len(top.servers),
            ports=ports,
            servers=", ".join(f"{n} : {address}" for n, address in enumerate(addresses)),
        )
        for family, service, addresses in (
            ("ip", SERVICE4, [node.address4 for node in top.servers]),
            ("ip6", SERVICE6, [node.address6 for node in top.servers]),
        )
    )


def balance(top: Topology, port: int = 80) -> None:
    """Load the rules in the gateway of a topology that was made with forward=True."""
    if shutil.which("nft") is None:
        raise Unavailable("nft is not installed (package nftables)")
    done = top.gateway.run("nft", "-f", "-", text=ruleset(top, port), check=False)
    if done.returncode:
        raise Unavailable(f"the kernel refused the nftables rules: {done.stderr.strip().splitlines()[0]}")
