"""Random valid configurations over a small world, so that two of them have much in common and much in conflict."""

from __future__ import annotations

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from pronghorn.control.check import check
from pronghorn.control.model import Config

HOSTS = {4: ["10.0.{}.1", "10.0.{}.2"], 6: ["fd00:{}::1", "fd00:{}::2"]}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"persistence": {"timeout": 60, "group": "shop"}},
    {"persistence": {"prefix": 24, "quiesced": "keep"}, "quiesced": "end", "removed": "keep"},
    {"timeouts": {"udp": 20}, "limits": {"connections": 1000, "per_client": 10}},
    {"limits": {"packets_per_second": 1000}},
    {"syn_proxy": "auto", "syn_proxy_half_open": 100},
]
SCHEDULERS: list[dict[str, Any]] = [
    {"scheduler": "rr"},
    {"scheduler": "mh"},
    {"scheduler": "mh", "scheduler_flags": ["mh-port", "mh-fallback"]},
    {"scheduler": "conhash", "hash_target": "quic-id"},
    {"scheduler": "wlc", "slow_start": 30},
]
LENGTHS = {4: ["/24", "/32"], 6: ["/64", "/128"]}


@st.composite
def ports(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3))
    devices = draw(st.lists(st.sampled_from(["xdp:eth0", "xdp:eth1", "tap:ph0", "veth:v"]), unique=True, min_size=3))
    result = []
    for name, device in zip(names, devices, strict=False):
        addresses: list[str] = []
        for family in (4, 6):
            for net in draw(st.lists(st.integers(1, 3), unique=True, max_size=2)):
                hosts = draw(st.lists(st.sampled_from(HOSTS[family]), unique=True, min_size=1, max_size=2))
                length = draw(st.sampled_from(LENGTHS[family]))
                addresses += [host.format(net) + length for host in hosts]
        port: dict[str, Any] = {"name": name, "device": device, "addresses": addresses}
        if draw(st.booleans()):
            port["mtu"] = draw(st.sampled_from([1400, 1500, 9000]))
        if draw(st.integers(0, 4)) == 0:
            port["mac"] = "02:00:00:00:00:07"
        result.append(port)
    return result


@st.composite
def servers(draw: st.DrawFn, family: int) -> list[dict[str, Any]]:
    form = "10.0.9.{}:80" if family == 4 else "[fd00:9::{}]:80"
    return [
        {
            "address": form.format(n),
            "weight": draw(st.sampled_from([0, 1, 5])),
            "state": draw(st.sampled_from(["up", "up", "drain"])),
            **draw(st.sampled_from([{}, {"upper_connections": 9}, {"upper_connections": 9, "lower_connections": 5}])),
            "method": draw(st.sampled_from([None, None, "full-nat", "nat", "direct", "tunnel-gue"])),
            "check_port": draw(st.sampled_from([None, None, 8000])),
            **({"name": draw(st.sampled_from("xyz")) + str(n)} if draw(st.booleans()) else {}),
        }
        for n in draw(st.lists(st.integers(1, 3), unique=True, max_size=3))
    ]


@st.composite
def sets(draw: st.DrawFn) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "kind": draw(st.sampled_from(["ip", "net"])),
            "entries": draw(st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "::1 timeout 5"]), unique=True)),
            "timeout": draw(st.sampled_from([0, 5])),
        }
        for name in draw(st.lists(st.sampled_from(["bad", "good"]), unique=True))
    ]


@st.composite
def configs(draw: st.DrawFn) -> Config:
    chosen = draw(ports())
    seen: set[str] = set()
    for port in chosen:  # an address and a network on one port only
        kept = [text for text in port["addresses"] if _free(text, seen)]
        seen |= {_network(text) for text in kept} | {text.partition("/")[0] for text in kept}
        port["addresses"] = kept
    owned = [text.partition("/")[0] for port in chosen for text in port["addresses"]]
    local = draw(st.lists(st.sampled_from(owned), unique=True)) if owned else []
    data: dict[str, Any] = {
        "gateway": {"busy_poll": draw(st.booleans())},
        "ports": chosen,
        "routes": _routes(draw, chosen),
        "balancer": {
            "local_addresses": local,
            "local_ports": draw(st.sampled_from(["1024-65535", "2000-3000"])),
            "timeouts": {"udp": draw(st.sampled_from([30, 300]))},
            "defence_udp_drop": draw(st.booleans()),
        },
        "services": _services(draw, owned, local),
        "sockets": {"enabled": True, "local_ports": draw(st.sampled_from(["32768-60999", "2000-3000"]))},
        "tcp": {"congestion": draw(st.sampled_from(["cubic", "reno"])), "time_wait": draw(st.sampled_from([1, 60]))},
        "udp": {"receive_buffer": draw(st.sampled_from([65_536, 212_992]))},
        "programs": {
            "enabled": True,
            "addresses": [address for address in owned if address not in local][: draw(st.integers(0, 3))],
            "ports": "3001-32767",
            "users": draw(st.sampled_from([[], ["nobody"]])),
        },
    }
    config = Config.model_validate(data)
    assume(not list(check(config)))
    return config


@st.composite
def service_configs(draw: st.DrawFn) -> Config:
    """The network stays as it is; services and servers change in every way."""
    owned = ["10.0.1.1", "fd00:1::1"]
    port = {"name": "a", "device": "xdp:eth0", "addresses": ["10.0.1.1/24", "fd00:1::1/64"]}
    fixed = [("tcp", "10.0.1.1:80", 4), ("tcp", "[fd00:1::1]:80", 6), ("udp", "10.0.1.1:80", 4)]
    services = [
        {
            "name": name,
            "protocol": protocol,
            "address": address,
            **draw(st.sampled_from(SCHEDULERS)),
            "method": draw(st.sampled_from(["full-nat", "nat", "tunnel-gre"])),
            "servers": draw(servers(family)),
            "checks": draw(st.sampled_from([[], [{"type": "tcp", "via": "kernel"}], [{"type": "ping"}]])),
            "on_no_server": draw(st.sampled_from(["drop", "reject"])),
            "quorum": draw(st.sampled_from([1, 3])),
            **draw(st.sampled_from([{}, {"passive": {}}, {"passive": {"failures": 3}}, {"on_up": ["/bin/true"]}])),
        }
        for name, (protocol, address, family) in zip(draw(st.permutations(["web", "dns", "db"])), fixed, strict=True)
        if draw(st.integers(0, 5))
    ]
    chosen = draw(sets())
    for service in services:
        service["deny"] = draw(st.sampled_from([None, *(one["name"] for one in chosen)]))
        service.update(draw(st.sampled_from(OPTIONS)))
        own = service["address"].rpartition(":")[0]
        service["listen"] = draw(st.sampled_from([[], [f"{own}:81-90"], [f"{own}:82", f"{own}:*"]]))
        service["source_packets"] = draw(st.sampled_from([0, 1000]))
    black = draw(st.lists(st.sampled_from([one["name"] for one in chosen]), unique=True)) if chosen else []
    balancer = {"local_addresses": owned, "black_lists": black}
    return Config.model_validate({"ports": [port], "balancer": balancer, "services": services, "sets": chosen})


pairs = st.one_of(st.tuples(configs(), configs()), st.tuples(service_configs(), service_configs()))


def _routes(draw: st.DrawFn, chosen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    result = []
    for prefix in draw(st.lists(st.sampled_from(["0.0.0.0/0", "10.8.0.0/16", "::/0"]), unique=True)):
        subnets = [t for p in chosen for t in p["addresses"] if t.endswith(("/64",) if ":" in prefix else ("/24",))]
        through_router: bool = draw(st.booleans())
        if subnets and through_router:
            net = draw(st.sampled_from(subnets)).partition("/")[0]
            result.append({"prefix": prefix, "via": net[:-1] + "9"})
        elif chosen:
            result.append({"prefix": prefix, "port": draw(st.sampled_from(chosen))["name"]})
    return result


def _services(draw: st.DrawFn, owned: list[str], local: list[str]) -> list[dict[str, Any]]:
    result = []
    addresses = draw(st.lists(st.sampled_from(owned), unique=True, min_size=1, max_size=3)) if owned else []
    names = draw(st.permutations(["web", "dns", "db"]))
    for name, address in zip(names, addresses, strict=False):
        family = 6 if ":" in address else 4
        has_local = any((":" in other) == (family == 6) for other in local)
        result.append(
            {
                "name": name,
                "protocol": draw(st.sampled_from(["tcp", "tcp", "udp"])),
                "address": f"[{address}]:80" if family == 6 else f"{address}:80",
                "scheduler": draw(st.sampled_from(["rr", "wrr", "mh"])),
                "servers": draw(servers(family)) if has_local else [],
            }
        )
    return result


def _network(text: str) -> str:
    host, _, length = text.partition("/")
    return text if length in ("32", "128") else host[:-1] + "/" + length


def _free(text: str, seen: set[str]) -> bool:
    return _network(text) not in seen and text.partition("/")[0] not in seen
