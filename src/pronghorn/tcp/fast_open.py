"""TCP Fast Open (RFC 7413), the server's side: data in a SYN is taken before the handshake ends, if a cookie says that
the client's address is no forgery.

The connection is in SYN_RECEIVED and has FAST_OPEN among what was agreed. It stands on the accept queue at once, may be
read from and written to, and has a Rare record that names its listener until the handshake ends: so many connections of
a listener may be in this state as TCP_FASTOPEN says.

A cookie is a keyed hash of both addresses and of the day, under a key that all workers share: whichever worker a SYN
comes to knows it. The key of the day before is taken as well; then the SYN-ACK brings a new cookie.

Left out: the experimental option (254), data with a FIN in the SYN.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, load64, sequence
from pronghorn.state.endpoints import count
from pronghorn.state.mib import (
    FAST_OPEN_COOKIE_REQD,
    FAST_OPEN_LISTEN_OVERFLOW,
    FAST_OPEN_PASSIVE,
    FAST_OPEN_PASSIVE_ALT_KEY,
    FAST_OPEN_PASSIVE_FAIL,
    PASSIVE_OPENS,
)
from pronghorn.state.worker import Worker
from pronghorn.tcp.life import accept_push
from pronghorn.tcp.options import OUR_COOKIE
from pronghorn.tcp.output import emit_syn
from pronghorn.tcp.rare import rare_take
from pronghorn.tcp.receive import data_input
from pronghorn.tcp.secrets import fast_open_cookie
from pronghorn.tcp.tcb import FAST_OPEN, Listener, Tcb, Tcp
from pronghorn.wire.tcp import HAS_FAST_OPEN, TCPOptions

# bits of Tcp.fast_open
CLIENT, SERVER, SERVER_NO_COOKIE, SERVER_ALWAYS = 1, 2, 512, 1024
ALWAYS_MOST = 255


@hot
def _age_of(worker: Worker, tcb: Tcb, options: TCPOptions) -> int:
    """Days since the cookie in `options` was made, 0 or 1; -1: it is none of ours, or too old."""
    if options.cookie_octets != OUR_COOKIE:
        return -1
    found = load64(options.cookie.address)
    for age in range(2):
        if found == fast_open_cookie(worker, tcb, age):
            return age
    return -1


@leaf
def _limit_of(tcp: Tcp, listener: Listener) -> int:
    """Connections of the listener that may be open before their handshake ends."""
    limit = tcp.tunings[listener.tuning].fast_open
    return ALWAYS_MOST if limit == 0 and tcp.fast_open & SERVER_ALWAYS != 0 else limit


@hot
def may_open_fast(worker: Worker, tcp: Tcp, tcb: Tcb, listener: Listener, octets: int) -> bool:
    """Whether the data of a SYN, `octets`, may be taken at once. Sets tcp.cookie_due: the SYN-ACK carries a cookie."""
    options = tcp.options
    asks = options.present & HAS_FAST_OPEN != 0
    if asks and options.cookie_octets == 0:
        count(worker, FAST_OPEN_COOKIE_REQD, 1)
    limit = _limit_of(tcp, listener)
    if tcp.fast_open & SERVER == 0 or limit == 0 or (not asks and octets == 0):
        return False
    if listener.fast_opens >= limit:
        count(worker, FAST_OPEN_LISTEN_OVERFLOW, 1)
        return False
    if tcp.fast_open & SERVER_NO_COOKIE != 0 or tcp.tunings[listener.tuning].keys.no_cookie != 0:
        return True
    if not asks:
        return False
    age = _age_of(worker, tcb, options) if options.cookie_octets != 0 else -1
    if age < 0 and options.cookie_octets != 0:
        count(worker, FAST_OPEN_PASSIVE_FAIL, 1)
    if age == 1:
        count(worker, FAST_OPEN_PASSIVE_ALT_KEY, 1)
    tcp.cookie_due = 1 if age != 0 else 0
    return age >= 0


@hot
def open_fast(worker: Worker, tcp: Tcp, tcb: Tcb, number: int, payload: int, octets: int) -> bool:
    """Take the data, answer, and let the connection be accepted. False: an ordinary handshake it must be."""
    rare = rare_take(tcp, tcb)
    if rare.address == 0:
        count(worker, FAST_OPEN_PASSIVE_FAIL, 1)
        tcp.cookie_due = 1
        return False
    listener = tcp.listeners[number]
    rare.listener = number + 1
    listener.fast_opens += 1
    tcb.agreed |= FAST_OPEN
    if octets > 0:
        tcb.rcv_right = sequence.add(tcb.rcv_nxt, min(tcb.receive_limit, 65535))
        data_input(worker, tcp, tcb, tcb.rcv_nxt, payload, octets)
    emit_syn(worker, tcp, tcb)
    count(worker, FAST_OPEN_PASSIVE, 1)
    count(worker, PASSIVE_OPENS, 1)
    accept_push(worker, tcp, listener, tcb)
    return True
