"""asyncio's streams: `serve ADDRESS PORT` echoes, `ask ADDRESS PORT` holds 50 conversations at the same time."""

import asyncio
import os
import sys


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(address: str, port: int) -> None:
    server = await asyncio.start_server(echo, address, port)
    print("listening", flush=True)
    await server.serve_forever()


async def converse(address: str, port: int, number: int) -> None:
    reader, writer = await asyncio.open_connection(address, port)
    for turn in range(10):
        data = os.urandom(1 + 997 * turn + number)
        writer.write(data)
        await writer.drain()
        assert await reader.readexactly(len(data)) == data
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def ask(address: str, port: int) -> None:
    await asyncio.wait_for(asyncio.gather(*(converse(address, port, number) for number in range(50))), 15)
    print("50 conversations")


if __name__ == "__main__":
    asyncio.run({"serve": serve, "ask": ask}[sys.argv[1]](sys.argv[2], int(sys.argv[3])))
