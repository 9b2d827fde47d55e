"""Who has which port, and which flow, among an engine's workers: what steering asks, and whoever has it says.

One table, Endpoints.owners, is shared by all workers; an engine of one worker has none. It is read without locks.

    listeners   per TCP port: a bit for each worker that listens there now. Each writes its own
    heard       per TCP port: a bit for each worker that ever did. Connections of a listener that is closed go on
    flows       flows that are handled by another worker than the one whom ports and devices lead to: connections and
                connected sockets from a port that was bound, and connections that a listener got because the worker
                whose they would have been has none

A flow is a word: 56 bits of a keyed hash of addresses, ports and protocol, and its worker. It stands in one of the
eight places of its bucket, a cache line. Whoever finds no place is told so. The table has a fixed size, and gets memory
as it is touched.

Workers from number 63 on have no bit: a listener there gets what the device or the hash brings.
"""

from __future__ import annotations

from pronghorn.compiled import (
    Array,
    View,
    compare_exchange64,
    count_ones,
    fetch_add64,
    fill,
    fixed,
    hot,
    leaf,
    load_be32,
    trailing_zeros,
    u64,
)
from pronghorn.compiled.hashing import mix, mix4, shift_right, wrap
from pronghorn.state.endpoints import Endpoints
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_UDP

PORTS = 65_536
BITS = 63
"""Workers that have a bit of a port."""
BUCKETS, PLACES = 32_768, 8
"""Of flows: 2 MiB."""

NO_PLACE, TAKEN = -1, -2

_OWNER = 0xFF
_UDP = 1 << 62


class Owners(View, align=64):
    """See the module."""

    count: u64  # flows in the table
    listeners: Array[u64] = fixed(PORTS, align=64)
    heard: Array[u64] = fixed(PORTS, align=64)
    flows: Array[u64] = fixed(BUCKETS * PLACES, align=64)


_COUNT, _LISTENERS, _HEARD, _FLOWS = map(Owners.offset, ("count", "listeners", "heard", "flows"))


@hot
def owners_open(owners: Owners) -> None:
    """Forget what an earlier process left."""
    fill(owners.address, 0, Owners.SIZE)


@leaf
def owners_of(worker: Worker) -> Owners:
    """The engine's table; address 0: it has one worker."""
    return Owners(Endpoints(worker.transports).owners)


# --- ports --------------------------------------------------------------------------------------------------------


@hot
def set_listening(worker: Worker, port: int, on: bool) -> None:
    """This worker listens at the TCP port, or does so no more."""
    owners = owners_of(worker)
    if owners.address == 0 or worker.index >= BITS:
        return
    bit = 1 << worker.index
    if on:
        _change(owners.address + _HEARD + 8 * port, owners.heard, port, bit, bit)
    _change(owners.address + _LISTENERS + 8 * port, owners.listeners, port, bit, bit if on else 0)


@hot
def _change(address: int, words: Array[u64], place: int, mask: int, bits: int) -> None:
    """Let the bits of `mask` in a word that others change too be `bits`."""
    while True:
        word = words[place]
        if word & mask == bits or compare_exchange64(address, word, word & ~mask | bits):
            return


@leaf
def one_of(workers: int, flow: int) -> int:
    """One of the workers whose bits are set (there are some), by a hash of the flow."""
    left = (flow & 0xFFFF_FFFF) * count_ones(workers) >> 32
    while left > 0:
        workers &= workers - 1
        left -= 1
    return trailing_zeros(workers)


# --- flows --------------------------------------------------------------------------------------------------------


@leaf
def packet_flow(worker: Worker, packet: Packet) -> int:
    """Hash of a TCP or UDP packet's addresses and ports, the same on every worker."""
    ports = load_be32(packet.transport)
    if packet.family == 4:
        ip4 = IPv4(packet.network)
        return mix(ip4.src << 32 | ip4.dst, ports, worker.secret)
    ip6 = IPv6(packet.network)
    return mix(mix4(ip6.src_hi, ip6.src_lo, ip6.dst_hi, ip6.dst_lo, worker.secret), ports, worker.secret)


@hot
def flow_between(
    worker: Worker, remote_hi: int, remote_lo: int, local_hi: int, local_lo: int, remote_port: int, local_port: int
) -> int:
    """`packet_flow` of the packets that come from the remote end. IPv4 addresses stand in the IPv4-mapped block."""
    ports = remote_port << 16 | local_port
    if remote_hi == 0 and remote_lo >> 32 == 0xFFFF:
        return mix(wrap((remote_lo & 0xFFFF_FFFF) << 32 | local_lo & 0xFFFF_FFFF), ports, worker.secret)
    return mix(mix4(remote_hi, remote_lo, local_hi, local_lo, worker.secret), ports, worker.secret)


@leaf
def _word(flow: int, protocol: int) -> int:
    """The flow's word without its worker."""
    return (flow ^ (_UDP if protocol == PROTOCOL_UDP else 0)) & ~_OWNER


@leaf
def _bucket(word: int) -> int:
    return (shift_right(word, 8) & BUCKETS - 1) * PLACES


@hot
def flow_owner(owners: Owners, flow: int, protocol: int) -> int:
    """The worker that has the flow, or -1."""
    word = _word(flow, protocol)
    first = _bucket(word)
    for place in range(first, first + PLACES):
        found = owners.flows[place]
        if found & ~_OWNER == word and found & _OWNER != 0:
            return (found & _OWNER) - 1
    return -1


@hot
def flow_take(worker: Worker, flow: int, protocol: int) -> int:
    """The flow is this worker's: 0, NO_PLACE, or TAKEN by another worker."""
    owners = owners_of(worker)
    if owners.address == 0:
        return 0
    owner = flow_owner(owners, flow, protocol)
    if owner >= 0:
        return 0 if owner == worker.index else TAKEN
    word = _word(flow, protocol) | worker.index + 1
    first = _bucket(word)
    for place in range(first, first + PLACES):
        address = owners.address + _FLOWS + 8 * place
        if owners.flows[place] == 0 and compare_exchange64(address, 0, word):
            fetch_add64(owners.address + _COUNT, 1)
            return 0
    return NO_PLACE


@hot
def flow_has(worker: Worker, flow: int, protocol: int) -> bool:
    """Whether this worker has said that the flow is its own."""
    owners = owners_of(worker)
    return owners.address != 0 and owners.count != 0 and flow_owner(owners, flow, protocol) == worker.index


@hot
def flow_drop(worker: Worker, flow: int, protocol: int) -> None:
    """It is so no more, if it was."""
    owners = owners_of(worker)
    if owners.address == 0 or owners.count == 0:
        return
    word = _word(flow, protocol) | worker.index + 1
    first = _bucket(word)
    for place in range(first, first + PLACES):
        if owners.flows[place] == word and compare_exchange64(owners.address + _FLOWS + 8 * place, word, 0):
            fetch_add64(owners.address + _COUNT, -1)
