"""TCP servers on a null port, set up. See null_server.py.

servers = NullServerPort()
port = engine.add_port(servers)
servers.queue(0).answered
"""

from __future__ import annotations

from collections.abc import Sequence

from pronghorn.compiled import Array
from pronghorn.ports.driver import EngineMemory, describe, fresh_table
from pronghorn.ports.null import LOCAL_MAC
from pronghorn.ports.null_server import ServerQueue
from pronghorn.state.port import SERVER, Port, Queue


class NullServerPort:
    """A null port with servers. Every worker has its own."""

    kind = SERVER
    mtu = 1500
    offloads = 0
    descriptors = 0

    def __init__(self) -> None:
        self.mac = 0
        self._queues: Array[ServerQueue] | None = None
        self._workers = 0

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """Every worker gets servers."""
        self.mac = LOCAL_MAC | port.index
        table: Array[ServerQueue] = fresh_table(engine.arena, f"server.{port.index}", ServerQueue, len(queues))
        for number, queue in enumerate(queues):
            queue.driver = table[number].address
        describe(port, self, len(queues))
        self._queues, self._workers = table, len(queues)

    def queue(self, worker: int) -> ServerQueue:
        """The servers of worker number `worker`."""
        assert self._queues is not None, "the port is not open"
        return self._queues[worker]

    def close(self) -> None:
        """Nothing is held."""

    def statistics(self) -> dict[str, int | str]:
        """What the servers count, all workers together."""
        queues = [self.queue(number) for number in range(self._workers)]
        return {name: sum(getattr(queue, name) for queue in queues) for name in ("answered", "ignored", "dropped")}
