"""Packets per second between two user-veth ports through the learning switch, 64 octets, one worker on one core.

    null port (makes frames) -> member A -> switch: learn, find -> member B -> null port (swallows them)

Every member port is a user-veth whose other end is in the switch. The frames go round over STATIONS stations on either
side, so that both look-ups of the switch find different entries all the time.

The peer is testpmd's `io` mode between two null devices, which allocates and frees a buffer per packet as a port does.
Between two net_ring devices testpmd reaches about 900 million/s on the same machine, but there it only passes pointers
around: no buffer changes hands with a device, and nothing reads the packet.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.harness import Benchmark
from bench.null_engine import forwarding
from bench.peers import testpmd

if TYPE_CHECKING:
    from pronghorn.engine.engine import Engine

STATIONS = 256
NEAR, FAR = 0x02_00_00_00_0A_00, 0x02_00_00_00_0B_00
"""Hardware addresses of the first station behind member A and behind member B."""


def ours(engine: Engine) -> Sequence[int]:
    """Two members of one switch, one fed and the other emptied by a null port."""
    from pronghorn.ports.bridge_port import BridgePort
    from pronghorn.ports.null import NullPort
    from pronghorn.state.port import CROSS

    engine.run_turns(1)  # from now on the worker knows the time
    source = engine.add_port(NullPort(octets=64), CROSS)
    near = engine.add_port(BridgePort("bench"), CROSS, source)
    sink = engine.add_port(NullPort(octets=0), CROSS)
    far = engine.add_port(BridgePort("bench"), CROSS, sink)
    engine.ports[source].peer, engine.ports[sink].peer = near, far
    introduce(engine, far)
    for index in range(engine.packet_count):
        station = index % STATIONS
        write(engine, index, (FAR + station).to_bytes(6) + (NEAR + station).to_bytes(6))
    return [sink]


def introduce(engine: Engine, member: int) -> None:
    """The stations behind member B say who they are: a frame of each, which the switch gives to everyone."""
    from pronghorn.ports.flush import flush_queue
    from pronghorn.state.packets import allocate
    from pronghorn.state.transmit import transmit

    worker = engine.workers[0]
    for station in range(STATIONS):
        packet = allocate(worker)
        write(engine, packet.index, b"\xff" * 6 + (FAR + station).to_bytes(6))
        packet.length = 64
        transmit(worker, packet, member)
        flush_queue(worker, engine.ports[member], worker.queues[member])


def write(engine: Engine, index: int, addresses: bytes) -> None:
    """Put the two addresses where frames begin in the packet's chunk: the null port sends what lies there."""
    from pronghorn.state.packet import HEADROOM

    frame = addresses + b"\x88\xb5" + bytes(50)  # EtherType for local experiments (IEEE 802)
    ctypes.memmove(engine.packets[index].chunk + HEADROOM, frame, len(frame))


BENCHMARK = Benchmark(
    name="bridge",
    what="two user-veth ports through user-vbridge, 64 B, one worker",
    unit="packets/s",
    ours=lambda: forwarding(ours),
    peer_name="testpmd io",
    peer=lambda: testpmd.forwarding("io"),
)
