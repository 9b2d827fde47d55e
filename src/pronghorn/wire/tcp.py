"""TCP headers and options (RFC 9293 3.1, 3.2; window scale and timestamps: RFC 7323; SACK: RFC 2018; fast open: 7413).

`check` is a straight line. Options are read by `parse_options` into a small view of their own, and written from it by
`emit_options`. Work is bounded by the 40 octets there can be: an option with length 0 or 1 or past the end ends the
parsing with a reason, and what came before it stands. An option of a known kind with the wrong length is passed over.
A window scale above 14 counts as 14 (RFC 7323 2.3); an MSS below MSS_FLOOR counts as MSS_FLOOR (CVE-2019-11479).
MSS, window scale, SACK-permitted and fast open (RFC 7413 2) count in a SYN only. Whether SACK blocks make sense is the
connection's to know. Fast open's experimental option (254) is passed over.
"""

from pronghorn.compiled import (
    Array,
    View,
    array_at,
    be16,
    be32,
    copy,
    fixed,
    hot,
    leaf,
    load8,
    load_be16,
    load_be32,
    u8,
    u16,
    u32,
)
from pronghorn.wire.checksum import agrees, apply, change16, compute, fold, pseudo4, pseudo6
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_TCP
from pronghorn.wire.reasons import (
    GOOD,
    TCP_BAD_CHECKSUM,
    TCP_BAD_FLAGS,
    TCP_BAD_OFFSET,
    TCP_BAD_OPTION,
    TCP_OFFSET_BEYOND,
    TCP_TRUNCATED,
)

HEADER = 20  # octets without options
OPTIONS = 40  # octets of options at most
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
OPTION_END = 0
OPTION_NOTHING = 1
OPTION_MSS = 2
OPTION_WINDOW_SCALE = 3
OPTION_SACK_PERMITTED = 4
OPTION_SACK = 5
OPTION_TIMESTAMPS = 8
OPTION_FAST_OPEN = 34
ALIGNED_TIMESTAMPS = 0x0101_080A  # two NOPs and the start of the option: RFC 7323 appendix A
MSS_FLOOR = 64
SCALE_LIMIT = 14
# bits in TCPOptions.present
HAS_MSS = 1
HAS_WINDOW_SCALE = 2
HAS_SACK_PERMITTED = 4
HAS_TIMESTAMPS = 8
HAS_SACK = 16
HAS_FAST_OPEN = 32
COOKIE_LEAST, COOKIE_MOST = 4, 16  # octets of a fast open cookie, an even number


class TCP(View, size=20):
    """The header, options left out."""

    sport: be16
    dport: be16
    seq: be32
    ack: be32
    data_offset: u8  # header length in units of 4 octets, in the high four bits
    flags: u8  # FIN ... CWR
    window: be16  # octets >> window scale
    checksum: be16  # of pseudo header, header and payload
    urgent: be16


class TCPOptions(View, size=64):
    """Options of one header. A field means something when its bit in `present` is set; all in host order."""

    present: u16  # HAS_...
    mss: u16  # octets, MSS_FLOOR at least
    window_scale: u8  # bits, SCALE_LIMIT at most
    sack_blocks: u8  # blocks in `sack`, 0 to 4
    cookie_octets: u8  # 4 to 16; 0: the SYN asks for a cookie
    reserved: u8
    timestamp: u32  # TSval
    echo: u32  # TSecr
    sack: Array[u32] = fixed(8)  # left and right edge of each block
    cookie: Array[u8] = fixed(16)  # fast open


@leaf
def header_octets(tcp: TCP) -> int:
    """Octets of the header, options included."""
    return (tcp.data_offset >> 4) << 2


@leaf
def check(address: int, octets: int) -> int:
    """The TCP header at address, in a segment of so many octets: GOOD, or what is wrong with it."""
    if octets < HEADER:
        return TCP_TRUNCATED
    header = header_octets(TCP(address))
    if header < HEADER:
        return TCP_BAD_OFFSET
    return TCP_OFFSET_BEYOND if header > octets else GOOD


@leaf
def check_flags(flags: int) -> int:
    """GOOD, or TCP_BAD_FLAGS for SYN with FIN or RST, and for none of SYN, ACK, RST, FIN: no stack sends them."""
    if flags & (SYN | ACK | RST | FIN) == 0:
        return TCP_BAD_FLAGS
    return TCP_BAD_FLAGS if flags & SYN != 0 and flags & (FIN | RST) != 0 else GOOD


@hot
def verify4(ip: IPv4, tcp: TCP, octets: int) -> int:
    """The checksum of a segment of so many octets over IPv4: GOOD or TCP_BAD_CHECKSUM."""
    good = agrees(pseudo4(ip.src, ip.dst, PROTOCOL_TCP, octets), tcp.address, octets)
    return GOOD if good else TCP_BAD_CHECKSUM


@hot
def verify6(ip: IPv6, tcp: TCP, octets: int) -> int:
    """The checksum of a segment of so many octets over IPv6: GOOD or TCP_BAD_CHECKSUM."""
    pseudo = pseudo6(ip.src_hi, ip.src_lo, ip.dst_hi, ip.dst_lo, PROTOCOL_TCP, octets)
    return GOOD if agrees(pseudo, tcp.address, octets) else TCP_BAD_CHECKSUM


# --- options ------------------------------------------------------------------------------------------------------


@hot
def parse_options(tcp: TCP, options: TCPOptions) -> int:
    """Read the options of a checked header into options. GOOD, or TCP_BAD_OPTION with what came before the bad one."""
    options.present = 0
    options.sack_blocks = 0
    octets = header_octets(tcp) - HEADER
    address = tcp.address + HEADER
    if octets == 12 and load_be32(address) == ALIGNED_TIMESTAMPS:
        read_timestamps(address + 2, options)
        return GOOD
    i = 0
    while i < octets:
        kind = load8(address + i)
        if kind == OPTION_END:
            return GOOD
        if kind == OPTION_NOTHING:
            i += 1
            continue
        if i + 2 > octets:
            return TCP_BAD_OPTION
        size = load8(address + i + 1)
        if size < 2 or i + size > octets:
            return TCP_BAD_OPTION
        if tcp.flags & SYN != 0:
            read_syn_option(address + i, kind, size, options)
        if kind == OPTION_TIMESTAMPS and size == 10:
            read_timestamps(address + i, options)
        elif kind == OPTION_SACK:
            read_sack(address + i, size, options)
        i += size
    return GOOD


@leaf
def read_timestamps(address: int, options: TCPOptions) -> None:
    """Take over the timestamps option at address."""
    options.timestamp = load_be32(address + 2)
    options.echo = load_be32(address + 6)
    options.present |= HAS_TIMESTAMPS


@leaf
def read_syn_option(address: int, kind: int, size: int, options: TCPOptions) -> None:
    """Take over the option of this kind and size at address, if it is one that counts in a SYN only."""
    if kind == OPTION_MSS and size == 4:
        options.mss = max(load_be16(address + 2), MSS_FLOOR)
        options.present |= HAS_MSS
    elif kind == OPTION_WINDOW_SCALE and size == 3:
        options.window_scale = min(load8(address + 2), SCALE_LIMIT)
        options.present |= HAS_WINDOW_SCALE
    elif kind == OPTION_SACK_PERMITTED and size == 2:
        options.present |= HAS_SACK_PERMITTED
    elif kind == OPTION_FAST_OPEN:
        read_cookie(address, size - 2, options)


@hot
def read_cookie(address: int, octets: int, options: TCPOptions) -> None:
    """Take over the fast open option at address, with a cookie of so many octets, if that can be one."""
    if octets != 0 and (octets < COOKIE_LEAST or octets > COOKIE_MOST or octets & 1 != 0):
        return
    copy(options.cookie.address, address + 2, octets)
    options.cookie_octets = octets
    options.present |= HAS_FAST_OPEN


@hot
def read_sack(address: int, size: int, options: TCPOptions) -> None:
    """Take over the SACK option of this size at address: one to four blocks."""
    blocks = (size - 2) >> 3
    if blocks < 1 or blocks > 4 or size != 2 + (blocks << 3):
        return
    edges = array_at(be32, address + 2)
    for k in range(2 * blocks):
        options.sack[k] = edges[k]
    options.sack_blocks = blocks
    options.present |= HAS_SACK


@hot
def emit_options(address: int, options: TCPOptions) -> int:
    """Write options at address in Linux's order, padded to four octets: SACK-permitted stands in the padding of the
    timestamps. Returns octets, 40 at most: SACK blocks give way."""
    words = array_at(be32, address)
    n = 0
    if options.present & HAS_MSS != 0:
        words[n] = OPTION_MSS << 24 | 4 << 16 | options.mss
        n += 1
    if options.present & HAS_TIMESTAMPS != 0:
        words[n] = ALIGNED_TIMESTAMPS
        if options.present & HAS_SACK_PERMITTED != 0:
            words[n] = OPTION_SACK_PERMITTED << 24 | 2 << 16 | OPTION_TIMESTAMPS << 8 | 10
        words[n + 1] = options.timestamp
        words[n + 2] = options.echo
        n += 3
    elif options.present & HAS_SACK_PERMITTED != 0:
        words[n] = OPTION_NOTHING << 24 | OPTION_NOTHING << 16 | OPTION_SACK_PERMITTED << 8 | 2
        n += 1
    if options.present & HAS_WINDOW_SCALE != 0:
        words[n] = OPTION_NOTHING << 24 | OPTION_WINDOW_SCALE << 16 | 3 << 8 | options.window_scale
        n += 1
    if options.present & HAS_SACK != 0:
        blocks = min(options.sack_blocks, (OPTIONS - 4 - (n << 2)) >> 3)
        if blocks > 0:
            words[n] = OPTION_NOTHING << 24 | OPTION_NOTHING << 16 | OPTION_SACK << 8 | (2 + (blocks << 3))
            n += 1
            for k in range(2 * blocks):
                words[n + k] = options.sack[k]
            n += 2 * blocks
    if options.present & HAS_FAST_OPEN != 0:
        n += emit_cookie(address + (n << 2), options)
    return n << 2


@leaf
def emit_timestamps(address: int, timestamp: int, echo: int) -> int:
    """Write the timestamps option at address, as emit_options does when there is no other. Returns octets."""
    words = array_at(be32, address)
    words[0], words[1], words[2] = ALIGNED_TIMESTAMPS, timestamp, echo
    return 12


@hot
def emit_cookie(address: int, options: TCPOptions) -> int:
    """Write the fast open option at address, padded by NOPs. Returns words of 32 bits; there is room in every SYN."""
    octets = options.cookie_octets
    target = array_at(u8, address)
    target[0], target[1] = OPTION_FAST_OPEN, 2 + octets
    copy(address + 2, options.cookie.address, octets)
    words = (2 + octets + 3) >> 2
    for place in range(2 + octets, words << 2):
        target[place] = OPTION_NOTHING
    return words


# --- emit ---------------------------------------------------------------------------------------------------------


@leaf
def emit(address: int, sport: int, dport: int, seq: int, ack: int, flags: int, window: int, header: int) -> None:
    """Write a header without checksum and urgent pointer; header is its size in octets, options included."""
    tcp = TCP(address)
    tcp.sport = sport
    tcp.dport = dport
    tcp.seq = seq
    tcp.ack = ack
    tcp.data_offset = header << 2
    tcp.flags = flags
    tcp.window = window
    tcp.checksum = 0
    tcp.urgent = 0


@hot
def fill_checksum4(ip: IPv4, tcp: TCP, octets: int) -> None:
    """Compute the checksum of a segment of so many octets over IPv4."""
    tcp.checksum = 0
    tcp.checksum = compute(pseudo4(ip.src, ip.dst, PROTOCOL_TCP, octets), tcp.address, octets)


@hot
def fill_checksum6(ip: IPv6, tcp: TCP, octets: int) -> None:
    """Compute the checksum of a segment of so many octets over IPv6."""
    tcp.checksum = 0
    pseudo = pseudo6(ip.src_hi, ip.src_lo, ip.dst_hi, ip.dst_lo, PROTOCOL_TCP, octets)
    tcp.checksum = compute(pseudo, tcp.address, octets)


@leaf
def fill_partial4(ip: IPv4, tcp: TCP, octets: int) -> None:
    """Leave the rest to a port that sums: the field holds the pseudo header's sum, not complemented."""
    tcp.checksum = fold(pseudo4(ip.src, ip.dst, PROTOCOL_TCP, octets))


@leaf
def fill_partial6(ip: IPv6, tcp: TCP, octets: int) -> None:
    """The same over IPv6."""
    tcp.checksum = fold(pseudo6(ip.src_hi, ip.src_lo, ip.dst_hi, ip.dst_lo, PROTOCOL_TCP, octets))


# --- incremental --------------------------------------------------------------------------------------------------


@leaf
def rewrite_ports(tcp: TCP, sport: int, dport: int, change: int) -> None:
    """Set both ports, checksum included; change is what the addresses' rewrite returned."""
    change += change16(tcp.sport, sport) + change16(tcp.dport, dport)
    tcp.checksum = apply(tcp.checksum, change)
    tcp.sport = sport
    tcp.dport = dport


@leaf
def rewrite_ports_partial(tcp: TCP, sport: int, dport: int, change: int) -> None:
    """The same where the checksum field holds the pseudo header's sum alone: ports are not in it yet."""
    tcp.checksum = apply(tcp.checksum ^ 0xFFFF, change) ^ 0xFFFF
    tcp.sport = sport
    tcp.dport = dport
