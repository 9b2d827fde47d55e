"""Switch checksum and segmentation offload of interfaces off: `python offload.py INTERFACE...`.

What `ethtool -K IF tx off sg off tso off gso off gro off` does, by the ioctl itself (linux/ethtool.h), so that no
ethtool has to be installed. Between the ends of a veth pair Linux passes unfinished checksums and 64 KB segments; who
reads frames there by AF_XDP sees them as they are.
"""

import array
import errno
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
# ETHTOOL_S...: set one feature. Segmentation first: it rests on the other two.
SETTINGS = {0x1F: "tso", 0x24: "gso", 0x2C: "gro", 0x19: "sg", 0x17: "tx"}


def switch_off(interface: str) -> None:
    """Switch off whatever of it the driver has."""
    for command in SETTINGS:
        feature(interface, command, 0)


def enabled(interface: str) -> list[str]:
    """The names of what is still on. Each getter's number is one below its setter's."""
    return [name for command, name in SETTINGS.items() if feature(interface, command - 1, 0)]


def feature(interface: str, command: int, value: int) -> int:
    """One ethtool command with one number in and one out; 0 for what the driver does not know."""
    argument = array.array("I", [command, value])  # struct ethtool_value
    request = struct.pack("16sP16x", interface.encode(), argument.buffer_info()[0])  # struct ifreq
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            fcntl.ioctl(control, SIOCETHTOOL, request)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            return 0
    return argument[1]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        switch_off(name)
