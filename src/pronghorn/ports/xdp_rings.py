"""The rings and records of an AF_XDP socket (linux/if_xdp.h): the kernel's words and descriptors, and our view of them.

Read by `xdp.py`, written at set-up by `xdp_socket.py`.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, au32, field, fixed, i32, leaf, u8, u32, u64

CHUNK = 2048
CHUNK_BITS = 11
METADATA = 24
"""Octets before a transmitted frame that the kernel reads (struct xsk_tx_metadata), when the socket offloads."""

SEGMENTS = 128
"""Pieces that an unsegmented frame may be cut into."""

# XdpSocket.flags
KERNEL_CHECKSUMS = 1  # the kernel fills checksums: frames are described by metadata before them
LOCAL_PEER = 2  # frames may come with unfinished checksums, unmarked
ZERO_COPY = 4  # the device reads and writes the chunks itself
SHARED = 8  # several workers transmit here
INDEX = 0xFFFFFFFF
"""Indexes of rings count modulo 2^32."""

NEED_WAKEUP = 1
"""Flag of a ring: the kernel wants to be called."""

DONT_WAIT = 0x40
"""MSG_DONTWAIT of such calls."""


class Word(View):
    """An index or the flags of a ring, in the kernel's memory."""

    value: au32


class Descriptor(View, align=8, size=16):
    """A frame on the receive or transmit ring (struct xdp_desc)."""

    start: u64  # octets from the start of the memory for frames to the frame
    length: u32
    options: u32


class XdpRing(View, align=64, size=64):
    """Our view of one ring. Constant but for `mine`."""

    producer: u64  # addresses of the ring's words
    consumer: u64
    flags: u64
    entries: u64  # address of the first descriptor (receive, transmit) or chunk address (fill, completion)
    size: u32  # entries: a power of two
    mine: u32  # our index, the kernel's is in the ring


class XdpSocket(View, align=64):
    """A socket on one queue of a device. Receiving and filling belong to one worker."""

    receive: XdpRing
    fill: XdpRing
    transmit: XdpRing
    completion: XdpRing
    base: u64  # address of chunk 0
    owned: Array[u8]  # per chunk: 1 while the kernel has it through this socket
    chunks: u32
    fd: i32
    target: u32  # chunks to be kept on the receive side
    given: u32  # chunks that are there; written by the receiving worker
    flags: u32
    wrong: u32  # descriptors refused; 0 unless the kernel or we are broken
    unfit: u64  # packets that no chunk can carry, or without a chunk to copy them into
    lock: au32 = field(align=64)  # 1 while a worker transmits; used only if SHARED
    segments: Array[u64] = fixed(SEGMENTS, align=64)  # packets that an unsegmented frame was cut into


class XdpEnd(View, align=64, size=64):
    """One worker's part of the device: it receives from sockets `first`, `first + step`, ..."""

    sockets: Array[XdpSocket]
    first: u32
    step: u32
    count: u32  # sockets it receives from; may be 0
    next: u32  # the one to begin with
    sender: u32  # the socket it transmits on


@leaf
def theirs(place: int) -> int:
    """The kernel's index, or the flags, of a ring."""
    return Word(place).value
