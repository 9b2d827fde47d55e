"""The HTTP server of the control API: uvicorn, with everything that the daemon does itself switched off."""

import contextlib
from collections.abc import Iterator

import uvicorn

from pronghorn.control.api import application
from pronghorn.control.gateway import Gateway


class Server(uvicorn.Server):
    """Ends when `should_exit` is set; signals are the daemon's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_of(gateway: Gateway) -> Server:
    """A server that waits for `serve(sockets=[...])`."""
    return Server(
        uvicorn.Config(
            application(gateway),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
