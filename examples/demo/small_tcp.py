"""TCP (RFC 9293) as small as one HTTP request needs it: for demonstrations and tests, on a SmallHost.

    client   SYN, then the request in one segment, then FIN once the answer is complete
    server   SYN ACK, then the answer with FIN in one segment

At most one segment of each side waits for its acknowledgement; it is sent again after RETRY seconds, TRIES times in
all. Time is an argument. Left out: windows, options, segments out of order (they are asked for again by a repeated
acknowledgement), congestion control, TIME-WAIT beyond answering a repeated FIN.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from examples.demo.small_host import Segment, SmallHost

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
RETRY = 0.4
TRIES = 8
_WORD = 1 << 32

Key = tuple[bytes, int, bytes, int]


class Conn:
    """One end of a connection."""

    def __init__(self, host: SmallHost, key: Key) -> None:
        self.host, self.key = host, key
        self.next = random.getrandbits(32)  # sequence number of what is sent next
        self.expected = 0  # and of what is received next
        self.received = b""
        self.answered = False
        self.finished = False  # the other side has sent its FIN, in order
        self.fin_sent = False
        self.failure = ""
        self._unacknowledged: tuple[int, int, bytes] | None = None  # sequence number, flags, payload
        self._again = 0.0
        self._tries = 0

    @property
    def quiet(self) -> bool:
        """Whether nothing of ours waits for an acknowledgement."""
        return self._unacknowledged is None

    def put(self, now: float, flags: int, payload: bytes = b"") -> None:
        """Send something that must be acknowledged."""
        self._unacknowledged = self.next, flags, payload
        self.next = (self.next + len(payload) + bool(flags & (SYN | FIN))) % _WORD
        self.fin_sent |= bool(flags & FIN)
        self._tries = 0
        self._send_again(now)

    def acknowledge(self) -> None:
        """Say what has arrived."""
        self._emit(self.next, ACK, b"")

    def take(self, segment: Segment) -> bool:
        """Account for a segment; whether it brought anything new in order."""
        if segment.flags & RST:
            self.failure = "connection reset"
            return False
        if segment.flags & ACK and segment.acknowledged == self.next:
            self._unacknowledged = None
        if segment.flags & SYN:
            if not self.finished and not self.received:
                self.expected = (segment.sequence + 1) % _WORD
            return True
        new = len(segment.payload) + bool(segment.flags & FIN)
        if not new:
            return False
        if segment.sequence != self.expected:
            self.acknowledge()
            return False
        self.expected = (self.expected + new) % _WORD
        self.received += segment.payload
        self.finished |= bool(segment.flags & FIN)
        return True

    def tick(self, now: float) -> None:
        """Send again what was not acknowledged in time."""
        if self._unacknowledged is not None and now >= self._again:
            if self._tries >= TRIES:
                self.failure = "no answer"
            else:
                self._send_again(now)

    def _send_again(self, now: float) -> None:
        assert self._unacknowledged is not None
        self._again = now + RETRY
        self._tries += 1
        self._emit(*self._unacknowledged)

    def _emit(self, sequence: int, flags: int, payload: bytes) -> None:
        source, sport, target, dport = self.key
        acknowledged = self.expected if flags & ACK else 0
        self.host.send_tcp(Segment(source, target, sport, dport, sequence, acknowledged, flags, payload))


class SmallServer:
    """Answers every request on one port with its own name."""

    def __init__(self, host: SmallHost, name: str, port: int = 80) -> None:
        self.host, self.port, self.requests = host, port, 0
        body = f"{name}\n".encode()
        self._answer = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        self._conns: dict[Key, Conn] = {}
        self._now = 0.0
        host.on_tcp = self._arrived

    def tick(self, now: float) -> None:
        """Time passes."""
        self._now = now
        for key, conn in list(self._conns.items()):
            conn.tick(now)
            if conn.failure:
                del self._conns[key]

    def _arrived(self, segment: Segment) -> None:
        key = segment.target, segment.dport, segment.source, segment.sport
        conn = self._conns.get(key)
        if segment.flags & SYN and segment.dport == self.port and (conn is None or conn.fin_sent):
            conn = self._conns[key] = Conn(self.host, key)
            conn.take(segment)
            conn.put(self._now, SYN | ACK)
            return
        if conn is None:
            if segment.flags & FIN:  # ours was acknowledged, our last acknowledgement was lost
                self._dismiss(key, segment)
            return
        new = conn.take(segment)
        if b"\r\n\r\n" in conn.received and not conn.answered and conn.quiet:
            conn.answered = True
            self.requests += 1
            conn.put(self._now, PSH | FIN | ACK, self._answer)
        elif new:
            conn.acknowledge()
        if conn.failure or (conn.finished and conn.fin_sent and conn.quiet):
            del self._conns[key]

    def _dismiss(self, key: Key, segment: Segment) -> None:
        ghost = Conn(self.host, key)
        ghost.next = segment.acknowledged
        ghost.expected = (segment.sequence + len(segment.payload) + 1) % _WORD
        ghost.acknowledge()


class SmallClient:
    """Asks an address again and again, `parallel` requests at a time, each on a connection of its own."""

    def __init__(self, host: SmallHost, targets: list[bytes], parallel: int, rate: float) -> None:
        self.host, self.targets, self.parallel, self.rate = host, targets, parallel, rate
        self.by_server: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.stopped = False
        self._conns: dict[Key, Conn] = {}
        self._port = 20_000
        self._number = 0
        self._due = 0.0
        self._now = 0.0
        self._choose: Callable[[int], bytes] = lambda number: targets[number % len(targets)]
        host.on_tcp = self._arrived

    @property
    def requests(self) -> int:
        """Requests that have ended."""
        return self.by_server.total() + self.failed.total()

    @property
    def under_way(self) -> int:
        return len(self._conns)

    def tick(self, now: float) -> None:
        """Time passes: new requests, and what must be sent again."""
        self._now = now
        self._due = max(self._due, now - 0.05)
        while not self.stopped and self._due <= now and len(self._conns) < self.parallel:
            self._due += 1 / self.rate
            self._ask()
        for key, conn in list(self._conns.items()):
            conn.tick(now)
            if conn.failure:
                self._end(key, conn)

    def _ask(self) -> None:
        target = self._choose(self._number)
        self._number += 1
        self._port = self._port + 1 if self._port < 60_000 else 20_000
        source = self.host.addresses[0 if len(target) == 4 else 1]
        key = source, self._port, target, 80
        conn = self._conns[key] = Conn(self.host, key)
        conn.put(self._now, SYN)

    def _arrived(self, segment: Segment) -> None:
        key = segment.target, segment.dport, segment.source, segment.sport
        conn = self._conns.get(key)
        if conn is None:
            return
        new = conn.take(segment)
        if segment.flags & SYN and not conn.answered:
            conn.answered = True
            conn.put(self._now, PSH | ACK, b"GET / HTTP/1.0\r\nHost: demo\r\n\r\n")
        elif conn.finished and not conn.fin_sent:
            conn.put(self._now, FIN | ACK)
        elif new:
            conn.acknowledge()
        if conn.failure or (conn.fin_sent and conn.quiet):
            self._end(key, conn)

    def _end(self, key: Key, conn: Conn) -> None:
        del self._conns[key]
        head, _, body = conn.received.partition(b"\r\n\r\n")
        if conn.finished and head.startswith(b"HTTP/1.0 200 "):
            self.by_server[body.decode().strip()] += 1
        else:
            self.failed[conn.failure or "no proper answer"] += 1
