"""Sockets of a station that wait: for conversations that Python holds, such as iperf3's control connection.

A call that would wait lets the engine turn instead. `Speaker` is the server of iperf3 for one stream: its control
connection carries a cookie of 37 octets, then states of one octet, and JSON with its length before it (iperf 3.x,
src/iperf_api.h); the stream is a second connection that begins with the same cookie. With `-R` the server sends.
"""

from __future__ import annotations

import ctypes
import errno
import json
import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import Any

from bench.tcp.engines import address, good
from bench.tcp.station import Station
from pronghorn.state.endpoints import Address
from pronghorn.tcp.calls import (
    tcp_accept,
    tcp_bind,
    tcp_close,
    tcp_connect,
    tcp_listen,
    tcp_open,
    tcp_receive,
    tcp_send,
)

ROOM = 1 << 17
PATIENCE = 20.0
COOKIE = 37
TEST_START, TEST_RUNNING, TEST_END = b"\x01", b"\x02", b"\x04"
PARAM_EXCHANGE, CREATE_STREAMS, EXCHANGE_RESULTS, DISPLAY_RESULTS = b"\x09", b"\x0a", b"\x0d", b"\x0e"


class Waiting:
    """A socket of the station's engine."""

    def __init__(self, station: Station, number: int) -> None:
        self.station, self.number = station, number
        self.room = ctypes.create_string_buffer(ROOM)

    @classmethod
    def listen(cls, station: Station, family: int, port: int) -> Waiting:
        """A listening socket."""
        number = good(tcp_open(station.worker, family), "open")
        good(tcp_bind(station.worker, number, address(None, port, family, station.where)), "bind")
        good(tcp_listen(station.worker, number, 16), "listen")
        return cls(station, number)

    @classmethod
    def connect(cls, station: Station, family: int, port: int) -> Waiting:
        """A connection to the kernel."""
        station.settle(0.001)  # sets the clock
        number = good(tcp_open(station.worker, family), "open")
        where = address(ip_address(station.peer_at[family]), port, family, station.where)
        assert tcp_connect(station.worker, number, where) == -errno.EINPROGRESS
        return cls(station, number)

    def accept(self) -> Waiting:
        """The next connection."""
        return Waiting(self.station, self._wait(lambda: tcp_accept(self.station.worker, self.number, Address(0))))

    def try_receive(self, octets: int = ROOM) -> int:
        """Octets that are there, into `room`; minus an errno."""
        return tcp_receive(self.station.worker, self.number, ctypes.addressof(self.room), min(octets, ROOM), 0)

    def try_send(self, octets: int = ROOM) -> int:
        """Octets of `room` that are taken; minus an errno."""
        return tcp_send(self.station.worker, self.number, ctypes.addressof(self.room), octets, 0)

    def receive(self, octets: int = ROOM) -> bytes:
        """What is there, at most so much; nothing at the end."""
        count = self._wait(lambda: self.try_receive(octets))
        return ctypes.string_at(self.room, count)

    def read(self, octets: int) -> bytes:
        """So many octets."""
        found = b""
        while len(found) < octets:
            more = self.receive(octets - len(found))
            assert more, f"ended after {len(found)} octets"
            found += more
        return found

    def write(self, octets: bytes) -> None:
        """All of it."""
        done = 0
        while done < len(octets):
            piece = octets[done : done + ROOM]
            ctypes.memmove(self.room, piece, len(piece))
            done += self._wait(partial(self.try_send, len(piece)))

    def close(self) -> None:
        good(tcp_close(self.station.worker, self.number), "close")

    def _wait(self, call: Callable[[], int]) -> int:
        """The call's result, once it has one."""
        result = -errno.EAGAIN

        def done() -> bool:
            nonlocal result
            result = call()
            return result != -errno.EAGAIN

        assert self.station.run(done, PATIENCE), "nothing came"
        if result < 0:
            raise OSError(-result, errno.errorcode[-result])
        return result


class Speaker:
    """A server for one run of iperf3 after another."""

    def __init__(self, station: Station, family: int, port: int = 5201) -> None:
        self.station, self.listener = station, Waiting.listen(station, family, port)

    def serve(self) -> int:
        """One run; octets that the stream has carried."""
        control = self.listener.accept()
        cookie = control.read(COOKIE)
        control.write(PARAM_EXCHANGE)
        sends = bool(self._hear(control).get("reverse"))
        control.write(CREATE_STREAMS)
        stream = self.listener.accept()
        assert stream.read(COOKIE) == cookie
        control.write(TEST_START + TEST_RUNNING)
        octets, begin = 0, time.monotonic()

        def ended() -> bool:
            nonlocal octets
            octets += max(stream.try_send() if sends else stream.try_receive(), 0)
            return control.try_receive(1) == 1

        assert self.station.run(ended, 60), "the test does not end"
        assert control.room.raw[:1] == TEST_END
        if not sends:
            while (more := stream.try_receive()) > 0:
                octets += more
        control.write(EXCHANGE_RESULTS)
        length = 0

        def heard() -> bool:
            nonlocal length
            if sends:
                stream.try_send()  # the client may wait for the rest of a block
            length = control.try_receive(4)
            return length != -errno.EAGAIN

        assert self.station.run(heard, PATIENCE), "no results"
        assert length == 4
        control.read(int.from_bytes(control.room.raw[:4]))
        one: dict[str, float] = {
            "id": 1,
            "bytes": octets,
            "retransmits": -1,
            "jitter": 0,
            "errors": 0,
            "packets": 0,
            "start_time": 0,
        }
        one |= {"omitted_errors": 0, "omitted_packets": 0, "end_time": time.monotonic() - begin}
        said = {"cpu_util_total": 0, "cpu_util_user": 0, "cpu_util_system": 0, "streams": [one]}
        text = json.dumps({**said, "sender_has_retransmits": 0, "congestion_used": "cubic"}).encode()
        control.write(len(text).to_bytes(4) + text)
        control.write(DISPLAY_RESULTS)
        control.receive(1)  # IPERF_DONE
        stream.close()
        control.close()
        return octets

    def _hear(self, control: Waiting) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(control.read(int.from_bytes(control.read(4))))
        return found
