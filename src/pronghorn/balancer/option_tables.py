"""What options of services remember. Read it after tables.py.

    Options      of a service: what it asks beyond the usual; the control plane writes it (change_options.py)
    Template     a client that stays with its server (persistence.py)
    Ties         what a connection counts for: of connections with TIED alone, so that others cost no memory
    Limits       what a service may have, in RateBuckets (limits.py)

Everything belongs to one worker, as in tables.py.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, field, fixed, u8, u16, u32, u64
from pronghorn.memory.wheel import Timer

HINTS = 8
"""Services of a group whose server for a client is remembered with the client."""

GROUPS = 1 << 16
"""Options.group from here on is of a group with a name."""

# Template.state; 0: the record is free
TEMPLATE_LIVE = 1
TEMPLATE_GONE = 2  # waits for the connections that count for it


class Options(View, align=64, size=256):
    """What a service asks beyond the usual, by its index."""

    mask_hi: u64  # raw: what of a client's address persistence looks at
    mask_lo: u64
    persistence: u32  # ticks that a client is remembered after its last new connection; 0: none is
    group: u32  # whose templates: the service's own index, or from GROUPS on those of several services
    templates_full: u64  # connections of clients for which there was no room
    quiesced: u8  # 1: a server of weight 0 keeps getting new connections of clients that it has
    keep_port: u8  # 1: servers get connections at the port that the client asked for
    leaving: u8  # 1: a server was removed and kept its connections
    own: Array[u32] = fixed(16, align=64)  # ticks by ConnRecord.state; 0: as usual
    timeouts: Array[u32] = fixed(16)  # these with the usual ones: what Service.timeouts is, if the service has own ones
    told: u64  # segments that told their server the client's address (forwarding/toa.py)
    no_room: u64  # that had no room for it
    too_long: u64  # that would have been too long with it


class Template(View, align=64, size=128):
    """A client of a service, or of a group of services, and the server that it goes to."""

    timer: Timer
    hi: u64  # the client's address, raw, masked
    lo: u64
    server_hi: u64  # the server's, raw
    server_lo: u64
    server_port: u16  # raw; only for the service in `service`
    service: u16  # which chose the server
    family: u8  # the client's
    state: u8
    group: u32 = field(align=64)
    seen: u32  # tick of the last new connection
    timeout: u32  # ticks
    conns: u32  # that count for it now
    connections: u32  # so far
    next: u32  # free ones: the next one plus 1
    hints: Array[u32] = fixed(HINTS)  # by Service.index modulo HINTS: the server, to be checked


class Listen(View, align=32, size=32):
    """Where a service is found besides its own address and port (listens.py)."""

    hi: u64  # address, raw; IPv4 in the low half of lo
    lo: u64
    ports: u64  # as Service.ports; without a port: any
    service: u16
    spare: u16
    next: u32  # free ones: the next one plus 1


class Ties(View, align=8, size=8):
    """What the connection of the same number counts for."""

    template: u32  # plus 1; 0: none
    client: u32  # place of its client (clients.py) plus 1; 0: none


class RateBucket(View, align=64, size=64):
    """How often something may happen on this worker (limits.py)."""

    credit: u64  # of SCALE; below 0 while more was taken than there was
    at: u64  # microsecond of the worker's clock up to which it is filled
    rate: u64  # SCALE that it gets in a microsecond; 0: no limit
    cap: u64  # most credit
    longest: u64  # microseconds that may be filled at once
    asked: u64  # units that were asked for, so far
    refused: u64  # packets that were refused, so far


class Limits(View, align=64, size=512):
    """What a service may have of this worker, by its index; of those with ASKS_LIMITS."""

    connections: RateBucket  # a second
    packets_in: RateBucket  # to the servers, then
    packets_out: RateBucket  # from them
    octets_in: RateBucket
    octets_out: RateBucket
    quota: u32  # connections at a time, if `upper` is not 0
    upper: u32  # of all workers; 0: no limit
    per_client: u32  # connections that a client may have, of all workers; 0: no limit
    spare: u32
    mask_hi: u64  # raw: what of an address is a client
    mask_lo: u64
    full: u64  # connections refused because the service had its quota
    crowded: u64  # because the client had its own
    uncounted: u64  # connections of clients for which there was no room
