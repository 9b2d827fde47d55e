"""An echo server and a client over the user-space stack, in Python: `echo.py serve ADDRESS PORT`, `echo.py ask ADDRESS
PORT WORD`. Start both with `pronghorn run --no-preload`."""

from __future__ import annotations

import asyncio
import sys

import pronghorn


class Echo(asyncio.Protocol):
    """What comes goes back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def serve(address: str, port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Echo, address, port)
    print(f"echoes at {address} port {port}", flush=True)
    await server.serve_forever()


async def ask(address: str, port: int, word: str) -> None:
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(word.encode())
    print((await reader.readexactly(len(word.encode()))).decode())
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    verb, address, port, *word = sys.argv[1:]
    pronghorn.run(serve(address, int(port)) if verb == "serve" else ask(address, int(port), word[0]))
