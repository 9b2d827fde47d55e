"""Applications at both ends of a fuzzed conversation: socket calls in any order, and what is read is compared.

Each direction of a connection carries a known sequence of octets, so whatever is read must be the beginning of it. At
the end of a stream, with nothing but the network in the way (quality PURE), it must be all that was written.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, leaf, same, store32
from pronghorn.state import linux
from pronghorn.state.endpoints import OOB_INLINE, Address, endpoints_of
from pronghorn.tcp.calls import (
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    tcp_accept,
    tcp_bind,
    tcp_close,
    tcp_connect,
    tcp_listen,
    tcp_name,
    tcp_open,
    tcp_shutdown,
)
from pronghorn.tcp.get_option import tcp_get_option
from pronghorn.tcp.set_option import tcp_set_option
from pronghorn.tcp.tcb import CLOSED
from pronghorn.tcp.transfer import MSG_MORE, MSG_OOB, MSG_PEEK, record_of, tcp_receive, tcp_send
from tests.fuzz.talk_state import (
    CHUNK,
    FREE,
    HOSTILE,
    LEDGER,
    LISTENING,
    PERIOD,
    PURE,
    STREAMING,
    USERS,
    Talk,
    User,
    below,
    fail,
    one_in,
    worker_of,
)

EAGAIN, EINPROGRESS = errno.EAGAIN, errno.EINPROGRESS
PORT = 80
WRONG_OCTETS, SHORT_STREAM, BAD_CALL = 101, 102, 103
"""Talk.fault: what was read is not what was written; the stream ended early; a call failed that may not."""


@leaf
def user_of(talk: Talk, side: int, place: int) -> User:
    """An application's socket."""
    return talk.users[side * USERS + place]


@hot
def act(talk: Talk, side: int) -> None:
    """One call."""
    place = below(talk, USERS)
    user = user_of(talk, side, place)
    if place < 2:
        if user.kind == FREE:
            _listen(talk, side, user, 4 if place == 0 else 6)
        elif one_in(talk, 2000):
            close(talk, side, user)
        else:
            _accept(talk, side, user)
    elif user.kind == FREE:
        if one_in(talk, 8):
            _connect(talk, side, user)
    else:
        _use(talk, side, user)


@leaf
def _address(talk: Talk, side: int, family: int, port: int) -> Address:
    """An address of that side: 10.0.0.1 or .2, 2001:db8::1 or ::2."""
    address = Address(talk.name)
    address.port, address.family, address.interface = port, family, 0
    if family == 4:
        address.hi, address.lo = 0, 0xFFFF_0A00_0001 + side
    else:
        address.hi, address.lo = 0x2001_0DB8 << 32, 1 + side
    return address


@hot
def _listen(talk: Talk, side: int, user: User, family: int) -> None:
    worker = worker_of(talk, side)
    number = tcp_open(worker, family)
    if number >= 0 and talk.quality != HOSTILE:
        endpoints_of(worker).sockets[number].options |= OOB_INLINE  # forged pointers leave nothing out
    if number < 0:
        return
    options = 1 + below(talk, 3)
    if one_in(talk, 3):
        for _ in range(options):
            _option(talk, side, number)
    bound = tcp_bind(worker, number, _address(talk, side, family, PORT))
    if bound < 0 or tcp_listen(worker, number, below(talk, 4)) < 0:
        tcp_close(worker, number)
        return
    user.kind, user.number = LISTENING, number


@hot
def _connect(talk: Talk, side: int, user: User) -> None:
    """To the other side's listener; sometimes both sides at once to each other."""
    family = 4 if one_in(talk, 2) else 6
    if one_in(talk, 16):
        other = user_of(talk, side ^ 1, 2 + below(talk, USERS - 2))
        if other.kind == FREE:
            talk.opened += 1
            near, far = 10_000 + talk.opened % 10_000, 20_000 + talk.opened % 10_000
            _open(talk, side, user, family, near, far)
            _open(talk, side ^ 1, other, family, far, near)
            return
    _open(talk, side, user, family, 0, PORT)


@hot
def _open(talk: Talk, side: int, user: User, family: int, own: int, port: int) -> None:
    worker = worker_of(talk, side)
    number = tcp_open(worker, family)
    if number >= 0 and talk.quality != HOSTILE:
        endpoints_of(worker).sockets[number].options |= OOB_INLINE  # forged pointers leave nothing out
    if number < 0:
        return
    if one_in(talk, 4):
        _option(talk, side, number)
    if own != 0 and tcp_bind(worker, number, _address(talk, side, family, own)) < 0:
        tcp_close(worker, number)
        return
    done = tcp_connect(worker, number, _address(talk, side ^ 1, family, port))
    if done != -EINPROGRESS and done != 0:
        tcp_close(worker, number)
        return
    _begin(talk, side, user, number)


@hot
def _accept(talk: Talk, side: int, listener: User) -> None:
    free = user_of(talk, side, 2 + below(talk, USERS - 2))
    if free.kind != FREE:
        return
    number = tcp_accept(worker_of(talk, side), listener.number, Address(talk.name))
    if number >= 0:
        _begin(talk, side, free, number)


@hot
def _begin(talk: Talk, side: int, user: User, number: int) -> None:
    """A socket that has a connection."""
    tcb = record_of(worker_of(talk, side), number)
    user.kind, user.number, user.ended, user.shut, user.deaf = STREAMING, number, 0, 0, 0
    user.read, user.written = 0, 0
    first = tcb.local_port if side == 0 else tcb.remote_port
    second = tcb.remote_port if side == 0 else tcb.local_port
    user.key = first << 16 | second | tcb.family << 32


@leaf
def _pattern(talk: Talk, key: int, side: int, position: int) -> int:
    """Address of the octets that `side` writes from `position` on."""
    return talk.pattern + (key * 31 + side * 97 + position) % PERIOD


# --- streams ------------------------------------------------------------------------------------------------------


@hot
def _use(talk: Talk, side: int, user: User) -> None:
    kind = below(talk, 64)
    if kind < 24:
        _write(talk, side, user)
    elif kind < 56:
        read(talk, side, user, below(talk, CHUNK) if one_in(talk, 4) else below(talk, 3000))
    elif kind == 56:
        _option(talk, side, user.number)
    elif kind == 57:
        _shut(talk, side, user)
    elif kind == 58:
        tcp_name(worker_of(talk, side), user.number, below(talk, 2), Address(talk.name))
    elif user.ended != 0 or one_in(talk, 100):
        close(talk, side, user)


@hot
def _write(talk: Talk, side: int, user: User) -> None:
    if user.shut != 0 or user.ended == 2:
        return
    octets = below(talk, CHUNK) if one_in(talk, 4) else below(talk, 1500)
    if one_in(talk, 4):
        octets = below(talk, 3)
    address = _pattern(talk, user.key, side, user.written)
    flags = (MSG_MORE if one_in(talk, 8) else 0) | (MSG_OOB if one_in(talk, 32) else 0)
    taken = tcp_send(worker_of(talk, side), user.number, address, octets, flags)
    if taken > octets:
        fail(talk, BAD_CALL, side, user.number)
    elif taken >= 0:
        user.written += taken
    elif taken != -EAGAIN and taken != -EINPROGRESS:
        user.ended = 2


@hot
def read(talk: Talk, side: int, user: User, octets: int) -> None:
    """Read up to so much, and compare."""
    flags = MSG_PEEK if one_in(talk, 16) else 0
    taken = tcp_receive(worker_of(talk, side), user.number, talk.room, octets, flags)
    if taken > octets:
        fail(talk, BAD_CALL, side, user.number)
    elif taken > 0:
        right = same(talk.room, _pattern(talk, user.key, side ^ 1, user.read), taken)
        if talk.quality != HOSTILE and not right:
            fail(talk, WRONG_OCTETS, side, user.number)
        talk.verified += taken
        if flags == 0:
            user.read += taken
    elif taken == 0 and octets > 0:
        if user.ended == 0 and user.deaf == 0 and talk.quality == PURE:
            _check_end(talk, side, user)
        user.ended = max(user.ended, 1)
    elif taken < 0 and taken != -EAGAIN:
        user.ended = 2


@hot
def _check_end(talk: Talk, side: int, user: User) -> None:
    """Everything that the other side has written was read."""
    if record_of(worker_of(talk, side), user.number).state == CLOSED:
        return  # another connection may have its addresses by now
    key = user.key * 2 + side
    entry = talk.ledger[key % LEDGER]
    if entry.key == key and entry.written != user.read:
        fail(talk, SHORT_STREAM, side, user.number)


@hot
def _note_end(talk: Talk, side: int, user: User) -> None:
    """The user writes no more."""
    user.shut = 1
    key = user.key * 2 + (side ^ 1)
    entry = talk.ledger[key % LEDGER]
    entry.key, entry.written = key, user.written


@hot
def _shut(talk: Talk, side: int, user: User) -> None:
    how = SHUT_RD if one_in(talk, 8) else (SHUT_RDWR if one_in(talk, 8) else SHUT_WR)
    if tcp_shutdown(worker_of(talk, side), user.number, how) == 0:
        if how != SHUT_RD and user.shut == 0:
            _note_end(talk, side, user)
        if how != SHUT_WR:
            user.deaf = 1


@hot
def close(talk: Talk, side: int, user: User) -> None:
    """Close the socket; it is forgotten."""
    if user.kind == STREAMING and user.shut == 0 and record_of(worker_of(talk, side), user.number).state != CLOSED:
        _note_end(talk, side, user)  # of one that is over: another may have its addresses now
    if tcp_close(worker_of(talk, side), user.number) != 0:
        fail(talk, BAD_CALL, side, user.number)
    user.kind = FREE


@hot
def _option(talk: Talk, side: int, number: int) -> None:
    """Set an option, or read one."""
    worker, level, option = worker_of(talk, side), linux.SOL_TCP, 0
    kind = below(talk, 18)
    value = below(talk, 70_000) if one_in(talk, 2) else below(talk, 3)
    if kind == 0:
        level, option, value = linux.SOL_SOCKET, linux.SO_LINGER, below(talk, 2)
    elif kind == 1:
        level, option = linux.SOL_SOCKET, linux.SO_RCVBUF
    elif kind == 2:
        level, option = linux.SOL_SOCKET, linux.SO_SNDBUF
    elif kind == 3:
        level, option, value = linux.SOL_SOCKET, linux.SO_KEEPALIVE, below(talk, 2)
    elif kind == 4:
        option, value = linux.TCP_MAXSEG, below(talk, 2000)
    elif kind == 5:
        option, value = linux.TCP_USER_TIMEOUT, below(talk, 20_000)
    elif kind == 6:
        option, value = linux.TCP_KEEPIDLE, 1 + below(talk, 10)
    elif kind == 7:
        option, value = linux.TCP_NODELAY, below(talk, 2)
    elif kind == 8:
        option, value = linux.TCP_CORK, below(talk, 2)
    elif kind == 9:
        option, value = linux.TCP_QUICKACK, below(talk, 2)
    elif kind == 10:
        store32(talk.value, 0x6F6E6572 if one_in(talk, 2) else 0x00726262)  # "reno", "bbr"
        tcp_set_option(worker, number, level, linux.TCP_CONGESTION, talk.value, 4 if one_in(talk, 2) else 3)
        return
    elif kind == 11:
        tcp_get_option(worker, number, level, linux.TCP_INFO, talk.value, 256)
        return
    elif kind == 12 or kind == 13:
        option, value = linux.TCP_FASTOPEN, below(talk, 5)
    elif kind == 14 or kind == 15:
        option, value = linux.TCP_FASTOPEN_CONNECT, 1
    elif kind == 16:
        option = linux.TCP_NOTSENT_LOWAT
    else:
        option = below(talk, 40)
    store32(talk.value, value)
    store32(talk.value + 4, below(talk, 3))
    tcp_set_option(worker, number, level, option, talk.value, 8)
