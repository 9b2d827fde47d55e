"""What the SYN proxy remembers. Read it after tables.py.

    Proxy        of a service: when its clients are asked for a cookie; the control plane writes it
    Proxied      a connection that began with a cookie: by Conn's number, so that others cost no memory

Everything belongs to one worker, as in tables.py.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, fixed, u8, u16, u32, u64

# Proxy.mode
PROXY_OFF = 0
PROXY_ALWAYS = 1
PROXY_AUTO = 2  # while the table is short of room, or the service has more half-open connections than `limit`
PROXY_MODES = {"off": PROXY_OFF, "always": PROXY_ALWAYS, "auto": PROXY_AUTO}

# Proxied.state
PROXIED_WAITING = 0  # the server has not answered yet
PROXIED_OPEN = 1


class Proxy(View, align=64, size=64):
    """What a service asks of SYNs, by its index; of those with ASKS_COOKIE."""

    mode: u8  # PROXY_ALWAYS or PROXY_AUTO
    defer: u8  # 1: servers hear of a connection when its client sends data
    asked: u8  # 1: a cookie was given out, at `recent` for the last time
    spare: u8
    limit: u32  # half-open connections of this worker, from which on PROXY_AUTO asks
    recent: u32  # tick
    spare2: u32
    challenged: u64  # SYNs answered with a cookie
    bad: u64  # acknowledgements without a good one
    opened: u64  # connections that a good one has opened
    storms: u64  # acknowledgements that were dropped because they changed nothing


class Proxied(View, align=64, size=64):
    """A connection whose two ends count their octets differently."""

    delta: u32  # what a sequence number of the server is less than what the client knows
    stamp_delta: u32  # the same of the server's timestamps
    isn: u32  # the client's initial sequence number
    cookie: u32  # ours towards the client
    stamp: u32  # the client's timestamp when it opened
    told: u32  # the timestamp that the client has from us
    mss: u16  # the client's
    options: u8  # HAS_... of wire/tcp.py: what the client offered
    scale: u8  # the client's
    state: u8
    tries: u8  # SYNs sent to the server
    grow: Array[u8] = fixed(2)  # bits that the window of a request, of a reply, is shifted up
    shrink: Array[u8] = fixed(2)  # and then down
    window: u16  # the client's, as it was in the acknowledgement that opened
    last_seq: u32  # of the client's last acknowledgement without data
    last_ack: u32
    storm: u32  # tick when its like was counted first
    same: u8  # how often that came since
