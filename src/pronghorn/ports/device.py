"""A network device of the kernel: the few facts a driver needs, by ioctl (netdevice(7)), in the caller's namespace.

sysfs would be easier to read and wrong: it shows the network namespace it was mounted in.
"""

from __future__ import annotations

import fcntl
import socket
import struct

from pronghorn.ports.driver import PortError

_NAME = 15  # IFNAMSIZ without its zero
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCGIFMTU, _SIOCGIFHWADDR, _SIOCGIFINDEX = 0x8913, 0x8914, 0x8921, 0x8927, 0x8933
_IFF_UP, _IFF_RUNNING = 1, 0x40
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_SOL_PACKET, _ADD_MEMBERSHIP, _ALL_GROUPS = 263, 1, 2
ETHERNET = 1  # ARPHRD_ETHER


def request(device: str, command: int, argument: bytes = b"") -> bytes:
    """One ioctl with a struct ifreq; the 24 octets after the name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        reply = fcntl.ioctl(control, command, struct.pack("16s24s", device.encode(), argument))
    return reply[16:]


def index_of(device: str) -> int:
    """The kernel's number of the device. PortError when there is none of this name here, or when it is down."""
    if not 0 < len(device.encode()) <= _NAME:
        raise PortError(f"'{device}' is no device name: 1 to {_NAME} characters")
    try:
        index: int = struct.unpack_from("i", request(device, _SIOCGIFINDEX))[0]
        flags: int = struct.unpack_from("H", request(device, _SIOCGIFFLAGS))[0]
    except OSError as error:
        names = ", ".join(sorted(name for _, name in socket.if_nameindex())) or "none"
        raise PortError(f"{device}: {error.strerror}; the devices here are: {names}") from error
    if not flags & _IFF_UP:
        raise PortError(f"{device}: is down; `ip link set {device} up` first")
    return index


def link_of(device: str, index: int) -> str:
    """Whether the device with this name and number carries frames: "up", "down", or "gone" when there is none such."""
    try:
        if struct.unpack_from("i", request(device, _SIOCGIFINDEX))[0] != index:
            return "gone"
        flags: int = struct.unpack_from("H", request(device, _SIOCGIFFLAGS))[0]
    except OSError:
        return "gone"
    return "up" if flags & _IFF_UP and flags & _IFF_RUNNING else "down"


def mtu_of(device: str) -> int:
    """Octets of layer 3 in a frame."""
    mtu: int = struct.unpack_from("i", request(device, _SIOCGIFMTU))[0]
    return mtu


def mac_of(device: str) -> int:
    """The device's address, first octet most significant. PortError when it is no Ethernet."""
    reply = request(device, _SIOCGIFHWADDR)
    kind: int = struct.unpack_from("H", reply)[0]
    if kind != ETHERNET:
        raise PortError(f"{device}: is no Ethernet device (ARPHRD type {kind})")
    return int.from_bytes(reply[2:8], "big")


def join_groups(holder: socket.socket, interface: int) -> None:
    """Have the device deliver every multicast frame for as long as the packet socket `holder` lives (packet(7))."""
    holder.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("iHH8s", interface, _ALL_GROUPS, 0, b""))


def set_up(device: str) -> None:
    """Switch the device on (`ip link set DEVICE up`)."""
    flags: int = struct.unpack_from("H", request(device, _SIOCGIFFLAGS))[0]
    request(device, _SIOCSIFFLAGS, struct.pack("H", flags | _IFF_UP))


def enlarge_buffers(own: socket.socket, octets: int) -> None:
    """Let as much as `octets` wait on a socket, each way; where only root may, as much as the system allows anybody."""
    for force, ordinary in ((_SO_SNDBUFFORCE, socket.SO_SNDBUF), (_SO_RCVBUFFORCE, socket.SO_RCVBUF)):
        try:
            own.setsockopt(socket.SOL_SOCKET, force, octets)
        except PermissionError:
            own.setsockopt(socket.SOL_SOCKET, ordinary, octets)
