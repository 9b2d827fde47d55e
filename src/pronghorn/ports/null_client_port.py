"""TCP clients on a null port, set up: what they ask, how many there are, where the server is.

    clients = NullClientPort(server=IPv4Address("198.18.255.1"), connections=100, response=158)
    port = engine.add_port(clients)
    engine.run_turns(1000)
    clients.queue(0).responses

Clients stand behind a router: the server needs a route to `networks(port)` through an address whose neighbour entry is
ROUTER_MAC, because they answer neither ARP nor neighbour solicitations.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from pronghorn.compiled import Array
from pronghorn.ports.driver import EngineMemory, describe, fresh_table
from pronghorn.ports.null import LOCAL_MAC
from pronghorn.ports.null_client import FLOW_BITS, PORT_BITS, REQUEST
from pronghorn.ports.null_client_view import ENDINGS, FRAME, S_ACK, S_FIN, S_REQUEST, S_SYN, ClientQueue, Reply
from pronghorn.state.packet import CHECKSUM_GOOD
from pronghorn.state.port import CHECKSUM_RX, CLIENT, Port, Queue

NETWORK4, NETWORK6 = IPv4Network("198.18.0.0/16"), IPv6Network("2001:2:0:100::/56")
"""Where clients are (RFC 2544 C.2.2, RFC 5180 8)."""

PORTS = 8
"""Ports with clients that an engine may have; each has its part of the networks."""

ROUTER_MAC = 0x02_00_00_00_FE_00
ASKS = b"GET / HTTP/1.1\r\nHost: pronghorn\r\nUser-Agent: null\r\nX: "
ENDS = b"\r\n\r\n"
TEXT = ASKS.ljust(REQUEST - len(ENDS), b"-") + ENDS
"""The request."""

MSS = 1460
SCALE = 7
WINDOW = 64_240
"""What a Linux client offers at first; later as many units of 1 << SCALE octets."""

SYN, FIN, PSH, ACK = 2, 1, 8, 16
LINGERING = 4
"""Replies that may wait, times the connections, unless told: one for each is enough while nothing is repeated."""


def networks(port: int) -> tuple[IPv4Network, IPv6Network]:
    """Where the clients behind port number `port` are."""
    if not 0 <= port < PORTS:
        raise ValueError(f"port {port}: clients are behind one of the first {PORTS}")
    return list(NETWORK4.subnets(new_prefix=19))[port], list(NETWORK6.subnets(new_prefix=64))[port]


class NullClientPort:
    """A null port with clients. Numbers are those of one worker; every worker has clients of its own."""

    kind = CLIENT
    mtu = 1500
    descriptors = 0

    def __init__(
        self,
        server: IPv4Address | IPv6Address,
        connections: int,
        *,
        service_port: int = 80,
        closing: bool = False,
        active: int = 1,
        flows: int = 0,
        response: int = 0,
        flood: int = 0,
        separate: bool = True,
        stamps: bool = True,
        shuffle: bool = False,
        verify: bool = False,
        open_burst: int = 16,
        waiting: int = 0,
        offloads: int = 0,
    ) -> None:
        self.server, self.service_port = server, service_port
        self.connections, self.flows = connections, flows or (1 << FLOW_BITS if closing else connections)
        if not 0 < connections <= self.flows <= 1 << FLOW_BITS:
            raise ValueError(f"{connections} connections of {self.flows} clients: at most {1 << FLOW_BITS}")
        if closing and connections > ENDINGS // 2:
            raise ValueError(f"{connections} closing connections at once: at most {ENDINGS // 2}")
        self.closing, self.active, self.response, self.flood = closing, active, response, flood
        self.separate, self.stamps, self.verify, self.shuffle = separate, stamps, verify, shuffle
        if shuffle and separate:
            raise ValueError("clients that shuffle their segments send one at a time: separate=False")
        self.open_burst, self.offloads = open_burst, offloads
        self.places = 1 << (waiting or LINGERING * connections + 64).bit_length()
        self.mac = 0
        self._queues: Array[ClientQueue] | None = None
        self._workers = 0

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """Every worker gets clients."""
        name = f"client.{port.index}"
        table: Array[ClientQueue] = fresh_table(engine.arena, name, ClientQueue, len(queues))
        self.mac = LOCAL_MAC | port.index
        for number, queue in enumerate(queues):
            own = table[number]
            own.family, own.connections, own.flows = self.server.version, self.connections, self.flows
            own.active, own.closing, own.response = self.active, int(self.closing), self.response
            own.separate, own.stamps, own.verify = int(self.separate), int(self.stamps), int(self.verify)
            own.open_burst, own.flood, own.shuffle = self.open_burst, self.flood, int(self.shuffle)
            own.flags = CHECKSUM_GOOD if self.offloads & CHECKSUM_RX else 0
            own.source_hi, own.source = self._source(port.index, number)
            own.replies = fresh_table(engine.arena, f"{name}.{number}", Reply, self.places)
            own.mask = self.places - 1
            self._shape(own)
            queue.driver = own.address
        describe(port, self, len(queues))
        self._queues, self._workers = table, len(queues)

    def _source(self, port: int, worker: int) -> tuple[int, int]:
        """First half (IPv6) and rest of the first client's address."""
        network4, network6 = networks(port)
        first = int(network4[1] if self.server.version == 4 else network6[1]) + (worker << FLOW_BITS - PORT_BITS)
        hi = first >> 64
        return (hi - (1 << 64) if hi >> 63 else hi), first & (1 << 64) - 1

    def _shape(self, own: ClientQueue) -> None:
        """Lay out the frames."""
        later = b"\x01\x01\x08\x0a" + bytes(8) if self.stamps else b""
        first = struct.pack("!BBH", 2, 4, MSS)
        first += b"\x04\x02\x08\x0a" + bytes(8) if self.stamps else b"\x01\x01\x04\x02"
        first += struct.pack("!BBBB", 1, 3, 3, SCALE)
        for number, flags, options, text in (
            (S_SYN, SYN, first, b""),
            (S_ACK, ACK, later, b""),
            (S_REQUEST, ACK | PSH, later, TEXT),
            (S_FIN, ACK | FIN, later, b""),
        ):
            window = WINDOW if flags & SYN else WINDOW >> SCALE
            segment = struct.pack(
                "!HHIIBBHHH", 0, self.service_port, 0, 0, 5 + len(options) // 4 << 4, flags, window, 0, 0
            )
            frame, network_sum, transport_sum = self._frame(own, segment + options + text)
            assert len(frame) <= FRAME
            shape = own.shapes[number]
            for place, octet in enumerate(frame):
                shape.frame[place] = octet
            shape.octets, shape.network_sum, shape.transport_sum = len(frame), network_sum, transport_sum

    def _frame(self, own: ClientQueue, segment: bytes) -> tuple[bytes, int, int]:
        """The frame around a segment, and the totals over its IPv4 header and over pseudo header and segment."""
        ethernet = self.mac.to_bytes(6) + ROUTER_MAC.to_bytes(6)
        if self.server.version == 4:
            total = 20 + len(segment)
            ip = struct.pack("!BBHHHBBH4x4s", 0x45, 0, total, 0, 0x4000, 64, 6, 0, self.server.packed)
            pseudo = self.server.packed + struct.pack("!HH", 6, len(segment))
            return ethernet + b"\x08\x00" + ip + segment, words(ip), words(pseudo + segment)
        prefix = struct.pack("!Q", own.source_hi & (1 << 64) - 1)
        ip = struct.pack("!IHBB", 6 << 28, len(segment), 6, 64) + prefix + bytes(8) + self.server.packed
        pseudo = prefix + self.server.packed + struct.pack("!II", len(segment), 6)
        return ethernet + b"\x86\xdd" + ip + segment, 0, words(pseudo + segment)

    def queue(self, worker: int) -> ClientQueue:
        """The clients of worker number `worker`."""
        assert self._queues is not None, "the port is not open"
        return self._queues[worker]

    def close(self) -> None:
        """Nothing is held."""

    def statistics(self) -> dict[str, int | str]:
        """What the clients count, all workers together."""
        queues = [self.queue(number) for number in range(self._workers)]
        return {name: sum(getattr(queue, name) for queue in queues) for name in COUNTERS}


COUNTERS = (
    "begun", "established", "requests", "responses", "completed", "flooded", "cookies", "acks",
    "resets", "odd", "corrupt", "ignored", "dropped", "repeated",
)  # fmt: skip


def words(octets: bytes) -> int:
    """The total of 16-bit words in network order."""
    return sum(struct.unpack(f"!{len(octets) // 2}H", octets))
