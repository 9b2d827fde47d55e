"""Options kept in Wishes, by Linux's numbers; lengths and values that are refused are those that Linux refuses.

    wish_set(wishes, level, option, value, octets)       # 0, -errno; -ENOPROTOOPT: it is none of these
    wish_get(wishes, level, option, value, octets)       # octets written, or the same

SO_BINDTODEVICE and SO_ZEROCOPY are refused or handled by who knows more (engine/options.py).
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, leaf, load64, store32, store64
from pronghorn.state import linux
from pronghorn.state.options import ENOPROTOOPT, UNREADABLE, option_value, write_int
from pronghorn.state.wishes import (
    DEBUG,
    DO_NOT_FRAGMENT6,
    FREE_BIND,
    NO_FCS,
    NO_PORT_YET,
    NO_ROUTE,
    RETURN_OPTIONS,
    RFC4884,
    SELECT_ERRORS,
    SEND_FLOW6,
    TELL_CHECKSUM,
    TELL_CLASS6,
    TELL_DROPS,
    TELL_FLOW6,
    TELL_HOPS6,
    TELL_MTU6,
    TELL_OPTIONS,
    TELL_PACKET,
    TELL_PACKET6,
    TELL_SIZE,
    TELL_SIZE6,
    TELL_TIME,
    TELL_TIME_NS,
    TELL_TO,
    TELL_TO6,
    TELL_TOS,
    TELL_TTL,
    WIFI_STATUS,
    Wishes,
)

EINVAL, EDOM = errno.EINVAL, errno.EDOM
TIMEVAL = 16
MILLION = 1_000_000


@hot
def wish_bit(level: int, option: int) -> int:
    """The bit of an option that is one; 0: it is not."""
    if level == linux.SOL_SOCKET:
        return _socket_bit(option)
    if level == linux.SOL_IP:
        return _ip_bit(option)
    return _ipv6_bit(option) if level == linux.SOL_IPV6 else 0


@hot
def _socket_bit(option: int) -> int:
    if option == linux.SO_DEBUG:
        return DEBUG
    if option == linux.SO_DONTROUTE:
        return NO_ROUTE
    if option == linux.SO_RXQ_OVFL:
        return TELL_DROPS
    if option == linux.SO_WIFI_STATUS:
        return WIFI_STATUS
    if option == linux.SO_NOFCS:
        return NO_FCS
    return SELECT_ERRORS if option == linux.SO_SELECT_ERR_QUEUE else 0


@hot
def _ip_bit(option: int) -> int:
    if option == linux.IP_PKTINFO:
        return TELL_PACKET
    if option == linux.IP_RECVTTL:
        return TELL_TTL
    if option == linux.IP_RECVTOS:
        return TELL_TOS
    if option == linux.IP_ORIGDSTADDR:
        return TELL_TO
    if option == linux.IP_RECVOPTS:
        return TELL_OPTIONS
    if option == linux.IP_RETOPTS:
        return RETURN_OPTIONS
    if option == linux.IP_FREEBIND:
        return FREE_BIND
    if option == linux.IP_BIND_ADDRESS_NO_PORT:
        return NO_PORT_YET
    if option == linux.IP_RECVFRAGSIZE:
        return TELL_SIZE
    if option == linux.IP_CHECKSUM:
        return TELL_CHECKSUM
    return RFC4884 if option == linux.IP_RECVERR_RFC4884 else 0


@hot
def _ipv6_bit(option: int) -> int:
    if option == linux.IPV6_RECVPKTINFO:
        return TELL_PACKET6
    if option == linux.IPV6_RECVHOPLIMIT:
        return TELL_HOPS6
    if option == linux.IPV6_RECVTCLASS:
        return TELL_CLASS6
    if option == linux.IPV6_ORIGDSTADDR:
        return TELL_TO6
    if option == linux.IPV6_DONTFRAG:
        return DO_NOT_FRAGMENT6
    if option == linux.IPV6_RECVPATHMTU:
        return TELL_MTU6
    if option == linux.IPV6_FREEBIND:
        return FREE_BIND
    if option == linux.IPV6_FLOWINFO:
        return TELL_FLOW6
    if option == linux.IPV6_FLOWINFO_SEND:
        return SEND_FLOW6
    return TELL_SIZE6 if option == linux.IPV6_RECVFRAGSIZE else 0


@leaf
def _stamp_bits(option: int) -> int:
    """What SO_TIMESTAMP and SO_TIMESTAMPNS set; 0: it is neither."""
    if option == linux.SO_TIMESTAMP or option == linux.SO_TIMESTAMP_NEW:
        return TELL_TIME
    return TELL_TIME_NS if option == linux.SO_TIMESTAMPNS or option == linux.SO_TIMESTAMPNS_NEW else 0


@leaf
def _is_timeout(option: int) -> bool:
    receives = option == linux.SO_RCVTIMEO or option == linux.SO_RCVTIMEO_NEW
    return receives or option == linux.SO_SNDTIMEO or option == linux.SO_SNDTIMEO_NEW


@leaf
def is_wish(level: int, option: int) -> bool:
    """Whether the option is one of this file."""
    if wish_bit(level, option) != 0:
        return True
    if level == linux.SOL_IP:
        return option == linux.IP_MINTTL
    if level == linux.SOL_IPV6:
        return option == linux.IPV6_MINHOPCOUNT
    if level != linux.SOL_SOCKET:
        return False
    named = option == linux.SO_PRIORITY or option == linux.SO_MARK or option == linux.SO_BUSY_POLL
    named = named or option == linux.SO_INCOMING_CPU or option == linux.SO_MAX_PACING_RATE
    named = named or option == linux.SO_INCOMING_NAPI_ID or option == linux.SO_BSDCOMPAT or option == linux.SO_SNDLOWAT
    return named or _is_timeout(option) or _stamp_bits(option) != 0


# --- setting ------------------------------------------------------------------------------------------------------


@hot
def wish_set(wishes: Wishes, level: int, option: int, value: int, octets: int) -> int:
    """Set an option for which `is_wish` holds."""
    if level == linux.SOL_SOCKET and _is_timeout(option):
        return _set_timeout(wishes, option, value, octets)
    asked = option_value(value, octets)
    bit = wish_bit(level, option)
    if (level == linux.SOL_IP and asked == UNREADABLE) or (bit == DO_NOT_FRAGMENT6 and octets < 4):
        if bit == FREE_BIND:
            return -EINVAL
        asked = 0
    elif asked == UNREADABLE or (octets < 4 and level != linux.SOL_IP):
        return -EINVAL
    if bit == RFC4884 and (asked < 0 or asked > 1):
        return -EINVAL
    if bit != 0:
        wishes.bits = wishes.bits | bit if asked != 0 else wishes.bits & ~bit
        return 0
    if level == linux.SOL_IP or level == linux.SOL_IPV6:
        return _set_least(wishes, level, asked, octets)
    bit = _stamp_bits(option)
    if bit != 0:
        wishes.bits &= ~(TELL_TIME | TELL_TIME_NS)
        wishes.bits |= bit if asked != 0 else 0
        return 0
    return _set_number(wishes, option, asked, value, octets)


@hot
def _set_timeout(wishes: Wishes, option: int, value: int, octets: int) -> int:
    """A struct timeval: 0 is for ever; one before now does not wait at all, which is kept as 1 us."""
    if octets < TIMEVAL:
        return -EINVAL
    seconds, micros = load64(value), load64(value + 8)
    if micros < 0 or micros >= MILLION:
        return -EDOM
    wanted = min(seconds, 1 << 40) * MILLION + micros
    wanted = 1 if seconds < 0 else wanted
    if option == linux.SO_RCVTIMEO or option == linux.SO_RCVTIMEO_NEW:
        wishes.receive_timeout = wanted
    else:
        wishes.send_timeout = wanted
    return 0


@hot
def _set_least(wishes: Wishes, level: int, asked: int, octets: int) -> int:
    """IP_MINTTL, IPV6_MINHOPCOUNT."""
    if asked < 0 or asked > 255 or octets < 1:
        return -EINVAL
    if level == linux.SOL_IP:
        wishes.least_ttl = asked
    else:
        wishes.least_hops = asked
    return 0


@hot
def _set_number(wishes: Wishes, option: int, asked: int, value: int, octets: int) -> int:
    """Numbers of SOL_SOCKET."""
    if option == linux.SO_PRIORITY:
        wishes.priority = asked
    elif option == linux.SO_MARK:
        wishes.mark = asked
    elif option == linux.SO_INCOMING_CPU:
        wishes.incoming_cpu = asked + 1
    elif option == linux.SO_BUSY_POLL:
        if asked < 0:
            return -EINVAL
        wishes.busy_poll = asked
    elif option == linux.SO_MAX_PACING_RATE:
        rate = load64(value) if octets >= 8 else (asked & 0xFFFF_FFFF)
        unlimited = rate == -1 or (octets < 8 and rate == 0xFFFF_FFFF)
        wishes.pacing = 0 if unlimited else rate + 1
    elif option != linux.SO_BSDCOMPAT:
        return -ENOPROTOOPT
    return 0


# --- reading ------------------------------------------------------------------------------------------------------


@hot
def wish_get(wishes: Wishes, level: int, option: int, value: int, octets: int) -> int:
    """Read an option for which `is_wish` holds."""
    bit = wish_bit(level, option)
    if level == linux.SOL_SOCKET and bit == 0:
        bit = _stamp_bits(option)
        if _is_timeout(option):
            return _get_timeout(wishes, option, value, octets)
        if option == linux.SO_MAX_PACING_RATE and octets >= 8:
            store64(value, wishes.pacing - 1)
            return 8
    if bit != 0:
        return write_int(level, value, octets, 1 if wishes.bits & bit != 0 else 0)
    if level == linux.SOL_IP:
        return write_int(level, value, octets, wishes.least_ttl)
    if level == linux.SOL_IPV6:
        return write_int(level, value, octets, wishes.least_hops)
    return write_int(level, value, octets, _number(wishes, option))


@hot
def _number(wishes: Wishes, option: int) -> int:
    if option == linux.SO_PRIORITY:
        return wishes.priority
    if option == linux.SO_MARK:
        return wishes.mark
    if option == linux.SO_INCOMING_CPU:
        return wishes.incoming_cpu - 1
    if option == linux.SO_BUSY_POLL:
        return wishes.busy_poll
    if option == linux.SO_MAX_PACING_RATE:
        return min(wishes.pacing - 1, 0xFFFF_FFFF) if wishes.pacing > 0 else 0xFFFF_FFFF
    return 1 if option == linux.SO_SNDLOWAT else 0


@hot
def _get_timeout(wishes: Wishes, option: int, value: int, octets: int) -> int:
    receives = option == linux.SO_RCVTIMEO or option == linux.SO_RCVTIMEO_NEW
    wanted = wishes.receive_timeout if receives else wishes.send_timeout
    wanted = 0 if wanted == 1 else wanted
    if octets >= TIMEVAL:
        store64(value, wanted // MILLION)
        store64(value + 8, wanted % MILLION)
        return TIMEVAL
    if octets >= 8:
        store64(value, wanted // MILLION)
        return 8
    if octets >= 4:
        store32(value, wanted // MILLION)
    return 4 if octets >= 4 else 0
