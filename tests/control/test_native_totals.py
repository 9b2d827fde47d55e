"""What the engine's own thread does for schedulers."""

from __future__ import annotations

from pronghorn.balancer.tables import Balancer
from pronghorn.control.apply import apply
from pronghorn.control.load import parse
from pronghorn.control.native import NativeEngine
from pronghorn.control.plan import plan


def test_workers_learn_of_each_others_connections_and_new_servers_start_slowly() -> None:
    config = parse(
        {
            "gateway": {"workers": 2, "packets": 1024},
            "ports": [{"name": "p", "device": "null:", "addresses": ["10.0.0.1/24"]}],
            "balancer": {"local_addresses": ["10.0.0.1"]},
            "services": [{"name": "s", "address": "10.0.0.1:80", "servers": [{"address": "10.0.0.9:80"}]}],
        },
        file="",
    )
    engine = NativeEngine(config.empty())
    try:
        apply(plan(config.empty(), config), engine)
        balancers = [Balancer(engine.engine.workers[index].balancer) for index in range(2)]
        for balancer, conns in zip(balancers, (3, 4), strict=True):
            server = balancer.servers[balancer.services[0].members[0]]
            server.conns = conns
            server.part = 100
            balancer.services[0].slow_start, balancer.services[0].scale = 1, 10
        totals = engine._totals
        totals.look()
        servers = [balancer.servers[balancer.services[0].members[0]] for balancer in balancers]
        assert [server.others_conns for server in servers] == [4, 3]
        assert all(server.started != 0 and server.part == 100 for server in servers)
        for server in servers:
            server.conns, server.started = 0, server.started - 2_000_000_000
        totals._stepped = 0
        totals.look()
        assert [server.part for server in servers] == [0, 0]
        assert [balancer.services[0].weights[0] for balancer in balancers] == [1, 1]
    finally:
        engine.close()
