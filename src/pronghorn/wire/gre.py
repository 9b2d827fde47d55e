"""GRE (RFC 2784; the key: RFC 2890), written only.

Flags and version, the EtherType of what follows, then what the flags say, four octets each: checksum (and two reserved
octets), key. Left out: sequence numbers, and the routing of RFC 1701.
"""

from pronghorn.compiled import View, be16

HEADER = 4  # octets without options
OPTION = 4  # octets of each option
CHECKSUM_PRESENT = 0x8000
KEY_PRESENT = 0x2000


class GRE(View, size=8):
    """The header, and the checksum where the flags say that there is one."""

    flags: be16  # version 0 in the lowest three bits
    protocol: be16  # EtherType
    checksum: be16  # of the header and all that follows
    reserved: be16
