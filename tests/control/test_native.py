"""The engine of this build takes every action that a plan can contain, and shows what it took."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.balancer.schedulers.mh import fill_table
from pronghorn.balancer.services import (
    forget_member,
    refresh_weights,
    search_free_server,
    search_free_service,
    search_server,
    search_service,
    search_stale_service,
)
from pronghorn.balancer.show import next_conn
from pronghorn.balancer.tables import Balancer
from pronghorn.balancer.tunnels import SUMMED
from pronghorn.control.apply import ApplyError, apply
from pronghorn.control.describe import choices
from pronghorn.control.filter import Filter
from pronghorn.control.load import parse
from pronghorn.control.model import Config, Sockets
from pronghorn.control.model import Tcp as Tcp_
from pronghorn.control.model import Udp as Udp_
from pronghorn.control.native import NativeEngine, open_engine
from pronghorn.control.plan import plan
from pronghorn.control.plane import EngineError
from pronghorn.control.problems import ConfigError
from pronghorn.engine.transports import Limits, create_transports
from pronghorn.memory.arena import Arena
from pronghorn.memory.hashtable import hash_add, hash_remove
from pronghorn.memory.mpsc_ring import mpsc_must_wake, mpsc_push
from pronghorn.state.endpoints import Address
from pronghorn.state.worker import Worker
from pronghorn.tcp.calls import tcp_bind, tcp_listen, tcp_open
from pronghorn.tcp.congestion import CONGESTION
from pronghorn.tcp.tcb import Tcp, Tuning, tcp_of
from pronghorn.udp.endpoint import udp_of


def config(**change: object) -> Config:
    data: dict[str, object] = {
        "gateway": {"workers": 2, "packets": 1024, "huge_pages": False},
        "ports": [
            {"name": "in", "device": "null:", "addresses": ["10.0.0.1/24", "10.0.0.80/32", "fd00::1/64"], "mtu": 1400},
            {"name": "out", "device": "null:", "addresses": ["10.0.1.1/24", "fd00:1::1/64"]},
        ],
        "routes": [{"prefix": "0.0.0.0/0", "via": "10.0.0.2"}],
        "balancer": {"local_addresses": ["10.0.1.1", "fd00:1::1"]},
        "services": [
            {
                "name": "web",
                "address": "10.0.0.80:80",
                "servers": [{"name": "a", "address": "10.0.1.10:80", "weight": 2}, {"address": "10.0.1.11:80"}],
            },
            {"name": "dns", "protocol": "udp", "address": "[fd00::1]:53", "scheduler": "mh"},
        ],
    }
    return parse(data | change)


@pytest.fixture
def engine() -> Iterator[NativeEngine]:
    engine = open_engine(config().empty())
    apply(plan(config().empty(), config()), engine)
    yield engine
    engine.close()


def test_it_shows_what_it_was_given(engine: NativeEngine) -> None:
    web, dns = engine.services()
    assert (web.name, web.address, web.scheduler) == ("web", "10.0.0.80:80", "wrr")
    assert [(server.address, server.name, server.weight, server.state) for server in web.servers] == [
        ("10.0.1.10:80", "a", 2, "up"),
        ("10.0.1.11:80", None, 1, "up"),
    ]
    assert (dns.protocol, dns.address, dns.servers) == ("udp", "[fd00::1]:53", ())
    inside, outside = engine.ports()
    assert (inside.name, inside.mtu, inside.addresses) == ("in", 1400, ("10.0.0.1/24", "10.0.0.80/32", "fd00::1/64"))
    assert outside.mtu == 1500
    assert ("0.0.0.0/0", "10.0.0.2", "in") in {(route.prefix, route.via, route.port) for route in engine.routes()}
    assert ("fd00:1::/64", None, "out") in {(route.prefix, route.via, route.port) for route in engine.routes()}
    assert [worker.index for worker in engine.workers()] == [0, 1]
    assert engine.workers()[0].pool_size == 2048
    assert list(engine.conns(10)) == []
    assert list(engine.drops()) == []
    assert list(engine.neighbours()) == []


def test_it_takes_every_change_and_takes_it_back(engine: NativeEngine) -> None:
    def seen() -> object:
        ports = {(port.name, port.mac, port.mtu, *sorted(port.addresses)) for port in engine.ports()}
        return set(engine.services()), ports, set(engine.routes()), dict(engine.server_names)

    before = seen()
    other = config(
        ports=[
            {"name": "in", "device": "null:", "addresses": ["10.0.0.1/24", "10.0.0.81/32", "fd00::1/64"]},
            {
                "name": "new",
                "device": "null:",
                "addresses": ["10.0.1.1/24", "fd00:1::1/64"],
                "mac": "02:00:00:00:00:09",
            },
        ],
        routes=[{"prefix": "0.0.0.0/0", "via": "10.0.0.3"}, {"prefix": "fd09::/16", "port": "new"}],
        balancer={"local_addresses": ["10.0.1.1"], "local_ports": "2000-3000", "timeouts": {"udp": 9}},
        services=[
            {
                "name": "dns-v6",
                "protocol": "udp",
                "address": "[fd00::1]:53",
                "scheduler": "rr",
            },
            {
                "name": "www",
                "address": "10.0.0.81:80",
                "servers": [{"name": "b", "address": "10.0.1.11:80", "weight": 5, "state": "drain"}],
            },
        ],
    )
    apply(plan(config(), other), engine)
    assert [(service.name, service.scheduler) for service in engine.services()] == [("dns-v6", "rr"), ("www", "wrr")]
    (server,) = engine.services()[1].servers
    assert (server.name, server.weight, server.state) == ("b", 5, "drain")
    assert [(port.name, port.mac) for port in engine.ports()][1] == ("new", "02:00:00:00:00:09")
    assert ("0.0.0.0/0", "10.0.0.3") in {(route.prefix, route.via) for route in engine.routes()}
    apply(plan(other, config()), engine)
    assert seen() == before


def test_methods_change_while_servers_stay(engine: NativeEngine) -> None:
    def methods(engine: NativeEngine) -> list[str]:
        web = engine.services()[0]
        return [web.method, *(server.method for server in web.servers)]

    def wanted(method: str, second: str | None) -> Config:
        servers = [{"address": "10.0.1.10:80", "name": "a", "weight": 2}, {"address": "10.0.1.11:80", "method": second}]
        web = {"name": "web", "address": "10.0.0.80:80", "method": method, "servers": servers}
        return config(services=[web, *config().model_dump(mode="json")["services"][1:]])

    assert methods(engine) == ["full-nat"] * 3
    actions = plan(config(), wanted("nat", "direct"))
    assert [str(action) for action in actions] == [
        "change method of tcp 10.0.0.80:80: full-nat -> nat",
        "change method of server 10.0.1.10:80 of tcp 10.0.0.80:80: full-nat -> nat",
        "change method of server 10.0.1.11:80 of tcp 10.0.0.80:80: full-nat -> direct",
    ]
    apply(actions, engine)
    assert methods(engine) == ["nat", "nat", "direct"]
    apply(plan(wanted("nat", "direct"), config()), engine)
    assert methods(engine) == ["full-nat"] * 3
    through = wanted("tunnel-gre", "tunnel-gue")
    apply(plan(config(), through), engine)
    assert methods(engine) == ["tunnel-gre", "tunnel-gre", "tunnel-gue"]
    data = through.model_dump(mode="json")["services"]
    data[0]["tunnel"] = {"key": 7, "checksum": True}
    other = config(services=data)
    assert [str(action) for action in plan(through, other)] == [
        "change method of tcp 10.0.0.80:80: tunnel-gre -> tunnel-gre (key 7, checksum True)",
        "change method of server 10.0.1.10:80 of tcp 10.0.0.80:80: tunnel-gre -> tunnel-gre (key 7, checksum True)",
        "change method of server 10.0.1.11:80 of tcp 10.0.0.80:80: tunnel-gue -> tunnel-gue (key 7, checksum True)",
    ]
    apply(plan(through, other), engine)
    tunnel = Balancer(engine.engine.workers[1].balancer).tunnels[0]
    assert (tunnel.octets, tunnel.protocol, tunnel.marks) == (32, 47, SUMMED)
    apply(plan(other, config()), engine)
    assert methods(engine) == ["full-nat"] * 3


def test_methods_ask_for_ports_and_families() -> None:
    server = {"address": "10.0.1.10:8080"}
    web = {"name": "web", "address": "10.0.0.80:80", "method": "direct", "servers": [server]}
    with pytest.raises(ConfigError, match="not at the service's port"):
        config(services=[web])
    config(services=[web | {"servers": [server | {"method": "nat"}]}], balancer={})
    with pytest.raises(ConfigError, match="local_addresses has no IPv4 address"):
        config(services=[web | {"servers": [server | {"method": "full-nat"}]}], balancer={})
    with pytest.raises(ConfigError, match="is IPv6, the service is IPv4"):
        config(services=[web | {"servers": [{"address": "[fd00:1::80]:80", "method": "nat"}]}])
    across = web | {"method": "full-nat", "servers": [{"address": "[fd00:1::80]:8080"}]}
    config(services=[across])
    with pytest.raises(ConfigError, match="local_addresses has no IPv6 address"):
        config(services=[across], balancer={"local_addresses": ["10.0.1.1"]})
    config(services=[web | {"servers": [{"address": "[fd00:1::80]:80", "method": "tunnel-ipip"}]}])
    with pytest.raises(ConfigError, match="no server is behind a tunnel"):
        config(services=[web | {"servers": [], "tunnel": {"port": 7}}])
    with pytest.raises(ConfigError, match='has no effect with method = "nat"'):
        config(services=[web | {"servers": [server | {"method": "nat", "tunnel": {"key": 7}}]}])


def test_a_refusal_changes_nothing(engine: NativeEngine) -> None:
    services = engine.services()
    ports = [port.model_dump(mode="json") for port in config().ports]
    wanted = config(services=[], ports=[*ports, {"name": "x", "device": "pcap:/nonexistent/file"}])
    with pytest.raises(ApplyError, match="could not add port x"):
        apply(plan(config(), wanted), engine)
    wanted = config(ports=[ports[0] | {"mtu": 65000}, ports[1]])
    with pytest.raises(ApplyError, match="port in: MTU 65000 is more than the 1500 of null:"):
        apply(plan(config(), wanted), engine)
    assert engine.services() == services
    assert [port.name for port in engine.ports()] == ["in", "out"]


def test_cores_that_are_not_there_are_refused() -> None:
    with pytest.raises(EngineError, match=r"may not run on \[1023\]"):
        open_engine(parse({"gateway": {"workers": [1023]}}))


@pytest.mark.parametrize(
    "function",
    [
        fill_table,
        forget_member,
        hash_add,
        hash_remove,
        mpsc_must_wake,
        mpsc_push,
        next_conn,
        refresh_weights,
        search_free_server,
        search_free_service,
        search_server,
        search_service,
        search_stale_service,
    ],
)
def test_what_the_control_plane_calls_often_is_compiled(function: object) -> None:
    # Natively, whatever is no entry runs as plain Python when Python calls it: thousands of times slower, and without
    # the atomic operations that a ring with several producers needs.
    assert getattr(function, "role", "entry") == "entry"


def test_long_frames_have_buffers_and_do_not_count_as_free_ones(engine: NativeEngine) -> None:
    assert engine.engine.large_pool is not None
    assert all(worker.pool_free <= worker.pool_size for worker in engine.workers())


def test_an_arena_that_was_left_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "edge.arena"
    starting = config(gateway={"workers": 1, "packets": 1024, "huge_pages": False, "arena": str(path)}).empty()
    first = open_engine(starting)
    with pytest.raises(EngineError, match=r"edge\.arena"):
        open_engine(starting)
    first.close()
    assert path.exists()
    open_engine(starting).close()
    path.write_bytes(b"somebody's diary")
    with pytest.raises(EngineError, match="is no arena; it is not replaced"):
        open_engine(starting)
    assert path.read_bytes() == b"somebody's diary"


def test_a_gateway_has_no_sockets_unless_it_is_told(engine: NativeEngine) -> None:
    assert [engine.engine.workers[index].transports for index in range(2)] == [0, 0]
    assert (list(engine.tcp(Filter())), list(engine.udp(Filter()))) == ([], [])
    shown = {view.group + view.name: view.value for view in engine.snmp()}
    assert (shown["TcpMaxConn"], shown["TcpCurrEstab"], shown["IpForwarding"]) == (0, 0, 2)


@pytest.fixture(scope="module")
def socket_engine() -> Iterator[NativeEngine]:
    engine = open_engine(socket_config().empty())
    yield engine
    engine.close()


def socket_config(**change: object) -> Config:
    gateway = {"workers": 2, "packets": 1024, "huge_pages": False}
    return parse({"gateway": gateway, "sockets": {"enabled": True, "connections": 1000}} | change)


def tables(engine: NativeEngine, index: int) -> list[bytes]:
    """What the configuration decides in a worker's tables."""
    worker = engine.engine.workers[index]
    tcp, udp = tcp_of(worker), udp_of(worker)
    first, last = Tcp.offset("port_low"), Tcp.offset("duplicate")
    settings = bytearray(ctypes.string_at(tcp.address + first, last - first))
    for name, octets in (("secret", 24), ("scratch_info", 16)):
        place = Tcp.offset(name) - first
        settings[place : place + octets] = bytes(octets)
    return [
        bytes(settings),
        ctypes.string_at(tcp.tunings[0].address, Tuning.SIZE),
        str((udp.port_low, udp.port_high, udp.receive_limit, udp.send_limit, tcp.waiting_limit)).encode(),
    ]


def test_the_models_defaults_are_those_of_the_tables(socket_engine: NativeEngine) -> None:
    """One default each: tables that nobody has configured are as the model says."""
    worker = socket_engine.engine.workers[0]
    with Arena.create() as arena, Arena.create() as room:
        plain = room.table("worker", Worker, 1)[0]
        plain.secret, plain.workers, plain.now = worker.secret, 1, worker.now
        create_transports(arena, plain, Limits(conns=1000))
        before = tables(SimpleEngine([plain]), 0)  # type: ignore[arg-type]
    assert tables(socket_engine, 0) == before
    assert tables(socket_engine, 1) == before
    usual = Limits()
    sockets = Sockets()
    assert (usual.sockets, usual.datagrams, usual.conns, usual.buffers) == (
        sockets.sockets,
        sockets.datagram_sockets,
        sockets.connections,
        sockets.buffer_memory,
    )


def test_every_key_of_tcp_and_udp_arrives_and_goes_back(socket_engine: NativeEngine) -> None:
    """Whatever a key is changed to, the workers' tables change, and are as before when it is changed back."""
    before = [tables(socket_engine, index) for index in range(2)]
    for section, model in (("tcp", Tcp_()), ("udp", Udp_())):
        for key, value in model:
            wanted = socket_config(**{section: {key: other(section, key, value)}})
            apply(plan(socket_config(), wanted), socket_engine)
            changed = [tables(socket_engine, index) for index in range(2)]
            assert all(new != old for new, old in zip(changed, before, strict=True)), key
            apply(plan(wanted, socket_config()), socket_engine)
            assert [tables(socket_engine, index) for index in range(2)] == before, key
    wanted = socket_config(sockets={"enabled": True, "connections": 1000, "local_ports": "2000-3000"})
    apply(plan(socket_config(), wanted), socket_engine)
    assert tcp_of(socket_engine.engine.workers[1]).port_low == udp_of(socket_engine.engine.workers[1]).port_low == 2000
    apply(plan(wanted, socket_config()), socket_engine)


def other(section: str, key: str, value: object) -> object:
    """Another value that the key may have."""
    if key == "time_wait_limit":
        return 7  # the usual one is more than there are places for so few connections
    field = (Tcp_ if section == "tcp" else Udp_).model_fields[key]
    if words := choices(field):
        return next(word for word in words if word != value)
    if isinstance(value, bool):
        return not value
    assert isinstance(value, int)
    return value - 1


def test_congestion_controls_of_the_model_are_there() -> None:
    assert set(choices(Tcp_.model_fields["congestion"])) == set(CONGESTION)


def test_a_gateways_sockets_are_shown(socket_engine: NativeEngine) -> None:
    """Opened on a worker by the engine's own calls; its table says which worker."""

    def listen(worker: Worker) -> None:
        number = tcp_open(worker, 10)
        address.hi = address.lo = 0
        address.port, address.family = 8080, 6
        assert tcp_bind(worker, number, address) == 0
        assert tcp_listen(worker, number, 9) == 0

    with Arena.create() as arena:
        address = arena.table("address", Address, 1)[0]
        socket_engine.engine.call(1, listen)
    (view,) = socket_engine.tcp(Filter(listening=True))
    assert (view.local, view.state, view.worker, view.send_queue) == ("*:8080", "listening", 1, 9)
    assert list(socket_engine.tcp(Filter())) == []


class SimpleEngine:
    """What `tables` needs of an engine."""

    def __init__(self, workers: list[Worker]) -> None:
        self.workers, self.engine = workers, self
