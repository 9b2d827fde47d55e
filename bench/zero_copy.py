"""What sending costs without a copy: CPU time of the sending side per octet, a file in messages of 1 MB.

Two programs' engines on the ends of a direct link, here in one thread, so that nobody waits for anybody: what counts is
the sender's calls and the sender's turns, acknowledgements included, and nothing of the receiver. The peer reads the
file into a buffer and sends from there; ours reads it into memory that the stack lends, and commits that.

The reading, of a file in the page cache by pread, is in neither number: it is the program's own; without it there is
no message. It copies the octets once more, on both sides: 0.07 ns/B on the machine where the numbers here were 0.10 and
0.15, 7 % more for ours, whose memory is less often in the cache. With it the ratio is 0.8 instead of 0.65.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
import time
from collections.abc import Iterator

from bench import cores
from bench.harness import Benchmark, Measure
from pronghorn.compiled import Array, array_at, u64
from pronghorn.engine.attached import engine_poll
from pronghorn.engine.calls import receive, send
from pronghorn.engine.lending import send_commit, send_reserve
from pronghorn.state.worker import Worker
from tests.engine.links import Pair
from tests.engine.test_attached import connected

MESSAGE, MESSAGES, WARM = 1 << 20, 2000, 100


class Sender:
    """A program that sends messages, and one that takes them: what it cost the former."""

    def __init__(self, pair: Pair, file: int) -> None:
        client, server = pair.programs
        self._file, self._worker, self._taker = file, client.worker, server.worker
        self._handle, self._other = connected(pair, client, server, "192.0.2.2")
        self._buffer, self._room = client.room.octets(MESSAGE), server.room.octets(MESSAGE)
        self._target: Array[u64] = array_at(u64, client.room.octets(8))
        self.cost = 0  # ns

    def _read(self, place: int, address: int, octets: int) -> None:
        target = (ctypes.c_char * octets).from_address(address)
        if os.preadv(self._file, [target], place) != octets:
            raise RuntimeError("the file is shorter than that")

    def copying(self) -> None:
        """A message: read into the buffer, and sent from there."""
        self._read(0, self._buffer, MESSAGE)
        gone = 0
        while gone < MESSAGE:
            begin = time.thread_time_ns()
            gone += max(send(self._worker, self._handle, self._buffer + gone, MESSAGE - gone, 0), 0)
            self._turn(begin)

    def lending(self) -> None:
        """A message: read into the send buffer."""
        gone = 0
        while gone < MESSAGE:
            begin = time.thread_time_ns()
            there = send_reserve(self._worker, self._handle, MESSAGE - gone, self._target)
            if there > 0:
                self.cost += time.thread_time_ns() - begin
                self._read(gone, self._target[0], there)
                begin = time.thread_time_ns()
                gone += send_commit(self._worker, self._handle, there)
            self._turn(begin)

    def _turn(self, begin: int) -> None:
        worker: Worker = self._worker
        engine_poll(worker)
        self.cost += time.thread_time_ns() - begin
        engine_poll(self._taker)
        while receive(self._taker, self._other, self._room, MESSAGE, 0) > 0:
            pass
        engine_poll(self._taker)


@contextlib.contextmanager
def sender(how: str) -> Iterator[Measure]:
    """A side: ns of CPU time per octet."""
    with tempfile.TemporaryFile() as file, Pair() as pair:
        file.write(bytes(range(256)) * (MESSAGE // 256))
        file.flush()
        own = Sender(pair, file.fileno())
        message = own.lending if how == "lending" else own.copying

        def read() -> float:
            with cores.measured():
                for _ in range(WARM):
                    message()
                own.cost = 0
                for _ in range(MESSAGES):
                    message()
            return own.cost / (MESSAGES * MESSAGE)

        yield read


BENCHMARK = Benchmark(
    name="zero_copy",
    what="CPU time of sending 1 MB messages from memory that the stack lends",
    unit="ns/B",
    ours=lambda: sender("lending"),
    peer_name="copying path",
    peer=lambda: sender("copying"),
)
