"""The control thread's loop: the API by uvicorn, and the signals. Everything that the daemon does itself is off."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from pronghorn.control import notify
from pronghorn.control.api import application
from pronghorn.control.attach_server import attaching
from pronghorn.control.gateway import Gateway
from pronghorn.control.health.serving import checking
from pronghorn.control.keeper import Keeper


class _Server(uvicorn.Server):
    """Ends when `should_exit` is set; signals are not uvicorn's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def end(self) -> None:
        self.should_exit = True


def serve(gateway: Gateway, control: socket.socket, reload: Callable[[], None]) -> None:
    """Answer the API until SIGTERM or SIGINT; SIGHUP, blocked until now, calls `reload`."""
    asyncio.run(_serve(gateway, control, reload))


async def _serve(gateway: Gateway, control: socket.socket, reload: Callable[[], None]) -> None:
    with attaching(gateway) as keeper:
        async with checking(gateway):
            await answer(gateway, keeper, control, reload)


async def answer(gateway: Gateway, keeper: Keeper | None, control: socket.socket, reload: Callable[[], None]) -> None:
    """Answer the API in the running loop until SIGTERM or SIGINT; SIGHUP calls `reload`."""
    server = _Server(
        uvicorn.Config(
            application(gateway, keeper),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.end)
    loop.add_signal_handler(signal.SIGINT, server.end)
    loop.add_signal_handler(signal.SIGHUP, reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    notify.ready("forwarding")
    await server.serve(sockets=[control])
