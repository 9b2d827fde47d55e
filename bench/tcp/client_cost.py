"""`python -m bench.tcp.client_cost [CONNECTIONS ...]`: what the clients behind a null port cost, in cycles per frame.

Their server is a loop that turns each frame round in place, which is not counted. What is printed are the cycles to
make a request and those to hear a response and remember the answer: together the clients' share of tcp_server_*.
"""

from __future__ import annotations

import ctypes
import sys

from bench import cores
from bench.tcp.address import SERVER4
from pronghorn.compiled import Array, array_at, cycles, hot, leaf, mode, u64
from pronghorn.engine.engine import Engine
from pronghorn.ports.null_client import client_receive, client_transmit
from pronghorn.ports.null_client_port import NullClientPort
from pronghorn.state.packet import Packet
from pronghorn.state.packets import release
from pronghorn.state.port import BURST, Port, Queue
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.tcp import ACK, PSH, SYN, TCP, header_octets

ROUNDS = 20_000
RESPONSE = 148


@hot
def measure(worker: Worker, port: Port, queue: Queue, rounds: int, log: Array[u64]) -> None:
    """So many bursts; frames made, frames heard, and cycles for each go to `log`."""
    for _ in range(rounds):
        begin = cycles()
        count = client_receive(worker, port, queue, BURST)
        made = cycles()
        answers = 0
        for place in range(count):
            packet = Packet(worker.burst[place])
            if _serve(packet):
                worker.burst[answers] = packet.address
                answers += 1
            else:
                release(worker, packet)
        served = cycles()
        client_transmit(worker, port, queue, worker.burst, answers)
        log[0] += count
        log[1] += made - begin
        log[2] += answers
        log[3] += cycles() - served


@leaf
def _serve(packet: Packet) -> bool:
    """The server's answer in the place of a frame; False when there is none."""
    ip, tcp = IPv4(packet.data + 14), TCP(packet.data + 34)
    octets = ip.length - 20 - header_octets(tcp)
    if tcp.flags & SYN == 0 and octets == 0:
        return False
    ip.src, ip.dst = ip.dst, ip.src
    tcp.sport, tcp.dport = tcp.dport, tcp.sport
    seq = tcp.seq
    tcp.seq = tcp.ack
    tcp.ack = seq + (1 if tcp.flags & SYN != 0 else octets)
    if tcp.flags & SYN != 0:
        tcp.flags = SYN | ACK
    else:
        tcp.flags = ACK | PSH
        ip.length = 20 + header_octets(tcp) + RESPONSE
        packet.length = 14 + ip.length
    return True


def main(connections: list[int]) -> None:
    """Print a line for each number of connections."""
    log = (ctypes.c_uint64 * 4)()
    for number in connections:
        with Engine(workers=1, packets=1024) as engine, cores.measured():
            clients = NullClientPort(SERVER4.ip, number, response=RESPONSE)
            index = engine.add_port(clients)
            worker, place = engine.workers[0], array_at(u64, ctypes.addressof(log))
            for _ in range(2):  # the first round opens the connections
                ctypes.memset(log, 0, ctypes.sizeof(log))
                measure(worker, engine.ports[index], worker.queues[index], ROUNDS, place)
            wrong = clients.statistics()["odd"]
            print(
                f"{number:>9,} connections: {log[1] / log[0]:6.1f} to make, {log[3] / log[2]:6.1f} to hear; {wrong} odd"
            )


if __name__ == "__main__":
    if mode() != "jit":
        sys.exit("bench.tcp.client_cost compiles a function of its own: set PRONGHORN_MODE=jit")
    main([int(argument) for argument in sys.argv[1:]] or [100, 10_000])
