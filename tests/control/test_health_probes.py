"""Each kind of check against a server on loopback that is as it should be, and ones that are not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import h2.config
import h2.connection
import h2.events
import pytest

from pronghorn.control.endpoint import parse_address
from pronghorn.control.health.checker import Checker
from pronghorn.control.health.messages import Order
from pronghorn.control.health.probes import grpc, ping
from pronghorn.control.health.probes.http import is_good
from pronghorn.control.health.settings import Check
from pronghorn.control.health.way import Way

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def attempt(port: int, at: str = "127.0.0.1", **values: Any) -> Any:
    """What comes of one check: why it failed or None, and an agent's words."""
    order = Order(Check.model_validate({"timeout": "2s", **values}), parse_address(at), port, "web", "one")
    return Checker(Way())._attempt(order)


@contextlib.asynccontextmanager
async def tcp(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server; its port."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.transport.abort() if context else writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def says(text: bytes, after: bytes = b"") -> Serve:
    """A server that says something once it has read something."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if after:
            await reader.readuntil(after)
        writer.write(text)
        await writer.drain()
        writer.write_eof() if writer.can_write_eof() else None
        await reader.read()

    return serve


class Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram by a function."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self.answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if (said := self.answer(data)) is not None:
            self.transport.sendto(said, addr)


@contextlib.asynccontextmanager
async def udp(answer: Callable[[bytes], bytes | None]) -> AsyncIterator[int]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Datagrams(answer), local_addr=("127.0.0.1", 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def free_port() -> int:
    async with tcp(says(b"")) as port:
        return port


# --- TCP, UDP, ping ---------------------------------------------------------------------------------------------------


def test_tcp() -> None:
    async def main() -> None:
        async with tcp(says(b"+PONG\r\n", b"PING\r\n")) as port:
            assert await attempt(port, type="tcp") == (None, None)
            assert await attempt(port, type="tcp", send="PING\r\n", expect="+PONG") == (None, None)
            assert await attempt(port, type="tcp", send="hex:50494e470d0a", expect="hex:2b50") == (None, None)
            error, _ = await attempt(port, type="tcp", send="PING\r\n", expect="+OK")
            assert error == "the answer does not contain what is expected: '+PONG\\r\\n'"
            error, _ = await attempt(port, type="tcp", expect="x", timeout="50ms")
            assert error == "no answer within 50ms"
        assert await attempt(port, type="tcp") == ("Connection refused", None)

    asyncio.run(main())


def test_udp() -> None:
    async def main() -> None:
        async with udp(lambda data: b"pong" if data == b"ping" else None) as port:
            assert await attempt(port, type="udp", send="ping", expect="pong") == (None, None)
            assert await attempt(port, type="udp", send="ping") == (None, None)
            assert await attempt(port, type="udp", send="?", timeout="100ms") == (None, None)
            assert "expected: 'pong'" in (await attempt(port, type="udp", send="ping", expect="x"))[0]
            error, _ = await attempt(port, type="udp", send="?", expect="x", timeout="50ms")
            assert error == "no answer within 50ms"
        await asyncio.sleep(0.01)
        assert await attempt(port, type="udp") == ("Connection refused", None)

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_ping(host: str) -> None:
    error, _ = asyncio.run(attempt(0, host, type="ping"))
    if error in ("Permission denied", "Operation not permitted"):
        pytest.skip("the kernel grants no socket for it")
    assert error is None


def test_a_request_of_ping_has_a_right_checksum() -> None:
    assert ping.checksum(ping.request(4, 5, b"odd")) == 0
    assert ping.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D  # RFC 1071 section 3


# --- HTTP -------------------------------------------------------------------------------------------------------------


def page(status: str = "200 OK", body: bytes = b"all is well", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_http() -> None:
    asked: list[bytes] = []

    def serving(text: bytes) -> Serve:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(text)
            await writer.drain()

        return serve

    async def main() -> None:
        async with tcp(serving(page())) as port:
            assert await attempt(port, type="http") == (None, None)
            assert f"host: 127.0.0.1:{port}".encode() in asked[-1].lower()
            asks: dict[str, Any] = {
                "method": "HEAD",
                "path": "/x?y",
                "host": "example.org",
                "headers": ["X-One: 1"],
                "body": "hello",
            }
            assert await attempt(port, type="http", **asks) == (None, None)
            assert asked[-1].startswith(b"HEAD /x?y HTTP/1.1\r\nHost: example.org\r\n")
            assert b"X-One: 1\r\nContent-Length: 5\r\n" in asked[-1]
            assert await attempt(port, type="http", expect="is well") == (None, None)
            error, _ = await attempt(port, type="http", expect="is not")
            assert error == "the page does not contain what is expected: 'all is well'"
            assert await attempt(port, type="http", status="500-599") == ("status 200 OK", None)
        async with tcp(serving(page("503 Service Unavailable"))) as port:
            assert await attempt(port, type="http") == ("status 503 Service Unavailable", None)
            assert await attempt(port, type="http", status="200,503") == (None, None)
        async with tcp(serving(b"SSH-2.0-OpenSSH\r\n\r\n")) as port:
            assert (await attempt(port, type="http"))[0].startswith("this is not HTTP")
        async with tcp(serving(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")) as port:
            assert (await attempt(port, type="http", expect="long"))[0].startswith("this is not HTTP")
            assert await attempt(port, type="http", expect="short") == (None, None)

    asyncio.run(main())


def test_status_codes() -> None:
    assert [is_good(status, "200,204,300-399") for status in (200, 201, 204, 300, 399, 400)] == [
        True,
        False,
        True,
        True,
        True,
        False,
    ]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for example.org in one file."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    key = file.with_name("key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=example.org", "-addext", "subjectAltName=DNS:example.org"]
    subprocess.run([*command, "-keyout", key, "-out", file], check=True, capture_output=True, timeout=30)
    file.write_text(file.read_text() + key.read_text())
    return file


def test_https(certificate: Path) -> None:
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda connection, name, _: names.append(name)

    async def main() -> None:
        async with tcp(says(page(), b"\r\n\r\n"), context) as port:
            good = {"type": "https", "ca": str(certificate)}
            assert await attempt(port, **good, host="example.org") == (None, None)
            assert await attempt(port, **good, server_name="example.org") == (None, None)
            assert "mismatch" in (await attempt(port, **good, host="example.com"))[0]
            assert (await attempt(port, **good))[0].startswith("certificate: ")
            assert (await attempt(port, type="https", host="example.org"))[0].startswith("certificate: self")
            assert await attempt(port, type="https", verify=False, server_name="any.test") == (None, None)
        async with tcp(says(page(), b"\r\n\r\n")) as port:
            error, _ = await attempt(port, type="https", verify=False, timeout="500ms")
            assert error is not None

    asyncio.run(main())
    assert names == ["example.org", "example.org", "example.com", None, "example.org", "any.test"]


def test_nothing_is_left_of_checks_whose_time_is_over() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def main() -> None:
        async with tcp(silent) as port:
            before = len(os.listdir("/proc/self/fd"))
            for kind in ("https", "http", "agent", "grpc") * 3:
                values: dict[str, Any] = {"verify": False} if kind == "https" else {}
                assert await attempt(port, type=kind, timeout="30ms", **values) == ("no answer within 30ms", None)
            await asyncio.sleep(0.05)
            assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(main())


# --- DNS, gRPC, scripts, agents ---------------------------------------------------------------------------------------


def zone(data: bytes) -> bytes | None:
    question = dns.message.from_wire(data)
    answer = dns.message.make_response(question)
    name = question.question[0].name
    if str(name) == "broken.":
        return data[:2] + b"\0"
    if str(name) == "other.":
        return dns.message.make_response(dns.message.make_query("x.", "A", id=question.id)).to_wire()
    if str(name) != "www.test.":
        answer.set_rcode(dns.rcode.NXDOMAIN)
    else:
        answer.answer.append(dns.rrset.from_text(name, 5, "IN", "CNAME", "web.test."))
        answer.answer.append(dns.rrset.from_text("web.test.", 5, "IN", "A", "192.0.2.7"))
    return answer.to_wire()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"query": "www.test"}, None),
        ({"query": "www.test", "answer": "192.0.2.7"}, None),
        ({"query": "www.test", "answer": "192.0.2.8"}, "the answer has 192.0.2.7"),
        ({"query": "none.test"}, "response code NXDOMAIN"),
        ({"query": "none.test", "rcode": "NXDOMAIN"}, None),
        ({"query": "none.test", "rcode": "any"}, None),
        ({"query": "none.test", "rcode": "any", "answer": "::1"}, "the answer has no address"),
        ({"query": "broken"}, "the answer is not DNS: "),
        ({"query": "other"}, "the answer is for another question (NOERROR)"),
    ],
)
def test_dns(wanted: dict[str, Any], expected: str | None) -> None:
    async def main() -> Any:
        async with udp(zone) as port:
            return await attempt(port, type="dns", **wanted)

    error, _ = asyncio.run(main())
    assert error == expected or (expected is not None and error.startswith(expected))


def health(status: int | None, code: str = "0") -> Serve:
    """grpc.health.v1 that knows the service "db"."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        asked = b""
        while octets := await reader.read(65_536):
            for event in connection.receive_data(octets):
                if isinstance(event, h2.events.DataReceived):
                    asked += event.data
                if isinstance(event, h2.events.StreamEnded):
                    known = asked in (b"\0\0\0\0\0", b"\0\0\0\0\x04\x0a\x02db")
                    sent = [(":status", "200"), ("content-type", "application/grpc")]
                    connection.send_headers(1, sent)
                    if known and status is not None:
                        connection.send_data(1, grpc.framed(bytes([8, status]) if status else b""))
                    trailers = [("grpc-status", code if known else "5"), ("grpc-message", "" if known else "who?")]
                    connection.send_headers(1, trailers, end_stream=True)
            writer.write(connection.data_to_send())

    return serve


@pytest.mark.parametrize(
    ("status", "wanted", "expected"),
    [
        (1, {}, None),
        (1, {"service": "db"}, None),
        (1, {"service": "nobody"}, "grpc-status 5 who?"),
        (2, {}, "NOT_SERVING"),
        (0, {}, "UNKNOWN"),
        (None, {}, "the answer is no message of gRPC"),
    ],
)
def test_grpc(status: int | None, wanted: dict[str, Any], expected: str | None) -> None:
    async def main() -> Any:
        async with tcp(health(status)) as port:
            return await attempt(port, type="grpc", **wanted)

    assert asyncio.run(main()) == (expected, None)


def test_grpc_of_something_else() -> None:
    async def main() -> None:
        async with tcp(says(page())) as port:
            assert (await attempt(port, type="grpc"))[0].startswith("this is not HTTP/2")
        async with tcp(says(b"")) as port:
            assert await attempt(port, type="grpc") == ("the connection ended before there was an answer", None)

    asyncio.run(main())


def test_octets_of_grpc() -> None:
    assert grpc.request("x" * 200)[:3] == b"\x0a\xc8\x01"
    assert grpc.state_of(b"\x08\xac\x02") == 300


def test_scripts(tmp_path: Path) -> None:
    async def main() -> None:
        told = 'test "$PRONGHORN_ADDRESS:$PRONGHORN_PORT $PRONGHORN_SERVER $MINE" = "127.0.0.1:5 one yes"'
        script: dict[str, Any] = {"type": "script", "environment": ["MINE=yes"]}
        assert await attempt(5, **script, command=["/bin/sh", "-c", told]) == (None, None)
        error, _ = await attempt(5, **script, command=["/bin/sh", "-c", "echo one; echo two; exit 3"])
        assert error == "/bin/sh ended with 3: two"
        error, _ = await attempt(5, **script, command=["/no/such"])
        assert error == "No such file or directory"
        left = tmp_path / "left"
        slow = ["/bin/sh", "-c", f"(sleep 0.6; touch {left}) & sleep 60"]
        error, _ = await attempt(5, type="script", command=slow, timeout="300ms")
        assert error == "no answer within 300ms"
        await asyncio.sleep(0.8)
        assert not left.exists()  # what it had started has ended with it

    asyncio.run(main())


def test_agents() -> None:
    async def main() -> None:
        async with tcp(says(b"drain 50%\n", b"who\n")) as port:
            words = {"admin": "drain", "percent": 50}
            assert await attempt(port, type="agent", send="who\n") == (None, words)
        async with tcp(says(b"up")) as port:
            assert await attempt(port, type="agent") == (None, {"state": "up"})
        async with tcp(says(b"what?\n")) as port:
            assert await attempt(port, type="agent") == ("the agent said 'what?'", None)

    asyncio.run(main())
