"""Switch checksum and segmentation offload of interfaces off: `python offload.py INTERFACE...`.

What `ethtool -K IF tx off sg off tso off gso off gro off` does, by the ioctl itself (linux/ethtool.h), so that no
ethtool has to be installed. Between the ends of a veth pair Linux passes unfinished checksums and 64 KB segments; who
reads frames there by AF_XDP sees them as they are.
"""

import array
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
STXCSUM, SSG, STSO, SGSO, SGRO = 0x17, 0x19, 0x1F, 0x24, 0x2C  # ETHTOOL_S...: set one feature
NOT_SUPPORTED = 95  # EOPNOTSUPP


def switch_off(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in (STSO, SGSO, SGRO, SSG, STXCSUM):
            value = array.array("I", [command, 0])  # struct ethtool_value
            request = struct.pack("16sP16x", interface.encode(), value.buffer_info()[0])  # struct ifreq
            try:
                fcntl.ioctl(control, SIOCETHTOOL, request)
            except OSError as error:
                if error.errno != NOT_SUPPORTED:
                    raise


if __name__ == "__main__":
    for name in sys.argv[1:]:
        switch_off(name)
