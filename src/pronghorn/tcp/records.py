"""Records beside the Tcb: of what few connections need (rare.py), of what is known of servers (fast_cache.py), of
segments that are another engine's (strays.py), of who waits for a link (pending.py)."""

from __future__ import annotations

from pronghorn.compiled import Array, View, fixed, u8, u16, u32, u64
from pronghorn.memory.stream import Stream
from pronghorn.state.endpoints import Address


class Rare(View, align=64, size=64):
    """What few connections need, and those not for long (rare.py)."""

    next: u32  # record after this one among the free
    listener: u32  # fast open, until the handshake ends: its listener's number, plus 1
    urgent_at: u32  # position of the urgent octet
    urgent: u8  # of the peer's: 0 none, 1 on its way, 2 arrived, 3 taken by MSG_OOB (urgent.py)
    urgent_octet: u8
    sending: u8  # 1: urgent_sent is not acknowledged
    unused: u8
    urgent_sent: u32  # position behind the last urgent octet of ours
    mtu_low: u16  # octets of payload that pass, as far as known; 0: they are not searched for (mtu_probe.py)
    mtu_high: u16  # octets that may pass, at most
    probe_octets: u16  # of the probe that is out; 0: none
    unused16: u16
    probe_seq: u32  # where it begins
    probed_at: u32  # ms (`moment`) when the search began


class Cookie(View, align=64, size=64):
    """A server's fast open cookie (fast_cache.py)."""

    hi: u64  # the server's address; 0, 0: the place is free
    lo: u64
    octets: u8  # 0: none; the server, or the way to it, does not do fast open
    unused8: u8
    mss: u16  # that the server announced
    used: u32  # ms (`moment`) when it was looked up last
    failed: u32  # ms when data in a SYN was lost last, when `failures` is not 0
    failures: u32
    cookie: Array[u8] = fixed(16)


class FastKeys(View, align=8, size=40):
    """What a listener has set for its fast open cookies."""

    key: u64  # TCP_FASTOPEN_KEY, ...
    key2: u64
    old: u64  # ... and one whose cookies are good still
    old2: u64
    count: u8  # of keys; 0: the engine's own
    no_cookie: u8  # TCP_FASTOPEN_NO_COOKIE
    unused16: u16
    told: u32  # TCP_FASTOPEN as it is read back


class Held(View, align=4, size=20):
    """Connections that wait for room on a link (pending.py)."""

    count: u32  # those on the pending list
    port: u32  # the link's
    flushing: u32  # 1 while the list is gone through
    began: u32  # snd_nxt of the connection whose turn it is, before it
    last: u32  # the connection that goes to the list's end afterwards, plus 1


class Stray(View, align=8, size=64):
    """The head of a segment on its way."""

    own: Address
    far: Address
    octets: u32  # of the frame that follows
    flags: u16  # of the packet: whether it is whole
    gso_size: u16
    unused: u32
    unused2: u32


class Strays(View, align=8):
    """Segments for connections that were handed over: a ring of them, each behind its Stray."""

    ring: Stream
    read: u32  # position of the oldest
    write: u32  # and after the last one
    stray: Stray  # scratch
