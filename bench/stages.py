"""`python -m bench.stages [CONNECTIONS ...]`: cycles per packet of each stage of full NAT, with and without look-ahead.

The stages of engine/turn.py and engine/handle.py, timed burst by burst on the measured core. What is printed are the
10th and the 50th percentile over all bursts, so other work on the machine shows in the second more than in the first.
The figures are kept in docs/adr/0005-look-ahead.md.
"""

from __future__ import annotations

import ctypes
import sys

from bench import cores
from bench.balanced import with_connections
from pronghorn.balancer.lookup import flow_prefetch
from pronghorn.compiled import Array, array_at, cycles, hot, mode, u32
from pronghorn.engine.engine import Engine
from pronghorn.engine.flush import flush
from pronghorn.engine.timers import timers
from pronghorn.input.ethernet import frame_input
from pronghorn.input.look_ahead import look_ahead
from pronghorn.ports.drivers import receive
from pronghorn.state.packet import PREPARED, Packet
from pronghorn.state.packets import finish
from pronghorn.state.port import BURST
from pronghorn.state.worker import Worker

BURSTS = 20_000
STAGES = ("receive", "hash", "prefetch", "handle", "flush")
PASSES = ("no look-ahead", "one pass", "two passes")


@hot
def measure(worker: Worker, bursts: int, passes: int, log: Array[u32]) -> None:
    """Run so many bursts of port 0 with so many look-ahead passes; the cycles of each stage go to `log`, five each."""
    for burst in range(bursts):
        begin = cycles()
        count = receive(worker, worker.ports[0], worker.queues[0], BURST)
        worker.received += count
        received = cycles()
        for place in range(count if passes > 0 else 0):
            look_ahead(worker, Packet(worker.burst[place]))
        hashed = cycles()
        for place in range(count if passes > 1 else 0):
            packet = Packet(worker.burst[place])
            if packet.flags & PREPARED != 0:
                flow_prefetch(worker, packet)
        prefetched = cycles()
        for place in range(count):
            packet = Packet(worker.burst[place])
            finish(worker, packet, frame_input(worker, worker.ports[packet.port], packet))
        handled = cycles()
        timers(worker)
        flush(worker)
        log[5 * burst] = received - begin
        log[5 * burst + 1] = hashed - received
        log[5 * burst + 2] = prefetched - hashed
        log[5 * burst + 3] = handled - prefetched
        log[5 * burst + 4] = cycles() - handled


def main(connections: list[int]) -> None:
    """Print a table for each number of connections."""
    log = (ctypes.c_uint32 * (5 * BURSTS))()
    for number in connections:
        with Engine(workers=1, packets=4096) as engine:
            with_connections(number)(engine)
            print(f"{number} connections{'':<6}" + "".join(f"{stage:>10}" for stage in STAGES) + f"{'sum':>10}")
            with cores.measured():
                for passes, name in enumerate(PASSES):
                    measure(engine.workers[0], BURSTS, passes, array_at(u32, ctypes.addressof(log)))
                    for percent in (10, 50):
                        each = [sorted(log[stage::5])[percent * BURSTS // 100] / BURST for stage in range(5)]
                        print(f"{name:<14} p{percent:<6}" + "".join(f"{value:10.1f}" for value in [*each, sum(each)]))


if __name__ == "__main__":
    if mode() != "jit":
        sys.exit("bench.stages compiles a function of its own: set PRONGHORN_MODE=jit")
    main([int(argument) for argument in sys.argv[1:]] or [8_000, 100_000, 1_000_000])
