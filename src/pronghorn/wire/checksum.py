"""The Internet checksum, full and incremental (RFC 1071, RFC 1624).

The checksum is the complement of the ones' complement sum of 16-bit words. Ones' complement sums are sums modulo
65535, so 2^16 counts as 1 and wider words may be added as they are: 32-bit words into a 64-bit total here, carries
folded in once at the end. They also do not mind byte order (RFC 1071 2 (B)): `add` sums memory in the machine's order
and swaps the octets of the result. Every sum that leaves this file counts octets in network order.

Vocabulary: a `total` is an unfolded sum, non-negative and below 2^47; a `change` is a total that stands for the
difference of two values, so that changes of several fields add up and are applied at once (equation 3 of RFC 1624).
Equation 3 gives the checksum that a full computation gives, 0 and 0xffff included, unless everything that is summed
becomes zero: that cannot be where there is a pseudo header or a version field; an ICMP echo reply can (see icmp.py).

Left out: nothing is loaded or stored in place here; the views do that.
"""

from pronghorn.compiled import array_at, hot, leaf, load8, load16, load32, u32

ONES = 0xFFFF


@leaf
def fold(total: int) -> int:
    """A total, below 2^47, as a 16-bit ones' complement sum."""
    total = (total & 0xFFFF) + (total >> 16 & 0xFFFF) + (total >> 32)
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


@leaf
def fold_short(total: int) -> int:
    """The same for a total below 2^32."""
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


@leaf
def finish(total: int) -> int:
    """The checksum that belongs to a total."""
    return fold(total) ^ ONES


@leaf
def halves(word: int) -> int:
    """A 64-bit word (as the signed number that a be64 field reads) as a total."""
    return (word & 0xFFFF_FFFF) + (word >> 32 & 0xFFFF_FFFF)


# --- full ---------------------------------------------------------------------------------------------------------


@hot
def add(address: int, octets: int) -> int:
    """Sum of the octets at any address, 16 bits; an odd last octet counts as if a zero followed."""
    words = array_at(u32, address)
    total = 0
    for i in range(octets >> 2):
        total += words[i]
    end = address + octets
    if octets & 2 != 0:
        total += load16(end - (octets & 3))
    if octets & 1 != 0:
        total += load8(end - 1)
    total = fold(total)
    return (total & 0xFF) << 8 | total >> 8


@leaf
def is_good20(address: int) -> bool:
    """Whether the 20 octets at address, checksum included and not all zero, sum to a good checksum."""
    total = load32(address) + load32(address + 4) + load32(address + 8) + load32(address + 12) + load32(address + 16)
    total = (total & 0xFFFF) + (total >> 16 & 0xFFFF) + (total >> 32)  # at most 0x20002
    return total == 0xFFFF or total == 0x1FFFE


@leaf
def pseudo4(src: int, dst: int, protocol: int, octets: int) -> int:
    """Total of IPv4's pseudo header (RFC 9293 3.1, RFC 768); octets counts layer-4 header and payload."""
    return src + dst + protocol + octets


@leaf
def pseudo6(src_hi: int, src_lo: int, dst_hi: int, dst_lo: int, protocol: int, octets: int) -> int:
    """Total of IPv6's pseudo header (RFC 8200 8.1)."""
    return halves(src_hi) + halves(src_lo) + halves(dst_hi) + halves(dst_lo) + protocol + octets


@leaf
def agrees(pseudo: int, address: int, octets: int) -> bool:
    """Whether pseudo header and the octets at address, checksum field included, sum to a good checksum."""
    return fold(pseudo + add(address, octets)) == ONES


@leaf
def compute(pseudo: int, address: int, octets: int) -> int:
    """The checksum of pseudo header and the octets at address, whose checksum field holds 0."""
    return finish(pseudo + add(address, octets))


@leaf
def not_zero(checksum: int) -> int:
    """A UDP checksum as it is sent: 0 means 'none', so 0xffff stands for it (RFC 768)."""
    return ONES if checksum == 0 else checksum


# --- incremental --------------------------------------------------------------------------------------------------


@leaf
def change16(old: int, new: int) -> int:
    """The change when a 16-bit word at an even offset goes from old to new."""
    return (old ^ 0xFFFF) + new


@leaf
def change32(old: int, new: int) -> int:
    """The change when 32 bits at an even offset go from old to new."""
    return (old ^ 0xFFFF_FFFF) + new


@leaf
def change_address6(old_hi: int, old_lo: int, new_hi: int, new_lo: int) -> int:
    """The change when an IPv6 address does."""
    return halves(~old_hi) + halves(~old_lo) + halves(new_hi) + halves(new_lo)


@leaf
def apply(checksum: int, change: int) -> int:
    """A checksum after a change: RFC 1624 equation 3, HC' = ~(~HC + ~m + m')."""
    return fold((checksum ^ ONES) + change) ^ ONES


@leaf
def apply_udp(checksum: int, change: int) -> int:
    """The same for a UDP checksum over IPv4: 'none' stays 'none', and a sum of 0 becomes 0xffff."""
    return 0 if checksum == 0 else not_zero(apply(checksum, change))


@leaf
def update16(checksum: int, old: int, new: int) -> int:
    """A checksum after a 16-bit word of what it covers went from old to new."""
    return fold_short((checksum ^ ONES) + change16(old, new)) ^ ONES


@leaf
def update32(checksum: int, old: int, new: int) -> int:
    """A checksum after 32 bits of what it covers went from old to new."""
    return apply(checksum, change32(old, new))


@leaf
def update_address6(checksum: int, old_hi: int, old_lo: int, new_hi: int, new_lo: int) -> int:
    """A checksum after an IPv6 address that it covers did."""
    return apply(checksum, change_address6(old_hi, old_lo, new_hi, new_lo))
