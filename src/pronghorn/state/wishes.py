"""Socket options that mean the same for TCP and UDP and are seldom set: values, and bits of `Wishes.bits`.

A datagram socket has its own Wishes in its Endpoint; a stream's lie in its Tuning (tcp/tuning.py), which is shared
until somebody changes something. All zero is the default. state/wish_options.py gives them Linux's numbers.
"""

from __future__ import annotations

from pronghorn.compiled import View, u8, u32, u64

# Wishes.bits: what recvmsg(2) is to say beside the octets
TELL_TIME = 1  # SO_TIMESTAMP: a timeval
TELL_TIME_NS = 2  # SO_TIMESTAMPNS: a timespec
TELL_PACKET = 4  # IP_PKTINFO
TELL_TTL = 8
TELL_TOS = 16
TELL_TO = 32  # IP_RECVORIGDSTADDR
TELL_PACKET6 = 64  # IPV6_RECVPKTINFO
TELL_HOPS6 = 128
TELL_CLASS6 = 256
TELL_TO6 = 512
TELL_DROPS = 1024  # SO_RXQ_OVFL
# what is kept, and read back
FREE_BIND = 1 << 11  # IP_FREEBIND: an address that is not ours (yet) may be bound
NO_PORT_YET = 1 << 12  # IP_BIND_ADDRESS_NO_PORT: a bind to port 0 leaves the port to connect
DEBUG = 1 << 13
NO_ROUTE = 1 << 14  # SO_DONTROUTE
TELL_OPTIONS = 1 << 15  # IP_RECVOPTS: packets with options have none for us to tell
RETURN_OPTIONS = 1 << 16
TELL_INQ = 1 << 17  # TCP_INQ: what is left to read
DO_NOT_FRAGMENT6 = 1 << 18  # IPV6_DONTFRAG
TELL_MTU6 = 1 << 19  # IPV6_RECVPATHMTU
NO_FCS = 1 << 20
WIFI_STATUS = 1 << 21
SELECT_ERRORS = 1 << 22  # SO_SELECT_ERR_QUEUE
TELL_SIZE = 1 << 23  # IP_RECVFRAGSIZE
TELL_SIZE6 = 1 << 24
RFC4884 = 1 << 25
TELL_CHECKSUM = 1 << 26
FLOW_LABELS = 1 << 27  # IPV6_AUTOFLOWLABEL was set, to ...
FLOW_LABELS_ON = 1 << 28  # ... this
TELL_FLOW6 = 1 << 29
SEND_FLOW6 = 1 << 30
THIN = 1 << 31  # TCP_THIN_LINEAR_TIMEOUTS


class Wishes(View, align=8, size=64):
    """See the module."""

    receive_timeout: u64  # us; 0: none
    send_timeout: u64
    pacing: u64  # SO_MAX_PACING_RATE, octets a second, plus 1; 0: not limited
    priority: u32
    mark: u32
    incoming_cpu: u32  # plus 1; 0: not asked for
    busy_poll: u32  # us
    bits: u32
    interface: u32  # SO_BINDTODEVICE of a stream, plus 1; 0: any
    linger: u32  # of a datagram socket: s, plus 1; 0: off
    receive_low: u32  # SO_RCVLOWAT of a datagram socket, less 1
    least_ttl: u8  # IP_MINTTL
    least_hops: u8
    discover: u8  # IP_MTU_DISCOVER of a stream, plus 1; 0: not set
    discover6: u8
    unused: u32
