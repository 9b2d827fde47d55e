"""A host that scapy plays behind port 0: it answers ARP and echo requests for the address OURS."""

from __future__ import annotations

import ctypes

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet as Scapy

from pronghorn.ports.drivers import receive, transmit_burst
from pronghorn.state.packet import Packet
from pronghorn.state.packets import release
from pronghorn.state.port import BURST
from pronghorn.state.worker import Worker

OURS = "10.8.0.2"


def answer(frame: Ether, mac: str) -> bytes:
    """What a host with address OURS replies; nothing to most."""
    if ARP in frame and frame[ARP].op == 1 and frame[ARP].pdst == OURS:
        reply: Scapy = ARP(op=2, hwsrc=mac, psrc=OURS, hwdst=frame.src, pdst=frame[ARP].psrc)
    elif ICMP in frame and frame[ICMP].type == 8:
        echo = ICMP(type=0, id=frame[ICMP].id, seq=frame[ICMP].seq)
        reply = IP(src=OURS, dst=frame[IP].src) / echo / bytes(frame[ICMP].payload)
    else:
        return b""
    return bytes(Ether(src=mac, dst=frame.src) / reply)


def respond(worker: Worker, mac: str) -> int:
    """One turn of that host, which answers in the packet that came; returns how many frames came."""
    port, queue = worker.ports[0], worker.queues[0]
    count = receive(worker, port, queue, BURST)
    for i in range(count):
        packet = Packet(worker.burst[i])
        reply = answer(Ether(ctypes.string_at(packet.data, packet.length)), mac)
        if reply:
            ctypes.memmove(packet.data, reply, len(reply))
            packet.length = len(reply)
            queue.burst[0] = packet.address
            assert transmit_burst(worker, port, queue, queue.burst, 1) == 1
        else:
            release(worker, packet)
    return count
