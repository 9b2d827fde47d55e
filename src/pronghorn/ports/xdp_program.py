"""The XDP program of a port: which frames leave the kernel, and the link that keeps the program on the device.

Whole interface: every frame that arrives on a queue with a socket goes to that socket, ARP and everything else
included. A queue without a socket (none yet, or no more) passes its frames to the kernel as if nothing were attached.

The driver's own hook (native) is tried first; where a driver has none, the kernel offers the same later on its way in
(generic), at the price of a socket buffer per frame; and frames longer than a chunk, which a native program keeps the
neighbour on a veth from sending, are then dropped.
"""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass

from pronghorn.ports import bpf
from pronghorn.ports.driver import PortError

_XDP_PASS = 2
_REDIRECT_MAP = 51  # BPF_FUNC_redirect_map
_RX_QUEUE = 16  # offset of rx_queue_index in struct xdp_md
_MODES = ((bpf.NATIVE, "native"), (bpf.GENERIC, "generic"))
_RTM_GETLINK, _NLM_F_REQUEST, _IFLA_XDP, _IFLA_XDP_PROG_ID = 18, 1, 43, 4


@dataclass
class Attachment:
    """The program on its device. `mode` is `native` or `generic`."""

    mode: str
    reason: str  # why not native; empty when it is
    sockets: bpf.Object
    program: bpf.Object
    link: bpf.Object

    def serve(self, queue: int, socket_fd: int) -> None:
        """From now on the frames of `queue` go to this socket."""
        bpf.update_map(self.sockets, queue, socket_fd)

    def close(self) -> None:
        """Take the program off the device."""
        for each in (self.link, self.program, self.sockets):
            each.close()


def whole_interface(sockets: bpf.Object) -> bytes:
    """Every frame to the socket of its queue; XDP_PASS when the queue has none."""
    return b"".join(
        [
            bpf.load32(2, 1, _RX_QUEUE),
            bpf.map_address(1, sockets),
            bpf.constant(3, _XDP_PASS),
            bpf.call(_REDIRECT_MAP),
            bpf.leave(),
        ]
    )


def attach(device: str, interface: int, queues: int) -> Attachment:
    """Load and attach. PortError says who refuses."""
    try:
        sockets = bpf.create_map(bpf.MAP_XSKMAP, 4, 4, queues)
    except OSError as error:
        raise PortError(_refusal(device, "an AF_XDP socket map", error)) from error
    try:
        program = bpf.load_xdp(whole_interface(sockets), "pronghorn")
    except OSError as error:
        sockets.close()
        raise PortError(_refusal(device, "an XDP program", error)) from error
    reasons: list[str] = []
    for mode, name in _MODES:
        try:
            link = bpf.attach_xdp(program, interface, mode)
            return Attachment(name, "; ".join(reasons), sockets, program, link)
        except OSError as error:
            if error.errno in (errno.EBUSY, errno.EEXIST):
                program.close()
                sockets.close()
                raise PortError(_occupied(device, interface)) from error
            reasons.append(f"{name}: {error.strerror}")
    program.close()
    sockets.close()
    raise PortError(f"{device}: no XDP program can be attached ({'; '.join(reasons)}); use packet:{device}")


def attached(interface: int) -> int:
    """Number of the XDP program on the device, 0 when there is none (rtnetlink(7), IFLA_XDP)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.send(struct.pack("=IHHIIBxHiII", 32, _RTM_GETLINK, _NLM_F_REQUEST, 1, 0, 0, 0, interface, 0, 0))
        reply = netlink.recv(65536)
    for kind, content in _attributes(reply[32:]):
        if kind == _IFLA_XDP:
            return next((int.from_bytes(c[:4], "little") for k, c in _attributes(content) if k == _IFLA_XDP_PROG_ID), 0)
    return 0


def _attributes(octets: bytes) -> list[tuple[int, bytes]]:
    found = []
    while len(octets) >= 4:
        length, kind = struct.unpack_from("=HH", octets)
        if length < 4:
            break
        found.append((kind & 0x3FFF, octets[4:length]))
        octets = octets[(length + 3) & ~3 :]
    return found


def _occupied(device: str, interface: int) -> str:
    number = attached(interface)
    name = bpf.program_name(number) if number else ""
    which = f"program {number}" + (f" '{name}'" if name else "") if number else "a program"
    return (
        f"{device}: another XDP program is attached ({which}); stop whoever attached it, or, when nobody holds it any "
        f"more, `ip link set {device} xdp off`; or use packet:{device}"
    )


def _refusal(device: str, what: str, error: OSError) -> str:
    if error.errno in (errno.EPERM, errno.EACCES):
        needed = "root, or CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW"
        return f"{device}: the kernel refuses {what} ({error.strerror}): needs {needed}"
    return f"{device}: the kernel has no {what} ({error.strerror}): use packet:{device}"
