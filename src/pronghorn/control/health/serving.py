"""Health while a gateway runs: its checkers, the commands that are run, and looks at the counters of traffic."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

from pronghorn.control import runtime
from pronghorn.control.endpoint import Endpoint, parse_endpoint
from pronghorn.control.gateway import Gateway
from pronghorn.control.health.hooks import Hooks
from pronghorn.control.health.manager import Health
from pronghorn.control.health.passive import Counters
from pronghorn.control.health.supervisor import COMMAND, Supervisor
from pronghorn.control.log import say
from pronghorn.control.model import ServiceKey
from pronghorn.control.views import ServiceView

LOOK = 0.5  # s


@contextlib.asynccontextmanager
async def checking(gateway: Gateway, command: Sequence[str] = COMMAND) -> AsyncIterator[dict[str, Supervisor]]:
    """Check while the block runs."""
    health, hooks = gateway.health, Hooks()
    attach = str(runtime.attach_path(gateway.running.gateway.name))
    environments = {"gateway": {"PRONGHORN_ATTACH": attach}, "kernel": {}}
    supervisors = {
        way: Supervisor(way, variables, partial(health.wanted, way), partial(health.told, way), command)
        for way, variables in environments.items()
    }
    hooks.start()
    health.hook = lambda words, variables: hooks.call(words, **variables)
    health.send = lambda way, new, gone: supervisors[way].change(new, gone)
    for supervisor in supervisors.values():
        supervisor.change(health.wanted(supervisor.way), [])
    for virtual in health.plane.services.values():
        if not virtual.enough:  # since before there was anybody to run a command
            health.hook(virtual.service.on_down, health.variables(virtual))
    looking = asyncio.get_running_loop().create_task(_look(gateway, health))
    try:
        yield supervisors
    finally:
        health.send = lambda way, new, gone: None
        health.hook = lambda words, variables: None
        looking.cancel()
        await asyncio.gather(looking, *(one.close() for one in supervisors.values()), return_exceptions=True)
        await hooks.close()


async def _look(gateway: Gateway, health: Health) -> None:
    while True:
        await asyncio.sleep(LOOK)
        if health.watches:
            try:
                health.watch(counters_of(gateway.engine.services()))
            except Exception as error:
                say(f"health: what traffic says cannot be read: {error}")


def counters_of(services: Sequence[ServiceView]) -> Mapping[tuple[ServiceKey, Endpoint], Counters]:
    """What the data plane has counted, of every server."""
    return {
        (ServiceKey((service.protocol, parse_endpoint(service.address))), parse_endpoint(server.address)): Counters(
            server.connections, server.refused, server.unanswered
        )
        for service in services
        for server in service.servers
    }
