"""Situations that end packets with verdicts which no single frame provokes. Each makes an engine and lets it happen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from pronghorn.balancer.configure import change_local_ports, change_state, remove_server
from pronghorn.balancer.set_limits import Wanted, change_limits
from pronghorn.balancer.tables import Balancer
from pronghorn.engine.engine import INBOX
from pronghorn.engine.loop import COMMAND_ENTRY
from pronghorn.memory.buddy import MOST, Buddy, buddy_take
from pronghorn.memory.mpsc_ring import mpsc_push
from pronghorn.net.configure import change_mtu
from pronghorn.net.configure_routes import remove_route
from pronghorn.net.fragments import PIECES
from pronghorn.net.rates import ECHO_BURST
from pronghorn.net.state import net_of
from pronghorn.state.endpoints import Endpoints
from pronghorn.state.worker import Worker
from tests.support.feed import CLIENT, OWN, OWN4, ROUTER, SERVICE, SMALL, EngineBench
from tests.udp.bench import UdpBench
from tests.wire import judges as j

LINK = j.Ether(src=ROUTER, dst=OWN[0])


def syn(sport: int = 1024, flags: str = "S", size: int = 0) -> Any:
    return (
        LINK / j.IP(src=CLIENT[4], dst=SERVICE[4], flags="DF") / j.TCP(sport=sport, dport=80, flags=flags) / bytes(size)
    )


def piece(start: int, octets: int, more: int = 1, ident: int = 7) -> Any:
    ip = j.IP(src=CLIENT[4], dst=OWN4[0], id=ident, flags=more, frag=start // 8, proto=17)
    return LINK / ip / j.Raw(bytes(octets))


def forwarded(host: int = 200) -> Any:
    return LINK / j.IP(src=CLIENT[4], dst=f"198.51.100.{host}") / j.UDP()


def hearing(*frames: Any, **options: Any) -> Callable[[], EngineBench]:
    """An engine with a service that hears these frames, a millisecond apart."""

    def situation() -> EngineBench:
        bench = EngineBench(**options)
        bench.service("tcp", 4)
        for frame in frames:
            bench.hear(frame)
        return bench

    return situation


def after(change: Callable[[Worker], None], *frames: Any, **options: Any) -> Callable[[], EngineBench]:
    """The same after one connection was opened and then something changed."""

    def situation() -> EngineBench:
        bench = hearing(syn(), **options)()
        bench.everywhere(change)
        for frame in frames:
            bench.hear(frame)
        return bench

    return situation


# --- changes ------------------------------------------------------------------------------------------------------


def take_out(worker: Worker) -> None:
    remove_server(Balancer(worker.balancer), 0)


def drain(worker: Worker) -> None:
    change_state(Balancer(worker.balancer), 0, "drain")


def one_port(worker: Worker) -> None:
    change_local_ports(Balancer(worker.balancer), worker, 2000, 2000)


def shut(worker: Worker) -> None:
    worker.ports[1].up = 0


def unplug(worker: Worker) -> None:
    worker.ports[1].kind = 99  # a driver that takes nothing


def no_way_back(worker: Worker) -> None:
    remove_route(worker, ip_network("0.0.0.0/0"), 0, ip_address("192.0.2.254"))


def narrow(worker: Worker) -> None:
    change_mtu(worker, 1, 600)


def crowded(worker: Worker) -> None:
    net_of(worker).incomplete_limit = 1


# --- what takes time ----------------------------------------------------------------------------------------------


def timed_out() -> EngineBench:
    bench = hearing(piece(8, 8))()
    bench.wait(31)
    return bench


def nobody_answers() -> EngineBench:
    bench = hearing(forwarded(), forwarding=1)()
    bench.wait(6)
    return bench


def many_pings() -> EngineBench:
    bench = EngineBench()
    for worker in (bench.engine.workers[0],):
        net_of(worker).echo_next = worker.now + ECHO_BURST * 1_000_000  # what a thousand of them leave behind
    bench.hear(LINK / j.IP(src=CLIENT[4], dst=OWN4[0]) / j.ICMP())
    return bench


def no_more_pool() -> EngineBench:
    return hearing(piece(0, 1400), piece(1400, 1400), piece(2800, 8, more=0))()


def full_inbox() -> EngineBench:
    """Worker 1 stands still, its inbox full of commands that nobody waits for. Half of the flows are for it."""
    bench = EngineBench(workers=2, queues=1)
    bench.service("tcp", 4)
    loop = bench.engine._loops[1]
    loop.control_entry[0] = COMMAND_ENTRY | 9
    while mpsc_push(loop.control, loop.control_entry, 1):
        pass
    for sport in range(2000, 2048):
        bench.put(syn(sport))
    bench.turn_of(0)
    for _ in range(INBOX):
        bench.turn_of(1)
        loop.command = 0
    return bench


def full_of_udp() -> EngineBench:
    """Connections of UDP are not given up for others."""
    bench = EngineBench(conns=4)
    bench.service("udp", 4)
    for sport in range(1024, 1029):
        bench.hear(LINK / j.IP(src=CLIENT[4], dst=SERVICE[4]) / j.UDP(sport=sport, dport=80))
    return bench


def datagrams(limit: int = 1 << 20, memory: int = 1) -> Callable[[], EngineBench]:
    """A socket that takes one datagram of two; without `memory`, none."""

    def situation() -> EngineBench:
        bench = UdpBench(buffers=8 << 20)
        bench.endpoint(bench.open(4, 7)).receive_limit = limit
        if not memory:
            buddy_take(Buddy(Endpoints(bench.worker().transports).buddy), MOST)
        for _ in range(2):
            bench.hear(LINK / j.IP(src=CLIENT[4], dst=OWN4[0]) / j.UDP(dport=7) / bytes(100))
        return bench

    return situation


def limited(wanted: Wanted) -> Callable[[], EngineBench]:
    """Two connections to a service that may have one, or a packet after another that used up what there was."""

    def situation() -> EngineBench:
        bench = EngineBench()
        bench.service("tcp", 4)
        bench.everywhere(lambda worker: change_limits(Balancer(worker.balancer), 0, wanted))
        for frame in (syn(), syn(1025), syn(flags="A")):
            bench.hear(frame)
        return bench

    return situation


SITUATIONS: dict[str, Callable[[], EngineBench]] = {
    "reassembled": hearing(piece(0, 800), piece(800, 8, more=0)),
    "transmit_full": after(unplug, syn(flags="A")),
    "port_down": after(shut, syn(flags="A")),
    "too_big": after(narrow, syn(flags="A", size=1000)),
    "no_route": after(no_way_back, LINK / j.IP(src=CLIENT[4], dst="10.9.9.9") / j.UDP(), forwarding=1),
    "neighbour_failed": nobody_answers,
    "neighbour_queue_full": hearing(*[forwarded()] * 5, forwarding=1),
    "neighbour_table_full": after(crowded, forwarded(201), forwarded(202), forwarding=1),
    "icmp_rate_limited": many_pings,
    "fragment_limit": hearing(*[piece(8, 8, ident=n) for n in range(8)], limits=replace(SMALL, fragments=4)),
    "fragment_source_limit": hearing(*[piece(8, 8, ident=n) for n in range(PIECES + 1)]),
    "fragment_timeout": timed_out,
    "fragment_overlap": hearing(piece(0, 16), piece(8, 16)),
    "fragment_inconsistent": hearing(piece(80, 8, more=0), piece(160, 8)),
    "fragment_too_many": hearing(
        *[piece(16 * n, 8) for n in range(PIECES + 1)], limits=replace(SMALL, fragments=PIECES * 10)
    ),
    "no_packets": no_more_pool,
    "dispatch_full": full_inbox,
    "service_no_server": after(drain, syn(1025)),
    "conn_table_full": full_of_udp,
    "local_ports_exhausted": after(one_port, syn(1025), syn(1026)),
    "delivered": datagrams(),
    "socket_full": datagrams(limit=200),
    "socket_no_memory": datagrams(memory=0),
    "service_removed": after(take_out, syn(flags="A")),
    "service_limit_conns": limited(Wanted(connections=1)),
    "client_limit": limited(Wanted(per_client=1)),
    "service_limit_rate": limited(Wanted(connection_rate=1)),
    "service_limit_packets": limited(Wanted(packet_rate=1)),
    "service_limit_octets": limited(Wanted(octet_rate=1)),
}
