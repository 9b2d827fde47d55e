"""A Python echo server on one core, asyncio's protocols on the loop that is asked for; a client in C on the other.

`python -m bench.programs.echo LOOP` is the server: `pronghorn`, `asyncio` or `uvloop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from bench.harness import Measure, Unavailable
from bench.peers import c_program
from bench.programs.pair import SERVER, Pair

PORT, CONNECTIONS, SECONDS = 7777, 100, 4


class Echo(asyncio.Protocol):
    """What comes goes back."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "0.0.0.0", PORT)
    await server.serve_forever()


@contextlib.contextmanager
def echo(pair: Callable[[], AbstractContextManager[Pair]], loop: str) -> Iterator[Measure]:
    """A side: answers per second."""
    if loop == "uvloop" and importlib.util.find_spec("uvloop") is None:
        raise Unavailable("uvloop is not installed")
    with c_program.built("echo_client") as client, pair() as both:

        def read() -> float:
            ask = (str(client), SERVER, str(PORT))
            with both.serve(sys.executable, "-m", "bench.programs.echo", loop, ready=(*ask, "1", "0.1")):
                answers, seconds = both.output(*ask, str(CONNECTIONS), str(SECONDS)).split()
            return int(answers) / float(seconds)

        yield read


def run(loop: str) -> None:
    """Serve until killed."""
    if loop == "asyncio":
        asyncio.run(main())
    else:
        importlib.import_module(loop).run(main())


if __name__ == "__main__":
    run(sys.argv[1])
