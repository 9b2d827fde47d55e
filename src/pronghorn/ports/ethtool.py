"""What a device's driver says about itself and does for others: queues and offloads (SIOCETHTOOL, linux/ethtool.h).

Just the old ioctl, one feature at a time; every driver still answers it. Changing needs CAP_NET_ADMIN.
"""

from __future__ import annotations

import ctypes
import struct

from pronghorn.ports.device import request
from pronghorn.ports.driver import PortError

_SIOCETHTOOL = 0x8946
_GET_DRIVER, _GET_CHANNELS = 0x03, 0x3C
_FEATURES = {  # name, as `ethtool -K` has it: (command to get, command to set)
    "rx": (0x14, 0x15),
    "tx": (0x16, 0x17),
    "sg": (0x18, 0x19),
    "tso": (0x1E, 0x1F),
    "gso": (0x23, 0x24),
    "gro": (0x2B, 0x2C),
}


def _ask(device: str, content: bytes) -> bytes:
    buffer = ctypes.create_string_buffer(content, len(content))
    request(device, _SIOCETHTOOL, struct.pack("P", ctypes.addressof(buffer)))
    return buffer.raw


def driver_of(device: str) -> tuple[str, str]:
    """Name of the kernel driver, and where on a bus the device is; empty when it does not say, or is on none."""
    try:
        reply = _ask(device, struct.pack("I", _GET_DRIVER) + bytes(192))
    except OSError:
        return "", ""
    driver, bus = (reply[start : start + 32].split(b"\0")[0].decode() for start in (4, 100))
    return driver, bus


def is_virtual(device: str) -> bool:
    """Whether frames may come straight from a program on this machine, with their checksums unfinished."""
    return driver_of(device)[1] in ("", "N/A", "tap", "tun")


def queues_of(device: str) -> int:
    """Queues that the device receives on; 1 when it does not say, or is not there."""
    try:
        _, _, _, _, _, receive, _, _, combined = struct.unpack(
            "9I", _ask(device, struct.pack("9I", _GET_CHANNELS, *[0] * 8))
        )
    except OSError:
        return 1
    return max(1, int(receive) + int(combined))


def offloads_of(device: str) -> dict[str, bool]:
    """Which of rx, tx (checksums), sg, tso, gso and gro are on, as far as the device says."""
    found = {}
    for name, (get, _) in _FEATURES.items():
        try:
            found[name] = bool(struct.unpack("II", _ask(device, struct.pack("II", get, 0)))[1])
        except OSError:
            continue
    return found


def set_offload(device: str, name: str, on: bool) -> None:
    """Switch one offload. PortError when the device or the kernel refuses."""
    try:
        _ask(device, struct.pack("II", _FEATURES[name][1], on))
    except OSError as error:
        word = "on" if on else "off"
        raise PortError(f"{device}: offload '{name}' cannot be switched {word} ({error.strerror})") from error
