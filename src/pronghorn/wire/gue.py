"""Generic UDP encapsulation, variant 0 without extensions (draft-ietf-intarea-gue-09 section 3), written only.

Version (2 bits, 0), control (1, 0), length of what is optional in units of four octets (5, 0), the IP protocol of what
follows, flags (16, 0). It stands behind a UDP header whose source port tells flows apart (section 5.11): for a packet
in a tunnel, from 49152 up. Left out: control messages, remote checksums, fragments, and variant 1.
"""

from pronghorn.compiled import View, be16, leaf, u8

HEADER = 4  # octets
PORT = 6080
"""Assigned by IANA."""
FIRST_SOURCE = 0xC000


class GUE(View, size=4):
    """The header."""

    version_length: u8
    protocol: u8
    flags: be16


@leaf
def source_port(hash: int) -> int:
    """Source port for the packets of a flow."""
    return FIRST_SOURCE | hash & 0x3FFF
