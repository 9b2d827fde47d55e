"""CRC32c, the checksum of SCTP and iSCSI (Castagnoli's polynomial; RFC 9260 appendix A, RFC 3720 appendix B.4).

Bits are reflected: the first octet's lowest bit is the highest power, bit 31 of a remainder stands for x^0. The CRC is
linear: when the octets at some place change, the CRC changes by the remainder of their difference, times x^8 for each
octet from there to the end. `change32` works that out in a few steps for each bit of the distance, so that what is
covered is neither read nor verified, and an error in it stays one. `compute` reads everything, bit by bit: for those
who judge, not for every packet.
"""

from pronghorn.compiled import hot, leaf, load8

POLYNOMIAL = 0x82F6_3B78
ONE = 1 << 31
"""x^0."""
OCTET = 1 << 23
"""x^8."""
ONES = 0xFFFF_FFFF


@leaf
def times_x(remainder: int) -> int:
    """One bit further."""
    return remainder >> 1 ^ POLYNOMIAL & -(remainder & 1)


@hot
def multiply(a: int, b: int) -> int:
    """The product of two remainders."""
    product = 0
    for place in range(31, -1, -1):
        product ^= b & -(a >> place & 1)
        b = times_x(b)
    return product


@hot
def shift(remainder: int, octets: int) -> int:
    """The remainder times x^8 for each of the octets that follow, 0 or more."""
    power = OCTET
    while octets > 0:
        if octets & 1 != 0:
            remainder = multiply(remainder, power)
        power = multiply(power, power)
        octets >>= 1
    return remainder


@hot
def change32(old: int, new: int, octets: int) -> int:
    """What to XOR a CRC with when 32 bits go from old to new (as load32 reads them), `octets` before the end."""
    return shift(old ^ new, octets)


@hot
def extend(crc: int, address: int, octets: int) -> int:
    """A CRC's register (not complemented) after the octets at address."""
    for place in range(octets):
        crc ^= load8(address + place)
        for _ in range(8):
            crc = times_x(crc)
    return crc


@hot
def compute(address: int, octets: int) -> int:
    """The CRC32c of the octets at address; it is sent with its least significant octet first."""
    return extend(ONES, address, octets) ^ ONES
