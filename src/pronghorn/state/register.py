"""What an accelerated program tells of its sockets: the table that `pronghorn sockets` reads.

    RUNTIME/programs/PID    mode 0600: one Register, then `room` Records

RUNTIME is the directory of the gateways, when the program's user may write there; otherwise that user's own. `place`
says which was meant.

Written by the program alone (preload/register.c), mapped and read by others at any time: a Record is counted up before
and after it changes, so whoever reads an odd number, or two numbers, reads again.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, constants, fixed, u8, u16, u32, u64

MAGIC = 0x3147_4552_454E_5250  # "PRNEREG1" as octets
VERSION = 1
RECORDS = 65536
"""Records that a program has at most; sockets beyond them are not listed."""

# Record.path
FREE, UNDECIDED, KERNEL, OURS, BOTH = range(5)

# Record.state
OPEN, BOUND, LISTENING, CONNECTED = range(4)

constants("Of a program's table of sockets.", "REGISTER", MAGIC=MAGIC, VERSION=VERSION, RECORDS=RECORDS)
constants(
    "Paths in a program's table of sockets.",
    "RECORD",
    FREE=FREE,
    UNDECIDED=UNDECIDED,
    KERNEL=KERNEL,
    OURS=OURS,
    BOTH=BOTH,
)
constants("States there.", "RECORD", OPEN=OPEN, BOUND=BOUND, LISTENING=LISTENING, CONNECTED=CONNECTED)


class Register(View, align=64, size=128):
    """The head of the table."""

    magic: u64
    version: u32
    pid: u32
    room: u32  # records that there is room for
    used: u32  # records below were used
    beyond: u32  # sockets that found no record
    wakeup: u32  # 1: run-to-wakeup
    started: u64  # CLOCK_REALTIME, ns
    place: u64  # FNV-1a of PRONGHORN_RUNTIME_DIR; 0: it is not set
    name: Array[u8] = fixed(32)  # of the program; ends with a zero octet


class Record(View, align=64, size=128):
    """One socket. Addresses as in Address of state/endpoints.py; family 0: none."""

    changes: u32  # odd: it is being written
    fd: u32
    path: u8
    type: u8  # SOCK_STREAM, SOCK_DGRAM of Linux
    protocol: u8
    state: u8
    own_family: u8
    far_family: u8
    own_port: u16
    far_port: u16
    unused: u16
    unused32: u32
    handle: u64  # the engine's; all ones: none
    own_hi: u64
    own_lo: u64
    far_hi: u64
    far_lo: u64
    reason: Array[u8] = fixed(64)  # why it took this path, ends with a zero octet; empty: because it could
