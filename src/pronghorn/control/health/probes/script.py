"""A command says by its exit status whether the server can be used: 0 is yes. It is executed without a shell, knows
from variables what it is to check, and is killed with all that it has started when its time is over (hooks.py).

Its own sockets are the kernel's, whichever way the checker has.
"""

from __future__ import annotations

from pronghorn.control.health.hooks import execute
from pronghorn.control.health.messages import Order
from pronghorn.control.health.way import Failed, Way

OURS = ("PRONGHORN_ATTACH", "PRONGHORN_ATTACH_FD")  # a child is no program of the gateway's


async def probe(way: Way, order: Order) -> None:
    check = order.check
    variables = dict.fromkeys(OURS, "") | {
        "PRONGHORN_SERVICE": order.service,
        "PRONGHORN_SERVER": order.server,
        "PRONGHORN_ADDRESS": str(order.address),
        "PRONGHORN_PORT": str(order.port),
    }
    for variable in check.environment:
        name, _, value = variable.partition("=")
        variables[name] = value
    status, printed = await execute(check.command, variables, check.timeout.seconds)
    if status:
        last = printed.splitlines()[-1:] or [""]
        raise Failed(f"{check.command[0]} ended with {status}" + (f": {last[0]}" if last[0] else ""))
