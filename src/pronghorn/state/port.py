"""Ports and their queues, as every part of the engine sees them.

A port belongs to the engine; a queue of it belongs to one worker, which alone reads and writes it. `queue.driver` is
the address of the driver's own record, declared in the driver's file.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, field, fixed, i32, u8, u16, u32, u64

# Port.kind: the driver; ports/drivers.py chooses by it
NULL, PCAP, VETH, BRIDGE, PACKET, TAP, XDP, DPDK, WIRE, CLIENT, SERVER = range(1, 12)

# Port.role: what happens to frames that arrive
INPUT, REFLECT, CROSS = range(3)  # to the stack and the balancer | out of port.peer, MAC swapped | out of port.peer
PROGRAM = 3  # the link of attached program number port.peer

# Port.offloads: what this port does for us
CHECKSUM_TX = 1  # fills layer-4 checksums of CHECKSUM_PARTIAL frames
CHECKSUM_RX = 2  # sets CHECKSUM_GOOD
SEGMENTATION = 4  # takes UNSEGMENTED frames
RSS = 8  # spreads flows over its queues itself

BURST = 64
"""Packets received from a queue at once."""

TRANSMIT_BURST = 256
"""Packets that may wait on a queue for the next flush."""


class Port(View, align=64, size=64):
    """A device. Written by the control plane; workers read it."""

    kind: u16
    role: u16
    index: u16
    peer: u16  # output port of roles REFLECT and CROSS; program of role PROGRAM
    mtu: u32  # octets of layer 3
    offloads: u32
    mac: u64  # 48 bits, first octet most significant
    queues: u16  # receive queues of the device; may be fewer than workers
    up: u8
    vlan: u8
    interface: u32  # index of the layer-3 interface


class Queue(View, align=64):
    """A worker's end of a port."""

    driver: u64  # address of the driver's record for this queue; 0 when this worker has no queue on the port
    port: u16
    queue: u16  # number of the device's queue
    fd: i32  # descriptor to sleep on, -1 when there is none
    waiting: u32  # packets on `burst`
    state: u32
    rx_packets: u64 = field(align=8)
    rx_octets: u64
    rx_errors: u64  # frames the device or driver could not hand over
    tx_packets: u64
    tx_octets: u64
    tx_full: u64  # frames the device had no room for
    burst: Array[u64] = fixed(TRANSMIT_BURST, align=64)  # packets waiting for the flush, by address
