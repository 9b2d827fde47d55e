"""Fast open (RFC 7413) between two engines: cookies, data in SYNs, what is taken and what is sent again, and limits.

What goes over the wire, segment by segment, is in tests/scripts/fastopen, where Linux has its say.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterator

import pytest

from pronghorn.state import linux
from pronghorn.state.endpoints import READABLE
from pronghorn.state.mib import COUNTERS
from pronghorn.tcp import calls
from pronghorn.tcp.fast_cache import cookie_find, cookie_learn, data_lost, is_blocked
from pronghorn.tcp.secrets import DAY, fast_open_cookie
from pronghorn.tcp.set_option import tcp_set_option
from pronghorn.tcp.tcb import ESTABLISHED, FAST_OPEN, SYN_RECEIVED, TIME_WAIT
from pronghorn.wire.tcp import HAS_FAST_OPEN
from tests.tcp.ends import End, Pair

BOTH = 3
ONE_WAY = 0.0101


@pytest.fixture(params=[4, 6])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(request.param)
    with made.network:
        made.client.tcp.fast_open = made.server.tcp.fast_open = BOTH
        yield made


def set_int(end: End, number: int, option: int, value: int) -> int:
    room = ctypes.create_string_buffer(struct.pack("=i", value))
    return tcp_set_option(end.worker, number, linux.SOL_TCP, option, ctypes.addressof(room), 4)


def listen(pair: Pair, most: int = 5) -> int:
    listener = pair.server.listen(pair.address, 80)
    assert set_int(pair.server, listener, linux.TCP_FASTOPEN, most) == 0
    return listener


def send_fast(pair: Pair, octets: bytes, number: int = -1) -> tuple[int, int]:
    """MSG_FASTOPEN on a new socket: the socket, and what the call said."""
    client = pair.client
    number = client.open(pair.address) if number < 0 else number
    ctypes.memmove(client.room, octets, len(octets))
    where = client.address(pair.address, 80)
    said = calls.tcp_send_fast(client.worker, number, ctypes.addressof(client.room), len(octets), where)
    return number, said


def counted(end: End, name: str) -> int:
    return end.endpoints.mib[COUNTERS.index(("TcpExt", name))]


def introduce(pair: Pair, listener: int) -> None:
    """A first connection, which brings the cookie, and ends."""
    client, said = send_fast(pair, b"early")
    assert said == -errno.EINPROGRESS
    pair.run()
    server = pair.server.accept(listener)
    assert pair.server.receive(server) == -errno.EAGAIN  # nothing went with a SYN that only asked
    pair.client.close(client)
    pair.server.close(server)
    pair.run()


def test_data_is_there_before_the_handshake_has_ended(pair: Pair) -> None:
    listener = listen(pair)
    introduce(pair, listener)
    assert counted(pair.server, "TCPFastOpenCookieReqd") == 1
    client, said = send_fast(pair, b"request")
    assert said == 7
    pair.run(ONE_WAY)
    assert pair.server.events(listener) & READABLE
    server = pair.server.accept(listener)
    assert pair.server.tcb(server).state == SYN_RECEIVED
    assert pair.server.events(server) & READABLE
    assert pair.server.receive(server) == b"request"
    assert pair.server.send(server, b"reply") == 5
    pair.run(ONE_WAY)
    assert pair.client.receive(client) == b"reply"  # one round trip after the first SYN
    pair.run()
    for end, number in ((pair.client, client), (pair.server, server)):
        assert end.tcb(number).state == ESTABLISHED
        assert end.tcb(number).agreed & FAST_OPEN
    assert counted(pair.server, "TCPFastOpenPassive") == counted(pair.client, "TCPFastOpenActive") == 1
    assert pair.carry(pair.client, client, pair.server, server, b"x" * 100_000) == b"x" * 100_000
    assert pair.server.tcp.listeners[0].fast_opens == pair.server.tcp.listeners[0].half_open == 0


def test_a_server_that_has_lost_interest_gets_the_data_again(pair: Pair) -> None:
    listener = listen(pair)
    introduce(pair, listener)
    pair.server.tcp.fast_open = 0
    octets = bytes(range(256)) * 20
    client, said = send_fast(pair, octets)
    assert 1000 < said < len(octets)
    pair.run()
    server = pair.server.accept(listener)
    assert counted(pair.client, "TCPFastOpenActiveFail") == 1
    assert pair.server.receive(server) == octets[:said]
    assert not pair.client.tcb(client).agreed & FAST_OPEN
    assert pair.carry(pair.client, client, pair.server, server, octets[said:]) == octets[said:]


def test_connect_waits_for_the_first_octets(pair: Pair) -> None:
    listener = listen(pair)
    introduce(pair, listener)
    client = pair.client.open(pair.address)
    assert set_int(pair.client, client, linux.TCP_FASTOPEN_CONNECT, 1) == 0
    assert calls.tcp_connect(pair.client.worker, client, pair.client.address(pair.address, 80)) == 0
    pair.run()
    assert pair.server.accept(listener) == -errno.EAGAIN
    assert pair.client.send(client, b"now") == 3
    pair.run(ONE_WAY)
    assert pair.server.receive(pair.server.accept(listener)) == b"now"


def test_one_that_waits_for_its_first_octets_can_be_closed(pair: Pair) -> None:
    introduce(pair, listen(pair))
    client = pair.client.open(pair.address)
    assert set_int(pair.client, client, linux.TCP_FASTOPEN_CONNECT, 1) == 0
    assert calls.tcp_connect(pair.client.worker, client, pair.client.address(pair.address, 80)) == 0
    pair.client.close(client)
    pair.run()
    assert SYN_RECEIVED not in pair.server.states()
    assert pair.buffers() == 0


def test_a_listener_that_closes_leaves_nothing_behind(pair: Pair) -> None:
    listener = listen(pair)
    introduce(pair, listener)
    client, said = send_fast(pair, b"request")
    assert said == 7
    pair.run(ONE_WAY)
    pair.server.close(listener)
    pair.run()
    assert set(pair.server.states()) <= {TIME_WAIT}
    assert pair.buffers() == 0
    again = pair.server.listen(pair.address, 80)
    assert pair.server.tcp.listeners[pair.server.endpoints.sockets[again].bound - 1].fast_opens == 0
    assert pair.client.receive(client) == -errno.ECONNRESET


def test_a_key_is_good_for_the_day_after(pair: Pair) -> None:
    worker = pair.server.worker
    tcb = pair.server.tcp.tcbs[0]
    tcb.remote_lo, tcb.local_lo = 1, 2
    today = fast_open_cookie(worker, tcb, 0)
    tcb.remote_lo = 3
    assert fast_open_cookie(worker, tcb, 0) != today
    tcb.remote_lo = 1
    worker.now += DAY
    assert fast_open_cookie(worker, tcb, 1) == today
    assert fast_open_cookie(worker, tcb, 0) != today
    worker.now -= DAY


def test_cookies_of_servers_are_bounded_and_the_latest_are_kept(pair: Pair) -> None:
    worker, tcp = pair.client.worker, pair.client.tcp
    tcb, options = tcp.tcbs[0], tcp.options
    options.present, options.cookie_octets = HAS_FAST_OPEN, 4
    for number in range(1, 2001):
        worker.now += 1_000_000
        tcb.remote_lo, tcb.peer_mss, options.cookie[0] = number, 1000, number & 0xFF
        cookie_learn(worker, tcp, tcb, options)
    found = cookie_find(worker, tcp, tcb)
    assert (found.lo, found.mss, found.octets, found.cookie[0]) == (2000, 1000, 4, 2000 & 0xFF)
    known = [number for number in range(1, 2001) if _knows(pair, number)]
    assert len(known) <= tcp.cookie_mask + 1
    assert min(known) > 500


def _knows(pair: Pair, number: int) -> bool:
    tcb = pair.client.tcp.tcbs[0]
    tcb.remote_lo = number
    return cookie_find(pair.client.worker, pair.client.tcp, tcb).address != 0


def test_a_way_that_loses_data_in_syns_is_spared_it_for_an_hour(pair: Pair) -> None:
    worker, tcp = pair.client.worker, pair.client.tcp
    tcb = tcp.tcbs[0]
    tcb.remote_lo = 5
    for hours in (1, 2, 4):
        data_lost(worker, tcp, tcb)
        worker.now += hours * 3600 * 10**9 - 10**9
        assert is_blocked(worker, cookie_find(worker, tcp, tcb))
        worker.now += 2 * 10**9
        assert not is_blocked(worker, cookie_find(worker, tcp, tcb))
