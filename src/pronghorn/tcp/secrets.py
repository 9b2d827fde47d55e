"""What outsiders must not guess: initial sequence numbers (RFC 6528), timestamp offsets, cookies. SipHash-2-4.

Aumasson & Bernstein, "SipHash: a fast short-input PRF" (INDOCRYPT 2012), over two to five words of 64 bits. The input
is whole words, so the last block holds its length in octets alone.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.compiled.hashing import mix, shift_right, wrap
from pronghorn.state.worker import Worker
from pronghorn.tcp.tcb import SECOND, Tcb, Tcp, tcp_of

MASK = 0xFFFF_FFFF
DAY = 86_400 * SECOND
"""ns for which a key makes fast open cookies; those made with it are good for as long again."""


@leaf
def _rotate(x: int, bits: int) -> int:
    return wrap(x << bits) | shift_right(x, 64 - bits)


@leaf
def _round(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    a = wrap(a + b)
    b = _rotate(b, 13) ^ a
    a = _rotate(a, 32)
    c = wrap(c + d)
    d = _rotate(d, 16) ^ c
    a = wrap(a + d)
    d = _rotate(d, 21) ^ a
    c = wrap(c + b)
    b = _rotate(b, 17) ^ c
    c = _rotate(c, 32)
    return a, b, c, d


@leaf
def _absorb(a: int, b: int, c: int, d: int, word: int) -> tuple[int, int, int, int]:
    d ^= word
    a, b, c, d = _round(a, b, c, d)
    a, b, c, d = _round(a, b, c, d)
    return a ^ word, b, c, d


@hot
def sip5(key: int, key2: int, one: int, two: int, three: int, four: int, five: int) -> int:
    """SipHash-2-4 of five words under (key, key2): a signed 64-bit number."""
    a, b = key ^ 0x736F6D6570736575, key2 ^ 0x646F72616E646F6D
    c, d = key ^ 0x6C7967656E657261, key2 ^ 0x7465646279746573
    a, b, c, d = _absorb(a, b, c, d, one)
    a, b, c, d = _absorb(a, b, c, d, two)
    a, b, c, d = _absorb(a, b, c, d, three)
    a, b, c, d = _absorb(a, b, c, d, four)
    a, b, c, d = _absorb(a, b, c, d, five)
    a, b, c, d = _absorb(a, b, c, d, 40 << 56)
    c ^= 0xFF
    for _ in range(4):
        a, b, c, d = _round(a, b, c, d)
    return a ^ b ^ c ^ d


@hot
def tuple_secret(tcp: Tcp, tcb: Tcb, purpose: int) -> int:
    """A number that only we can tell from the connection's addresses and ports; another one for each purpose."""
    ports = tcb.remote_port << 16 | tcb.local_port | purpose << 32
    return sip5(tcp.secret, tcp.secret2, tcb.remote_hi, tcb.remote_lo, tcb.local_hi, tcb.local_lo, ports)


@hot
def initial_sequence(worker: Worker, tcp: Tcp, tcb: Tcb) -> int:
    """ISN = M + F(four-tuple, secret), M being a timer of 4 microseconds; Linux's runs at 64 ns, as this one does."""
    return ((worker.now >> 6) + tuple_secret(tcp, tcb, 1)) & MASK


@hot
def timestamp_offset(tcp: Tcp, tcb: Tcb) -> int:
    """Where this connection's timestamps begin (RFC 7323 7.1): the same for a later one of the same addresses."""
    ports = 2 << 32
    return sip5(tcp.secret, tcp.secret2, tcb.remote_hi, tcb.remote_lo, tcb.local_hi, tcb.local_lo, ports) & MASK


@hot
def fast_open_cookie(worker: Worker, tcb: Tcb, age: int) -> int:
    """A fast open cookie (RFC 7413 4.1.2) of 64 bits: of the connection's addresses, with the key of `age` days ago.

    All workers of an engine have the same keys, so that whichever a SYN comes to knows the cookie. A listener may have
    keys of its own (TCP_FASTOPEN_KEY): then age 1 is the second of them.
    """
    key, key2 = mix(worker.secret, 11, worker.secret), mix(worker.secret, 12, worker.secret)
    day = worker.now // DAY - age
    tuning = tcp_of(worker).tunings[tcb.tuning]
    if tuning.keys.count != 0:  # the application's own keys are good for ever
        old = age != 0 and tuning.keys.count > 1
        key, key2, day = tuning.keys.key, tuning.keys.key2, 0
        if old:
            key, key2 = tuning.keys.old, tuning.keys.old2
    return sip5(key, key2, tcb.remote_hi, tcb.remote_lo, tcb.local_hi, tcb.local_lo, day)
