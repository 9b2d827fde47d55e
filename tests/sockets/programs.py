"""The programs of these tests: `python programs.py NAME`. Each prints JSON, one line per thing said."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import io
import json
import runpy
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pronghorn
from pronghorn import socket

SERVER4, SERVER6, PORT = "10.77.0.1", "fd77::1", 7000
MEGABYTE = bytes(range(256)) * 4096
PEER = Path(__file__).parents[1] / "preload" / "peer.py"


def say(what: Any) -> None:
    print(json.dumps(what), flush=True)


def peer() -> None:
    """The other end of the interposer's tests, which knows nothing of Pronghorn, with another `socket` module."""
    sys.modules["socket"] = socket
    sys.argv = [str(PEER), "::", str(PORT)]
    runpy.run_path(str(PEER), run_name="__main__")


# --- clients, blocking ------------------------------------------------------------------------------------------------


def connect(command: str, address: str = SERVER4) -> socket.socket:
    connection = socket.create_connection((address, PORT), timeout=10)
    connection.sendall(command.encode() + b"\n")
    return connection


def failure(call: Callable[[], Any]) -> str:
    """The exception's name and errno."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__} {errno.errorcode.get(getattr(error, 'errno', None) or 0, '')}".rstrip()
    return "none"


def names() -> Any:
    with connect("echo") as four, connect("echo", SERVER6) as six:
        return [four.getpeername(), four.getsockname()[0], six.getpeername()[:2], six.getsockname()[0]]


def bulk() -> Any:
    """A megabyte there and back, sent by one thread and received by another."""
    with connect("echo") as connection:
        sender = threading.Thread(target=connection.sendall, args=(MEGABYTE,))
        sender.start()
        received = connection.recv(len(MEGABYTE), socket.MSG_WAITALL)
        sender.join()
    return received == MEGABYTE


def half_closed() -> Any:
    with connect("sink") as connection:
        connection.sendall(b"x" * 100_000)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(100).decode()


def files() -> Any:
    with connect("echo") as connection, connection.makefile("rw", newline="\n") as file:
        file.write("a line\nanother\n")
        file.flush()
        return [file.readline(), file.readline()]


def peeked() -> Any:
    with connect("echo") as connection:
        connection.sendall(b"twice")
        first = connection.recv(100, socket.MSG_PEEK)
        return [first.decode(), connection.recv(100).decode()]


def timeouts() -> Any:
    with connect("echo") as connection:
        connection.settimeout(0.05)
        begin = time.monotonic()
        late = failure(lambda: connection.recv(1))
        took = time.monotonic() - begin
        connection.setblocking(False)
        return [late, 0.04 < took < 5, failure(lambda: connection.recv(1)), connection.getblocking()]


def refused() -> Any:
    return failure(lambda: socket.create_connection((SERVER4, PORT + 1), timeout=10))


def was_reset() -> Any:
    with connect("reset") as connection:
        return failure(lambda: connection.recv(1))


def options() -> Any:
    with connect("echo") as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        return [connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), info[0], len(info)]


def datagrams() -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.settimeout(10)
        own.sendto(b"question", (SERVER4, PORT))
        return [part.decode() if isinstance(part, bytes) else part for part in own.recvfrom(100)]


def pings() -> Any:
    """Echo requests, as with Linux's ping sockets: the identifier is the socket's, checksums are made."""
    found: list[Any] = []
    for family, protocol, request, address in (
        (socket.AF_INET, socket.IPPROTO_ICMP, 8, SERVER4),
        (socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, SERVER6),
    ):
        with socket.socket(family, socket.SOCK_DGRAM, protocol) as own:
            own.settimeout(10)
            own.connect((address, 0))
            own.send(bytes([request, 0, 0, 0, 0, 0, 0, 7]) + b"hello")
            answer = own.recv(100)
            found.append([own.proto == protocol, answer[0], answer[6:].decode()])
    return [*found, failure(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6))]


def lent() -> Any:
    """A megabyte through lent memory in both directions, and what is refused."""
    with connect("echo") as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sent, received = 0, hashlib.sha256()
        got = 0
        while got < len(MEGABYTE):
            if sent < len(MEGABYTE):
                with connection.send_buffer(len(MEGABYTE) - sent) as loan:
                    octets = len(loan.memory)
                    loan.memory[:] = MEGABYTE[sent : sent + octets]
                    sent += loan.commit(octets)
            with connection.receive_view() as view:
                received.update(view.memory)
                got += len(view.memory)
                view.release(len(view.memory))
        loan = connection.send_buffer(10)
        too_much = failure(lambda: loan.commit(11))
        held = loan.memory[2:4]
        in_use = failure(lambda: loan.commit(2))
        held.release()
        loan.commit(0)
        again = failure(lambda: loan.commit(0))
        after = failure(lambda: bytes(loan.memory))
        right = received.hexdigest() == hashlib.sha256(MEGABYTE).hexdigest()
        return [right, too_much, in_use, again, after]


def a_file() -> Any:
    with connect("sink") as connection, tempfile.TemporaryFile() as file:
        file.write(MEGABYTE)
        file.flush()
        sent = [connection.sendfile(io.BytesIO(MEGABYTE)), connection.sendfile(file, 1000, 300_000), file.tell()]
        sent += [connection.sendfile(file, len(MEGABYTE) - 10), file.tell(), connection.sendfile(file, len(MEGABYTE))]
        wrong = [failure(lambda: connection.sendfile(file, 0, 0)), failure(lambda: connection.sendfile(sys.stdin))]
        connection.shutdown(socket.SHUT_WR)
        return [sent, wrong, connection.recv(100).decode()]


def closed() -> Any:
    connection = connect("echo")
    connection.close()
    return [connection.fileno(), failure(lambda: connection.send(b"x"))]


# --- clients, asyncio -------------------------------------------------------------------------------------------------


async def streams() -> Any:
    reader, writer = await asyncio.open_connection(SERVER4, PORT)
    writer.write(b"echo\n")
    writer.write(MEGABYTE)
    received = await reader.readexactly(len(MEGABYTE))
    writer.write_eof()
    rest = await reader.read()
    writer.close()
    await writer.wait_closed()
    return [received == MEGABYTE, rest.decode()]


async def a_file_by_the_loop() -> Any:
    """By a transport, after what was written; and by a plain socket."""
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryFile() as file, socket.socket() as own:
        file.write(MEGABYTE)
        file.flush()
        reader, writer = await asyncio.open_connection(SERVER4, PORT)
        writer.write(b"echo\n" + MEGABYTE)
        found = asyncio.create_task(reader.readexactly(3 * len(MEGABYTE) - 256))
        sent = [await loop.sendfile(writer.transport, file, 256), file.tell()]
        await loop.sendfile(writer.transport, io.BytesIO(MEGABYTE))
        right = await found == MEGABYTE + MEGABYTE[256:] + MEGABYTE
        sending = asyncio.create_task(loop.sendfile(writer.transport, file))
        await asyncio.sleep(0)
        wrong = [failure(lambda: writer.write(b"x")), await own_failure(loop.sendfile(writer.transport, file))]
        sent.append(await sending)
        writer.transport.abort()
        own.setblocking(False)
        await loop.sock_connect(own, (SERVER4, PORT))  # type: ignore[arg-type]
        await loop.sock_sendall(own, b"echo\n")  # type: ignore[arg-type]
        sent += [await loop.sock_sendfile(own, file, 7, 5000), file.tell()]  # type: ignore[arg-type]
        first = await loop.sock_recv(own, 5000)  # type: ignore[arg-type]
        return [right, sent, wrong, len(first) > 0 and first == MEGABYTE[7 : 7 + len(first)]]


async def own_failure(coroutine: Any) -> str:
    try:
        await coroutine
    except Exception as error:
        return type(error).__name__
    return ""


async def many() -> Any:
    """A hundred connections at a time, both families."""

    async def one(number: int) -> bool:
        reader, writer = await asyncio.open_connection(SERVER6 if number % 2 else SERVER4, PORT)
        writer.write(b"echo\n" + str(number).encode() * 50)
        found = await reader.readexactly(len(str(number)) * 50)
        writer.close()
        return found == str(number).encode() * 50

    return all(await asyncio.gather(*map(one, range(100))))


async def no_server() -> Any:
    try:
        await asyncio.open_connection(SERVER4, PORT + 1)
    except OSError as error:
        return type(error).__name__
    return "connected"


async def slow_reader() -> Any:
    """A writer is held up by a peer that does not read; and let go when it is aborted."""
    _, writer = await asyncio.open_connection(SERVER4, PORT)
    writer.write(b"hold 5\n")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            while True:
                writer.write(MEGABYTE)
                await writer.drain()
    waits = writer.transport.get_write_buffer_size()
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return waits > 0


async def datagram_endpoint() -> Any:
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    class Protocol(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            answer.set_result(data.decode())

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Protocol, remote_addr=(SERVER4, PORT))
    transport.sendto(b"question")
    async with asyncio.timeout(10):
        text = await answer
    transport.close()
    return text


async def plain_sockets() -> Any:
    loop = asyncio.get_running_loop()
    with socket.socket() as own:
        own.setblocking(False)
        await loop.sock_connect(own, (SERVER4, PORT))  # type: ignore[arg-type]
        await loop.sock_sendall(own, b"echo\nhello")  # type: ignore[arg-type]
        return (await loop.sock_recv(own, 100)).decode()  # type: ignore[arg-type]


async def others() -> Any:
    """What is asyncio's own works beside it: threads, timers, subprocesses, loopback."""
    loop = asyncio.get_running_loop()
    in_thread = await asyncio.to_thread(lambda: "thread")
    begin = loop.time()
    await asyncio.sleep(0.05)
    slept = 0.04 < loop.time() - begin < 5
    child = await asyncio.create_subprocess_exec("echo", "child", stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate()

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"kernel")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    text = await reader.read()
    writer.close()
    server.close()
    return [in_thread, slept, out.decode().strip(), text.decode()]


BLOCKING = (
    names,
    bulk,
    half_closed,
    files,
    peeked,
    timeouts,
    refused,
    was_reset,
    options,
    datagrams,
    pings,
    lent,
    a_file,
    closed,
)
AWAITING = (streams, a_file_by_the_loop, many, no_server, slow_reader, datagram_endpoint, plain_sockets, others)


def client() -> None:
    for case in BLOCKING:
        say([case.__name__, case()])


async def _all() -> None:
    for case in AWAITING:
        async with asyncio.timeout(30):
            say([case.__name__, await case()])


def loop_client() -> None:
    pronghorn.run(_all())


async def _serve() -> None:
    """What peer.py does, as far as it is asked for here, by asyncio."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            command = (await reader.readline()).decode().split()
            if command[0] == "hold":
                await asyncio.sleep(float(command[1]))
            while octets := await reader.read(65536):
                writer.write(octets)
                await writer.drain()
        writer.close()

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(data, addr)

    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(serve, None, PORT)
    await loop.create_datagram_endpoint(Echo, local_addr=("0.0.0.0", PORT))
    say({"ready": len(server.sockets)})
    await server.serve_forever()


def loop_server() -> None:
    pronghorn.run(_serve())


if __name__ == "__main__":
    {"peer": peer, "client": client, "loop_client": loop_client, "loop_server": loop_server}[sys.argv[1]]()
