"""What `bench.tcp.child` can run: each sets engines up and yields what takes a reading, per second of CPU time.

A reading that met anything it should not have (a reset, a segment that no client expects, a stalled connection) is an
error, and not a number.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.harness import Measure
from bench.tcp.address import CLOSING_PORT, PORT, SERVER4, TARGETS
from bench.tcp.bulk_app import BulkApp, source_watch
from bench.tcp.echo_app import EchoApp
from bench.tcp.engines import Served, address, good, listen, pair, record, served
from bench.tcp.http_app import RESPONSE
from bench.tcp.loops import carry, exchange, serve_http
from pronghorn.compiled import hot, whole_program
from pronghorn.engine.engine import Engine
from pronghorn.ports.null_client_port import NullClientPort
from pronghorn.state.endpoints import Address
from pronghorn.state.worker import Worker
from pronghorn.tcp.calls import tcp_connect, tcp_open
from pronghorn.tcp.congestion import BBR, CUBIC, NEWRENO
from pronghorn.tcp.tcb import tcp_of

SECONDS = 1.0
WARM_UP = 0.3
SETTLED = 3.0  # s after which the timers of the handshakes have run out
TURNS = 200  # between two looks at the clock
FEW = 1000  # connections of an engine that is as good as empty
PATIENCE = 60.0  # s of CPU time
LOSSES, LOSS_BUFFERS, LOSS_RATE = (10_000, 50_000), 2048, 1_000_000_000  # parts per million; KiB; bit/s


def spend(seconds: float, step: Callable[[], object]) -> float:
    """Repeat the step for so much CPU time of this thread; how much it was."""
    begin = time.thread_time()
    while (spent := time.thread_time() - begin) < seconds:
        step()
    return spent


def await_that(what: str, step: Callable[[], object], done: Callable[[], bool]) -> None:
    """Repeat the step until it is so. RuntimeError when it never is."""
    begin = time.thread_time()
    while not done():
        step()
        if time.thread_time() - begin > PATIENCE:
            raise RuntimeError(what)


def say(text: str) -> None:
    """Beside the number."""
    print(f"    {text}", file=sys.stderr, flush=True)


# --- a server with clients on null ports --------------------------------------------------------------------------


def clients(connections: int, **options: Any) -> NullClientPort:
    """Clients that keep their connections, unless told."""
    closing = bool(options.pop("closing", 0))
    port = CLOSING_PORT if closing else PORT
    return NullClientPort(
        SERVER4.ip, connections, service_port=port, closing=closing, response=len(RESPONSE), **options
    )  # fmt: skip


def step_of(stage: Served) -> Callable[[], object]:
    """Some turns of the server."""
    whole_program(serve_http)
    return lambda: serve_http(stage.worker, stage.app, TURNS)


def growing(stage: Served) -> Callable[[], object]:
    """The same, with memory for connections that are still to come."""
    step = step_of(stage)

    def grow_and_step() -> None:
        stage.keep_ahead()
        step()

    return grow_and_step


def healthy(stage: Served) -> None:
    """Nothing went wrong. RuntimeError says what did."""
    wrong = {name: stage.total(name) for name in ("resets", "odd", "corrupt", "dropped")}
    wrong["failed"] = stage.app.failed
    if any(wrong.values()):
        raise RuntimeError(", ".join(f"{count} {name}" for name, count in wrong.items() if count))


def rate(stage: Served, counter: str, port: int = 0, seconds: float = SECONDS) -> float:
    """How much one port's clients count per second."""
    before = getattr(stage.clients[port].queue(0), counter)
    spent = spend(seconds, step_of(stage))
    healthy(stage)
    done: int = getattr(stage.clients[port].queue(0), counter) - before
    if not done:
        raise RuntimeError(f"no {counter}")
    return done / spent


def connected(stage: Served, connections: int) -> None:
    """Wait until so many connections are established, and somewhat longer."""
    await_that(
        "connections do not come about", growing(stage), lambda: stage.total("established") >= connections
    )  # fmt: skip
    spend(WARM_UP, step_of(stage))


@contextlib.contextmanager
def http(connections: int, closing: int) -> Iterator[Measure]:
    """Requests/s over so many kept-alive connections, or connections/s with as many at a time.

    Connections that close leave as many in TIME-WAIT as there can be before the first reading is taken: so it goes on.
    """
    conns = 1 << 19 if closing else 1 << 16
    stage = served([clients(connections, closing=closing)], packets=8192, conns=conns)
    with stage.engine:
        connected(stage, connections)
        if closing:
            tcp = tcp_of(stage.worker)
            await_that("TIME-WAIT", growing(stage), lambda: tcp.waiting_count >= tcp.waiting_limit)
        yield lambda: rate(stage, "completed" if closing else "responses")


@contextlib.contextmanager
def idle_memory(connections: int) -> Iterator[Measure]:
    """Octets of this process's memory for each idle connection."""
    footprint(FEW)  # compiles
    yield lambda: (footprint(connections) - footprint(FEW)) / (connections - FEW)


def footprint(connections: int) -> int:
    """Octets by which the process grows for an engine made for so many connections, all established and silent."""
    before = resident()
    stage = served([clients(connections, active=connections + 1, waiting=2048)], conns=connections)
    with stage.engine:
        await_that(
            "connections do not come about", step_of(stage), lambda: stage.app.accepted >= connections
        )  # fmt: skip
        healthy(stage)
        return resident() - before


def resident() -> int:
    """Octets of memory that this process has."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) * 1024


@contextlib.contextmanager
def million(connections: int, active: int) -> Iterator[Measure]:
    """Requests/s on `active` of so many connections; the others are idle."""
    before = resident()
    own = clients(connections, active=connections // active, waiting=1 << 17, shuffle=True, separate=False)
    stage = served([own], packets=8192, conns=connections)
    with stage.engine:
        connected(stage, connections)
        spend(SETTLED, step_of(stage))
        say(f"{tcp_of(stage.worker).count:,} connections, {(resident() - before) / 1e6:,.0f} MB")
        yield lambda: rate(stage, "responses")


@contextlib.contextmanager
def flood(connections: int, syns: int) -> Iterator[Measure]:
    """Requests/s on established connections under so many SYNs a second, while honest clients come and go."""
    stage = served([clients(connections), clients(4, closing=1)], packets=8192, conns=1 << 20, backlog=256)
    with stage.engine:
        connected(stage, connections)
        stage.clients[0].queue(0).flood = syns
        spend(WARM_UP, step_of(stage))
        yield lambda: flooded(stage, syns)


def flooded(stage: Served, syns: int) -> float:
    """A reading under a flood. RuntimeError unless every honest client was served, and the flood was one."""
    own, honest = stage.clients[0].queue(0), stage.clients[1].queue(0)
    before, began = own.flooded, time.thread_time()
    completed = honest.completed
    value = rate(stage, "responses")
    came = (own.flooded - before) / (time.thread_time() - began)
    honest.limit = 1
    await_that(
        f"{honest.begun - honest.completed} honest clients of {honest.begun} were not served",
        step_of(stage),
        lambda: honest.completed == honest.begun,
    )
    honest.limit = 0
    honest.connections, honest.opened = 4, 0
    say(f"{came:,.0f} SYN/s, {honest.completed - completed:,} honest connections, all served")
    if came < 0.95 * syns:
        raise RuntimeError(f"the flood came at {came:,.0f} SYN/s")
    return value


# --- two engines ------------------------------------------------------------------------------------------------


@hot
def connect(worker: Worker, family: int, to: Address) -> int:
    """A socket that connects; its number."""
    number = tcp_open(worker, family)
    if number >= 0:
        tcp_connect(worker, number, to)
    return number


@contextlib.contextmanager
def echo(connections: int, closing: int) -> Iterator[Measure]:
    """Exchanges/s between two engines over a user-veth, both on this core."""
    there, here = pair(packets=8192, conns=1 << 19)
    with there, here:
        server, client = record(there, "echo", EchoApp), record(here, "echo", EchoApp)
        server.listener = listen(there)
        client.family, client.connections, client.closing = 4, connections, closing
        address(SERVER4.ip, PORT, 4, client.server)
        client.first, client.targets = client.server.lo, TARGETS if closing else 1
        begun(there, here)
        whole_program(exchange)

        def step() -> None:
            exchange(there.workers[0], server, here.workers[0], client, TURNS)

        await_that("connections do not come about", step, lambda: client.exchanges >= 2 * connections)
        spend(WARM_UP, step)
        yield lambda: exchanges(server, client, step)


def exchanges(server: EchoApp, client: EchoApp, step: Callable[[], object]) -> float:
    before = client.exchanges
    spent = spend(SECONDS, step)
    if client.failed or server.failed or client.exchanges == before:
        raise RuntimeError(f"{client.exchanges - before} exchanges, {client.failed + server.failed} failures")
    return (client.exchanges - before) / spent


def begun(*engines: Engine) -> None:
    """Start the workers' clocks."""
    for engine in engines:
        engine.run_turns(1)


@contextlib.contextmanager
def bulk(whole: int) -> Iterator[Measure]:
    """Octets/s of one connection over a user-veth: in frames of 64 KB, or in real segments at MTU 1500."""
    options = "" if whole else "?offload=off"
    there, here = pair(options, packets=8192, conns=1024, large=1024)
    with there, here:
        sink, source = record(there, "bulk", BulkApp), record(here, "bulk", BulkApp)
        sink.listener = listen(there)
        begun(there, here)
        to = address(SERVER4.ip, PORT, 4, record(here, "to", Address))
        source_watch(here.workers[0], source, good(connect(here.workers[0], 4, to), "connect"))

        whole_program(carry)

        def step() -> None:
            carry(there.workers[0], sink, here.workers[0], source, TURNS)

        await_that("nothing arrives", step, lambda: sink.octets > 0)
        spend(WARM_UP, step)
        yield lambda: octets(sink, source, step)


def octets(sink: BulkApp, source: BulkApp, step: Callable[[], object]) -> float:
    before = sink.octets
    spent = spend(SECONDS, step)
    if sink.ended or source.failed or sink.octets == before:
        raise RuntimeError(f"{sink.octets - before} octets, {source.failed} failures")
    return (sink.octets - before) / spent


# --- the simulator ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def loss(plain: int) -> Iterator[Measure]:
    """Goodput in octets/s of virtual time, at the loss where BBR gains less: BBR's; if `plain`, NewReno's without SACK.
    Every reading has its seed, the same for both sides: so both look at the same loss."""
    from tests.simulator.goodput_table import cell

    seeds = itertools.count(1)

    def reading() -> float:
        seed, found = next(seeds), []
        for loss in LOSSES:
            reno, cubic, bbr = (
                cell(control, LOSS_BUFFERS, loss, 4 if seed & 1 else 6, sack, seed, LOSS_RATE)
                for control, sack in ((NEWRENO, False), (CUBIC, True), (BBR, True))
            )
            if not plain:
                say(f"seed {seed}, {loss / 10_000:g} %: {reno:,.1f} kB/s; BBR {bbr:,.1f}, {bbr / reno:.1f} times;"
                    f" CUBIC with SACK {cubic:,.1f}, {cubic / reno:.2f} times")  # fmt: skip
            found.append((bbr / reno, 1000 * (reno if plain else bbr)))
        return min(found)[1]

    yield reading


SCENARIOS: dict[str, Callable[..., contextlib.AbstractContextManager[Measure]]] = {
    "http": http,
    "idle_memory": idle_memory,
    "million": million,
    "flood": flood,
    "echo": echo,
    "bulk": bulk,
    "loss": loss,
}
