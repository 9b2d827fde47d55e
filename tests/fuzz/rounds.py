"""Turns over mutated frames, in compiled code: each turn handles a burst, then everything must add up."""

from __future__ import annotations

from pronghorn.compiled import copy, hot
from pronghorn.engine.flush import flush
from pronghorn.engine.handle import handle
from pronghorn.engine.inbox import take_inbox
from pronghorn.engine.outbox import post
from pronghorn.engine.timers import timers
from pronghorn.state.packet import CHECKSUM_GOOD, CHECKSUM_PARTIAL, ORIGINATED, UNSEGMENTED, Packet
from pronghorn.state.packets import allocate, allocate_large
from pronghorn.state.port import BURST, Port
from pronghorn.state.worker import VERDICTS, Worker
from pronghorn.wire import arp, ethernet, icmp, icmpv6, ipv4, ipv6
from pronghorn.wire.ethernet import Ethernet
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import ETHERTYPE_ARP, ETHERTYPE_IPV4, PROTOCOL_ICMP, PROTOCOL_ICMPV6
from pronghorn.wire.reasons import GOOD
from tests.fuzz.mutate import LONGEST, Fuzz, mutate, number

MILLISECOND = 1_000_000


@hot
def run_turns(first: Worker, second: Worker, hand: Worker, fuzz: Fuzz, turns: int) -> int:
    """So many turns of both workers, a burst of mutated frames for the first in each.

    Returns the number of the turn after which a worker's verdicts did not add up or a malformed frame was sent, or -1.
    """
    for turn in range(turns):
        fuzz.now += MILLISECOND * (1 + (number(hand, 20_000) if number(hand, 16) == 0 else 0))
        first.now, second.now = fuzz.now, fuzz.now
        hear(first, hand, fuzz, BURST)
        rest(first, fuzz)
        rest(second, fuzz)
        if missing(first) != 0 or missing(second) != 0 or fuzz.bad != 0:
            return turn
    return -1


@hot
def run_idle(first: Worker, second: Worker, fuzz: Fuzz, turns: int, step: int) -> None:
    """So many turns without frames, `step` ns apart: everything that waits comes to its end."""
    for _ in range(turns):
        fuzz.now += step
        first.now, second.now = fuzz.now, fuzz.now
        rest(first, fuzz)
        rest(second, fuzz)


@hot
def hear(worker: Worker, hand: Worker, fuzz: Fuzz, count: int) -> None:
    """Receive up to `count` mutated frames and handle them."""
    made = 0
    while made < count:
        long = fuzz.large != 0 and number(hand, 200) == 0
        packet = allocate_large(worker) if long else allocate(worker)
        if packet.address == 0:
            break
        mutate(hand, fuzz, packet)
        flags = number(hand, 64)
        if flags < 3:
            packet.flags = CHECKSUM_GOOD if flags == 0 else (CHECKSUM_PARTIAL if flags == 1 else UNSEGMENTED)
        if long and packet.length > 60:
            packet.flags = UNSEGMENTED
            packet.gso_size = 1 + number(hand, 1448)
            packet.length += number(hand, 50_000)
        worker.burst[made] = packet.address
        made += 1
    worker.received += made
    fuzz.frames += made
    handle(worker, made)


@hot
def rest(worker: Worker, fuzz: Fuzz) -> None:
    """What a turn does besides receiving; what it sends is looked at before it goes."""
    take_inbox(worker)
    timers(worker)
    for index in range(worker.port_count):
        queue = worker.queues[index]
        for place in range(queue.waiting):
            packet = Packet(queue.burst[place])
            if not is_good(packet, worker.ports[index]):
                fuzz.bad += 1
                if fuzz.bad == 1:
                    fuzz.first_bad_length = packet.length
                    copy(fuzz.first_bad.address, packet.data, min(packet.length, LONGEST))
    flush(worker)
    post(worker)


@hot
def missing(worker: Worker) -> int:
    """How many packets came and did not end anywhere (below 0: ended twice)."""
    ended = worker.held + worker.dispatched
    for index in range(worker.port_count):
        ended += worker.queues[index].waiting
    for verdict in range(VERDICTS):
        ended += worker.verdicts[verdict]
    return worker.received + worker.originated - ended


@hot
def is_good(packet: Packet, port: Port) -> bool:
    """Whether a frame to be sent is well formed: addresses, lengths, header checksum, and ICMP's if it is our own."""
    data, octets = packet.data, packet.length
    if octets < ethernet.HEADER or ethernet.source(Ethernet(data)) != port.mac:
        return False
    if octets > port.mtu + ethernet.HEADER and packet.flags & UNSEGMENTED == 0:
        return False
    network, octets = data + ethernet.HEADER, octets - ethernet.HEADER
    ethertype = Ethernet(data).ethertype
    if ethertype == ETHERTYPE_ARP:
        return arp.check(network, octets) == GOOD
    if ethertype == ETHERTYPE_IPV4:
        ip4 = IPv4(network)
        if ipv4.check(network, octets) != GOOD or ip4.length != octets or ip4.ttl == 0:
            return False
        own = packet.flags & ORIGINATED != 0 and ip4.protocol == PROTOCOL_ICMP and not ipv4.is_fragment(ip4)
        return not own or icmp.verify(network + 20, octets - 20) == GOOD
    ip6 = IPv6(network)
    if ipv6.check(network, octets) != GOOD or ip6.length + ipv6.HEADER != octets or ip6.hop_limit == 0:
        return False
    own = packet.flags & ORIGINATED != 0 and ip6.next_header == PROTOCOL_ICMPV6
    return not own or icmpv6.verify(ip6, network + ipv6.HEADER, octets - ipv6.HEADER) == GOOD
