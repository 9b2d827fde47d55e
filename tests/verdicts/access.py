"""What makes packets end because of who sent them. Each makes an engine and lets it happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pronghorn.balancer.change_access import Rules, change_black_list, change_defences, change_rules
from pronghorn.balancer.set_changes import Sets
from pronghorn.balancer.set_entries import read_member
from pronghorn.balancer.source_rates import create_sources
from pronghorn.balancer.tables import Balancer
from pronghorn.state.worker import Worker
from tests.support.feed import CLIENT, OWN, ROUTER, SERVICE, EngineBench
from tests.wire import judges as j

LINK = j.Ether(src=ROUTER, dst=OWN[0])
IP = j.IP(src=CLIENT[4], dst=SERVICE[4])
SYN = LINK / IP / j.TCP(sport=1024, dport=80, flags="S")
OTHER_PORT = LINK / IP / j.TCP(sport=1024, dport=81, flags="S")
DATAGRAM = LINK / IP / j.UDP(sport=1024, dport=80)


def hearing(change: Callable[[Balancer, int], None], member: str, *frames: Any) -> Callable[[], EngineBench]:
    """An engine whose one service has been changed, with a set of one address, hears these frames at one time."""

    def situation() -> EngineBench:
        bench = EngineBench()
        bench.service("tcp", 4)
        sets = Sets(bench.engine.arena, 1, lambda: bench.now, lambda: None)
        sets.create("s", "ip")
        sets.add("s", [read_member("ip", member)])
        sources = create_sources(bench.engine.arena, 7, count=64).address

        def access(worker: Worker) -> None:
            balancer = Balancer(worker.balancer)
            balancer.sources = sources
            change(balancer, sets.address("s"))

        bench.everywhere(access)
        for frame in frames:
            bench.put(frame)
        bench.turn()
        return bench

    return situation


ACCESS: dict[str, Callable[[], EngineBench]] = {
    "acl_denied": hearing(lambda b, s: change_rules(b, 0, Rules(deny=s)), CLIENT[4], SYN),
    "acl_not_allowed": hearing(lambda b, s: change_rules(b, 0, Rules(allow=s)), "192.0.2.99", SYN),
    "acl_blacklisted": hearing(lambda b, s: change_black_list(b, [s]), CLIENT[4], DATAGRAM),
    "rate_limited_source": hearing(lambda b, _: change_rules(b, 0, Rules(packets=1)), CLIENT[4], SYN, SYN),
    "defence_tcp_drop": hearing(lambda b, s: change_defences(b, True, False, s), SERVICE[4], OTHER_PORT),
    "defence_udp_drop": hearing(lambda b, s: change_defences(b, False, True, s), SERVICE[4], DATAGRAM),
}
