"""The table of drivers: `receive` and `transmit` by the port's kind. Adding a driver adds a line to each."""

from __future__ import annotations

from pronghorn.compiled import Array, hot, u64
from pronghorn.ports.bridge import bridge_receive, bridge_transmit
from pronghorn.ports.null import null_receive, null_transmit
from pronghorn.ports.null_client import client_receive, client_transmit
from pronghorn.ports.null_server import server_receive, server_transmit
from pronghorn.ports.packet import packet_receive, packet_transmit
from pronghorn.ports.pcap import pcap_receive, pcap_transmit
from pronghorn.ports.tap import tap_receive, tap_transmit
from pronghorn.ports.veth import veth_receive, veth_transmit
from pronghorn.ports.wire import wire_receive, wire_transmit
from pronghorn.ports.xdp import xdp_receive, xdp_transmit
from pronghorn.state.port import BRIDGE, CLIENT, NULL, PACKET, PCAP, SERVER, TAP, VETH, WIRE, XDP, Port, Queue
from pronghorn.state.worker import Worker


@hot
def receive(worker: Worker, port: Port, queue: Queue, room: int) -> int:
    """Frames from a queue into worker.burst, as packets this worker now holds; returns how many, at most `room`."""
    kind = port.kind
    if kind == NULL:
        return null_receive(worker, port, queue, room)
    if kind == XDP:
        return xdp_receive(worker, port, queue, room)
    if kind == VETH:
        return veth_receive(worker, port, queue, room)
    if kind == BRIDGE:
        return bridge_receive(worker, port, queue, room)
    if kind == TAP:
        return tap_receive(worker, port, queue, room)
    if kind == PACKET:
        return packet_receive(worker, port, queue, room)
    if kind == PCAP:
        return pcap_receive(worker, port, queue, room)
    if kind == WIRE:
        return wire_receive(worker, port, queue, room)
    if kind == CLIENT:
        return client_receive(worker, port, queue, room)
    if kind == SERVER:
        return server_receive(worker, port, queue, room)
    return 0


@hot
def transmit_burst(worker: Worker, port: Port, queue: Queue, packets: Array[u64], count: int) -> int:
    """Frames out of a queue; returns how many the driver took, from the front. The caller keeps the rest."""
    kind = port.kind
    if kind == NULL:
        return null_transmit(worker, port, queue, packets, count)
    if kind == XDP:
        return xdp_transmit(worker, port, queue, packets, count)
    if kind == VETH:
        return veth_transmit(worker, port, queue, packets, count)
    if kind == BRIDGE:
        return bridge_transmit(worker, port, queue, packets, count)
    if kind == TAP:
        return tap_transmit(worker, port, queue, packets, count)
    if kind == PACKET:
        return packet_transmit(worker, port, queue, packets, count)
    if kind == PCAP:
        return pcap_transmit(worker, port, queue, packets, count)
    if kind == WIRE:
        return wire_transmit(worker, port, queue, packets, count)
    if kind == CLIENT:
        return client_transmit(worker, port, queue, packets, count)
    if kind == SERVER:
        return server_transmit(worker, port, queue, packets, count)
    return 0
