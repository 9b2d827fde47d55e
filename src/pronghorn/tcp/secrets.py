"""What outsiders must not guess: initial sequence numbers (RFC 6528), timestamp offsets, cookies.

All are SipHash (compiled/siphash.py) of addresses, ports and more.
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.compiled.hashing import mix
from pronghorn.compiled.siphash import sip5
from pronghorn.state.worker import Worker
from pronghorn.tcp.tcb import SECOND, Tcb, Tcp, tcp_of

MASK = 0xFFFF_FFFF
DAY = 86_400 * SECOND
"""ns for which a key makes fast open cookies; those made with it are good for as long again."""


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
