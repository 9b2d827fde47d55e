"""A turn of the engine and a step of its application, n times, as one compiled function."""

from __future__ import annotations

from bench.tcp.bulk_app import BulkApp, sink_step, source_step
from bench.tcp.echo_app import EchoApp, echo_client_step, echo_server_step
from bench.tcp.http_app import HttpApp, http_step
from bench.tcp.pattern_app import PatternApp, pattern_step
from pronghorn.compiled import hot, leaf
from pronghorn.engine.clock import clock_now
from pronghorn.engine.loop import Loop
from pronghorn.engine.turn import turn
from pronghorn.state.worker import Worker


@leaf
def _turn(worker: Worker) -> int:
    worker.now = clock_now(worker, Loop(worker.loop))
    worker.turns += 1
    return turn(worker)


@hot
def serve_http(worker: Worker, app: HttpApp, turns: int) -> None:
    """An engine with an HTTP server."""
    for _ in range(turns):
        _turn(worker)
        http_step(worker, app)


@hot
def exchange(server: Worker, there: EchoApp, client: Worker, here: EchoApp, turns: int) -> None:
    """An engine with an echo server and one with its client, in turn."""
    for _ in range(turns):
        _turn(client)
        echo_client_step(client, here)
        _turn(server)
        echo_server_step(server, there)


@hot
def carry(sink: Worker, there: BulkApp, source: Worker, here: BulkApp, turns: int) -> None:
    """An engine with a source and one with a sink, in turn."""
    for _ in range(turns):
        _turn(source)
        source_step(source, here)
        _turn(sink)
        sink_step(sink, there)


@hot
def serve_pattern(worker: Worker, app: PatternApp, turns: int) -> int:
    """An engine with an application that checks every octet. Returns how much work there was."""
    work = 0
    for _ in range(turns):
        work += _turn(worker)
        pattern_step(worker, app)
    return work
