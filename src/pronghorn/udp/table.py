"""Which socket a datagram is for: the endpoints by address and port, and by port alone.

The index holds one endpoint for each (local address and port, remote address and port, protocol) that some have; the
others with the same stand on a list behind it, the latest first. A datagram is looked up as Linux does: connected to
its sender; else bound to its destination; else bound to any address of its family; else, for IPv4, bound to any address
of both families. Of several on one list the latest takes it, or, when that has SO_REUSEPORT, one of those with
SO_REUSEPORT by a hash of the datagram's addresses and ports: a flow stays with its socket while the sockets stay.

All endpoints with a port stand on the port's list too, for conflicts and for datagrams to groups.
"""

from __future__ import annotations

from pronghorn.compiled import Array, compare_exchange64, hot, leaf, u32, u64
from pronghorn.compiled.hashing import mix, mix4
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_first, hash_next, hash_remove
from pronghorn.net.state import MAPPED
from pronghorn.state.endpoints import REUSE_ADDRESS, REUSE_PORT, Endpoints
from pronghorn.state.owners import flow_between, flow_drop, flow_take
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import (
    BOUND,
    CONNECTED,
    NO_ENDPOINT,
    PORT_CHOSEN,
    Arrival,
    Endpoint,
    Udp,
    is_any,
    is_four,
    udp_of,
)
from pronghorn.wire.numbers import PROTOCOL_UDP


@leaf
def _hash(
    udp: Udp, hi: int, lo: int, port: int, remote_hi: int, remote_lo: int, remote_port: int, protocol: int
) -> int:
    secret = HashIndex(udp.index).secret
    return mix(mix4(hi, lo, remote_hi, remote_lo, secret), port | remote_port << 16 | protocol << 32, secret)


@leaf
def _own_hash(udp: Udp, endpoint: Endpoint) -> int:
    return _hash(
        udp, endpoint.local_hi, endpoint.local_lo, endpoint.local_port,
        endpoint.remote_hi, endpoint.remote_lo, endpoint.remote_port, endpoint.protocol,
    )  # fmt: skip


@hot
def group_find(
    udp: Udp, hi: int, lo: int, port: int, remote_hi: int, remote_lo: int, remote_port: int, protocol: int
) -> int:
    """Number of the first endpoint with exactly these, or -1."""
    index = HashIndex(udp.index)
    hash = _hash(udp, hi, lo, port, remote_hi, remote_lo, remote_port, protocol)
    found = hash_first(index, hash)
    while found >= 0:
        endpoint = udp.endpoints[found]
        if (
            endpoint.local_port == port
            and endpoint.local_lo == lo
            and endpoint.local_hi == hi
            and endpoint.remote_port == remote_port
            and endpoint.remote_lo == remote_lo
            and endpoint.remote_hi == remote_hi
            and endpoint.protocol == protocol
        ):
            return found
        found = hash_next(index, hash, found)
    return -1


# --- input --------------------------------------------------------------------------------------------------------


@hot
def endpoint_find(worker: Worker, udp: Udp, arrival: Arrival, port: int, protocol: int) -> int:
    """The endpoint that the datagram to one of our addresses, at `port`, is for; -1: none."""
    hi, lo = arrival.to_hi, arrival.to_lo
    if udp.connected != 0:
        first = group_find(udp, hi, lo, port, arrival.source_hi, arrival.source_lo, arrival.source_port, protocol)
        found = _choose(worker, udp, first, arrival, port) if first >= 0 else -1
        if found >= 0:
            return found
    if udp.specific != 0:
        first = group_find(udp, hi, lo, port, 0, 0, 0, protocol)
        found = _choose(worker, udp, first, arrival, port) if first >= 0 else -1
        if found >= 0:
            return found
    if arrival.family == 4:
        first = group_find(udp, 0, MAPPED, port, 0, 0, 0, protocol)
        found = _choose(worker, udp, first, arrival, port) if first >= 0 else -1
        if found >= 0:
            return found
    first = group_find(udp, 0, 0, port, 0, 0, 0, protocol)
    return _choose(worker, udp, first, arrival, port) if first >= 0 else -1


@leaf
def takes(endpoint: Endpoint, arrival: Arrival) -> bool:
    """Whether interface and family of the datagram suit the endpoint."""
    if endpoint.interface != 0 and endpoint.interface != arrival.interface + 1:
        return False
    return endpoint.family == 10 or endpoint.family == arrival.family


@hot
def _choose(worker: Worker, udp: Udp, first: int, arrival: Arrival, port: int) -> int:
    """One of the list that begins with `first`; -1: none suits. Over IPv4 a dual-stack socket stands back."""
    found, number = -1, first
    while number != NO_ENDPOINT:
        endpoint = udp.endpoints[number]
        if takes(endpoint, arrival) and (found < 0 or endpoint.family == 4):
            found = number
            if endpoint.family != 10 or arrival.family == 6:
                break
        number = endpoint.group_next
    if found < 0:
        return -1
    if udp.endpoints[found].group_next == NO_ENDPOINT or not _shares(worker, udp, found):
        return found
    return _share(worker, udp, found, arrival, port)


@leaf
def _shares(worker: Worker, udp: Udp, number: int) -> bool:
    socket = Endpoints(worker.transports).sockets[udp.endpoints[number].socket]
    return socket.options & REUSE_PORT != 0


@hot
def _share(worker: Worker, udp: Udp, first: int, arrival: Arrival, port: int) -> int:
    """The datagram's own of the endpoints with SO_REUSEPORT from `first` on."""
    count, number = 0, first
    while number != NO_ENDPOINT:
        if takes(udp.endpoints[number], arrival) and _shares(worker, udp, number):
            count += 1
        number = udp.endpoints[number].group_next
    flow = mix4(arrival.source_hi, arrival.source_lo, arrival.to_hi, arrival.to_lo, worker.secret)
    flow = mix(flow, arrival.source_port | port << 16, worker.secret)
    left = (flow & 0xFFFF_FFFF) * count >> 32
    number = first
    while number != NO_ENDPOINT:
        if takes(udp.endpoints[number], arrival) and _shares(worker, udp, number):
            if left == 0:
                return number
            left -= 1
        number = udp.endpoints[number].group_next
    return first


# --- ports --------------------------------------------------------------------------------------------------------


@leaf
def port_list(udp: Udp, protocol: int) -> Array[u32]:
    """First endpoints, plus 1, by port of the protocol."""
    return udp.ports if protocol == PROTOCOL_UDP else udp.identifiers


@leaf
def port_users(udp: Udp, protocol: int) -> Array[u64]:
    """Bits of the workers that have the port."""
    return udp.users if protocol == PROTOCOL_UDP else udp.identifier_users


@hot
def is_taken(worker: Worker, endpoint: Endpoint, hi: int, lo: int, port: int) -> bool:
    """Whether another endpoint keeps this one from the address and port (inet_rcv_saddr_equal of Linux)."""
    udp, sockets = udp_of(worker), Endpoints(worker.transports).sockets
    reuse = sockets[endpoint.socket].options
    number = port_list(udp, endpoint.protocol)[port] - 1
    while number >= 0 and number != NO_ENDPOINT:
        other = udp.endpoints[number]
        if other.index != endpoint.index and other.protocol == endpoint.protocol:
            shared = reuse & sockets[other.socket].options
            apart = other.interface != 0 and endpoint.interface != 0 and other.interface != endpoint.interface
            if shared & (REUSE_ADDRESS | REUSE_PORT) == 0 and not apart and _overlap(endpoint, hi, lo, other):
                return True
        number = other.port_next
    return False


@hot
def _overlap(endpoint: Endpoint, hi: int, lo: int, other: Endpoint) -> bool:
    """Whether a datagram can be for both the address and the other endpoint."""
    if hi == other.local_hi and lo == other.local_lo:
        return True
    own4, other4 = is_four(hi, lo), is_four(other.local_hi, other.local_lo)
    if is_any(hi, lo):
        return other4 == own4 or (endpoint.family == 10 and not own4) or _dual_any(other)
    if is_any(other.local_hi, other.local_lo):
        return other4 == own4 or _dual_any(other)
    return False


@leaf
def _dual_any(endpoint: Endpoint) -> bool:
    return endpoint.family == 10 and endpoint.local_hi == 0 and endpoint.local_lo == 0


@hot
def endpoint_place(worker: Worker, udp: Udp, endpoint: Endpoint) -> bool:
    """Let datagrams find the endpoint, whose addresses and ports are set. False: no room in the index."""
    first = group_find(
        udp, endpoint.local_hi, endpoint.local_lo, endpoint.local_port,
        endpoint.remote_hi, endpoint.remote_lo, endpoint.remote_port, endpoint.protocol,
    )  # fmt: skip
    index, hash, number = HashIndex(udp.index), _own_hash(udp, endpoint), endpoint.index
    if first >= 0:
        hash_remove(index, hash, first)
    if not hash_add(index, hash, number):
        if first >= 0:
            hash_add(index, hash, first)
        return False
    endpoint.group_before, endpoint.group_next = NO_ENDPOINT, NO_ENDPOINT
    if first >= 0:
        endpoint.group_next = first
        udp.endpoints[first].group_before = number
    if endpoint.flags & CONNECTED != 0:
        udp.connected += 1
        if endpoint.flags & PORT_CHOSEN == 0 and endpoint.protocol == PROTOCOL_UDP:
            flow_take(worker, _flow(worker, endpoint), PROTOCOL_UDP)  # one that has it already goes on having it
    elif not is_any(endpoint.local_hi, endpoint.local_lo):
        udp.specific += 1
    _list(worker, udp, endpoint)
    endpoint.flags |= BOUND
    return True


@hot
def endpoint_displace(worker: Worker, udp: Udp, endpoint: Endpoint) -> None:
    """The reverse: datagrams do not find it any more. Its addresses and ports stay."""
    index, hash, number = HashIndex(udp.index), _own_hash(udp, endpoint), endpoint.index
    before, following = endpoint.group_before, endpoint.group_next
    if before == NO_ENDPOINT:
        hash_remove(index, hash, number)
        if following != NO_ENDPOINT:
            hash_add(index, hash, following)
    else:
        udp.endpoints[before].group_next = following
    if following != NO_ENDPOINT:
        udp.endpoints[following].group_before = before
    if endpoint.flags & CONNECTED != 0:
        udp.connected -= 1
        if endpoint.protocol == PROTOCOL_UDP:
            flow_drop(worker, _flow(worker, endpoint), PROTOCOL_UDP)
    elif not is_any(endpoint.local_hi, endpoint.local_lo):
        udp.specific -= 1
    _unlist(worker, udp, endpoint)
    endpoint.flags &= ~BOUND


@leaf
def _flow(worker: Worker, endpoint: Endpoint) -> int:
    return flow_between(
        worker, endpoint.remote_hi, endpoint.remote_lo, endpoint.local_hi, endpoint.local_lo,
        endpoint.remote_port, endpoint.local_port,
    )  # fmt: skip


@hot
def _list(worker: Worker, udp: Udp, endpoint: Endpoint) -> None:
    """Onto the port's list; the worker is one of the port's users."""
    firsts, port = port_list(udp, endpoint.protocol), endpoint.local_port
    first = firsts[port]
    endpoint.port_before, endpoint.port_next = NO_ENDPOINT, NO_ENDPOINT
    if first != 0:
        endpoint.port_next = first - 1
        udp.endpoints[first - 1].port_before = endpoint.index
    elif worker.workers > 1:
        _use(worker, port_users(udp, endpoint.protocol), port)
    firsts[port] = endpoint.index + 1


@hot
def _unlist(worker: Worker, udp: Udp, endpoint: Endpoint) -> None:
    firsts, port = port_list(udp, endpoint.protocol), endpoint.local_port
    before, following = endpoint.port_before, endpoint.port_next
    if following != NO_ENDPOINT:
        udp.endpoints[following].port_before = before
    if before != NO_ENDPOINT:
        udp.endpoints[before].port_next = following
        return
    firsts[port] = following + 1 if following != NO_ENDPOINT else 0
    if following == NO_ENDPOINT and worker.workers > 1:
        _use(worker, port_users(udp, endpoint.protocol), port)


@hot
def _use(worker: Worker, users: Array[u64], port: int) -> None:
    """Turn this worker's bit of the port; workers from 64 on have none, and get what they are sent."""
    if worker.index >= 63:
        return
    address = users.address + 8 * port
    while True:
        word = users[port]
        if compare_exchange64(address, word, word ^ 1 << worker.index):
            return
