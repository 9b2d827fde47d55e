"""One AF_XDP socket by plain system calls (linux/if_xdp.h): memory, rings, binding to a queue of a device.

The memory for frames is registered afresh by every socket, the same memory each time. The kernel's own sharing
(XDP_SHARED_UMEM) would force one mode, copying or not, on all devices; the price of doing without is that the pages are
pinned once per socket.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
import time
from dataclasses import dataclass, field

from pronghorn.compiled import bounds
from pronghorn.memory import Pool
from pronghorn.ports.device import enlarge_buffers
from pronghorn.ports.driver import PortError
from pronghorn.ports.xdp_rings import CHUNK, KERNEL_CHECKSUMS, METADATA, ZERO_COPY, XdpRing, XdpSocket

_AF_XDP, _SOL_XDP = 44, 283
_OFFSETS, _RX_RING, _TX_RING, _UMEM, _FILL, _COMPLETION, _STATISTICS, _OPTIONS, _BUDGET = 1, 2, 3, 4, 5, 6, 7, 8, 9
_COPY, _USE_NEED_WAKEUP = 2, 8  # flags of bind
_UMEM_METADATA = 4  # XDP_UMEM_TX_METADATA_LEN: from Linux 6.11; before, the length alone
_OPTION_ZEROCOPY = 1
_MAP = {"receive": 0, "transmit": 0x80000000, "fill": 0x100000000, "completion": 0x180000000}
_ENTRY = {"receive": 16, "transmit": 16, "fill": 8, "completion": 8}
_SEND_BUFFER = 32 << 20  # of socket buffers in flight; the rings are the real limit
_LINGER = 1.0  # seconds for which the kernel may still be clearing up after an earlier owner
_MAP_SHARED_POPULATE = 0x8001
_PINNING = {
    errno.ENOBUFS: "raise the limit (`ulimit -l`) or give CAP_IPC_LOCK",
    errno.ENOMEM: "raise the limit (`ulimit -l`) or give CAP_IPC_LOCK",
    errno.EFAULT: "an arena in a file must lie on tmpfs",
}
COUNTERS = ("rx_dropped", "rx_invalid", "tx_invalid", "rx_ring_full", "fill_ring_empty", "tx_ring_empty")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


@dataclass
class Socket:
    """The kernel's side of an XdpSocket: the descriptor and the mapped rings."""

    handle: socket.socket
    zero_copy: bool = False
    offload: bool = False
    mappings: list[tuple[int, int]] = field(default_factory=list)

    def counters(self) -> dict[str, int]:
        """What the kernel counted since the socket was bound."""
        values = struct.unpack("<6Q", self.handle.getsockopt(_SOL_XDP, _STATISTICS, 48))
        return dict(zip(COUNTERS, values, strict=True))

    def close(self) -> None:
        """Leave the device; the chunks are nobody's afterwards."""
        self.handle.close()
        for address, octets in self.mappings:
            bounds.unregister(address)
            _libc.munmap(address, octets)
        self.mappings.clear()


def open_socket(
    device: str, interface: int, queue: int, record: XdpSocket, pool: Pool, descriptors: int, mode: str
) -> Socket:
    """A socket bound to `queue`, its addresses in `record`. `mode` is that of the program: native or generic."""
    try:
        own = Socket(socket.socket(_AF_XDP, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0))
    except OSError as error:
        if error.errno == errno.EPERM:
            raise PortError(f"{device}: AF_XDP is refused ({error.strerror}): needs root or CAP_NET_RAW") from error
        raise PortError(f"{device}: this kernel has no AF_XDP ({error.strerror}): use packet:{device}") from error
    try:
        _register(device, own, pool)
        for option in (_FILL, _COMPLETION, _RX_RING, _TX_RING):
            own.handle.setsockopt(_SOL_XDP, option, descriptors)
        _map_rings(own, record, descriptors)
        _bind(device, own.handle, interface, queue, mode)
        _tune(own, descriptors)
    except BaseException:
        own.close()
        raise
    record.base, record.chunks, record.fd = pool.base, pool.chunks, own.handle.fileno()
    record.target = descriptors
    record.flags = ZERO_COPY if own.zero_copy else KERNEL_CHECKSUMS if own.offload else 0
    return own


def _register(device: str, own: Socket, pool: Pool) -> None:
    """The memory for frames; with room for metadata before each frame where the kernel knows of that."""
    octets = pool.chunks * CHUNK
    reason: OSError | None = None
    for flags, metadata in ((_UMEM_METADATA, METADATA), (0, 0)):
        try:
            own.handle.setsockopt(_SOL_XDP, _UMEM, struct.pack("<QQIIII", pool.base, octets, CHUNK, 0, flags, metadata))
            own.offload = metadata > 0
            return
        except OSError as error:
            reason = error
            if error.errno != errno.EINVAL:
                break
    assert reason is not None
    advice = _PINNING.get(reason.errno or 0, f"use packet:{device}")
    raise PortError(f"{device}: {octets} octets cannot be pinned for AF_XDP ({reason.strerror}): {advice}") from reason


def _map_rings(own: Socket, record: XdpSocket, size: int) -> None:
    offsets = struct.unpack("<16Q", own.handle.getsockopt(_SOL_XDP, _OFFSETS, 128))
    for number, name in enumerate(("receive", "transmit", "fill", "completion")):
        producer, consumer, entries, flags = offsets[4 * number : 4 * number + 4]
        octets = entries + size * _ENTRY[name]
        at = _libc.mmap(None, octets, 3, _MAP_SHARED_POPULATE, own.handle.fileno(), _MAP[name])
        if at == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), f"mapping the {name} ring: {os.strerror(ctypes.get_errno())}")
        own.mappings.append((at, octets))
        bounds.register(at, octets, 0, f"xdp {name} ring")
        ring: XdpRing = getattr(record, name)
        ring.producer, ring.consumer, ring.flags = at + producer, at + consumer, at + flags
        ring.entries, ring.size, ring.mine = at + entries, size, 0


def _bind(device: str, handle: socket.socket, interface: int, queue: int, mode: str) -> None:
    """Without copying if driver and program allow, the kernel decides; a generic program always copies."""
    flags = _USE_NEED_WAKEUP | (_COPY if mode == "generic" else 0)
    address = struct.pack("<HHIII", _AF_XDP, flags, interface, queue, 0)
    code = errno.EBUSY
    patience = time.monotonic() + _LINGER
    while code == errno.EBUSY and time.monotonic() < patience:
        if _libc.bind(handle.fileno(), address, len(address)) == 0:
            return
        code = ctypes.get_errno()
        time.sleep(0.01)
    if code == errno.EBUSY:
        raise PortError(f"{device}: queue {queue} has another AF_XDP socket; stop its owner, or use packet:{device}")
    raise PortError(f"{device}: AF_XDP on queue {queue} is refused ({os.strerror(code)}): use packet:{device}")


def _tune(own: Socket, descriptors: int) -> None:
    """What the kernel grants: which mode, and more frames per call and in flight than it would by itself."""
    (options,) = struct.unpack("<I", own.handle.getsockopt(_SOL_XDP, _OPTIONS, 4))
    own.zero_copy = bool(options & _OPTION_ZEROCOPY)
    enlarge_buffers(own.handle, _SEND_BUFFER)
    with contextlib.suppress(OSError):  # before Linux 6.17, 32 frames per call: slower, not different
        own.handle.setsockopt(_SOL_XDP, _BUDGET, descriptors)
