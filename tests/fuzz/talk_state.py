"""What a fuzzed conversation knows: two engines, the frames on their way between them, and what applications did.

talk_state.py   this          talk_wire.py    what the wire does to frames        talk_forge.py   frames of nobody
talk_users.py   applications  talk_check.py   what must hold after every step     talk.py         the loop; a round

Everything random comes from `Talk.chance`.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, fixed, hot, leaf, u8, u16, u32, u64
from pronghorn.state.worker import Worker, random_number
from pronghorn.wire.tcp import TCPOptions

FRAMES = 256
"""Frames that may be on their way."""
LONGEST = 66_560
"""Octets of a frame."""
USERS = 16
"""Sockets that each side's application holds at most; the first two listen."""
CONNS = 48
PERIOD = 251
"""The octets of a stream repeat after so many; where they begin depends on the connection and the direction."""
CHUNK = 40_000
"""Octets of one call at most."""
LEDGER = 4096

PURE, ATTACKED, HOSTILE = range(3)
"""Talk.quality: loss, reordering, duplication and time only; also forged and changed segments, never octets of a
stream; anything, so that what is read may be anything."""

FREE, LISTENING, STREAMING = range(3)


class Octets(View, align=64, size=LONGEST):
    """Room for a frame's octets, or for whatever else has fewer."""


class Frame(View, align=64, size=64):
    """A frame on its way."""

    octets: u64  # address of its room
    due: u64  # ns: arrives
    length: u32
    flags: u16  # of the packet
    gso_size: u16


class User(View, align=64, size=64):
    """A socket of an application."""

    kind: u8  # FREE, LISTENING, STREAMING
    ended: u8  # 1: read to the end, or heard an error
    shut: u8  # 1: writes no more
    deaf: u8  # 1: shut its reading
    number: u32  # of the socket
    key: u64  # of ports and family
    written: u64
    read: u64


class Entry(View, size=16):
    """How much one side has written when it shut its direction; by key."""

    key: u64  # and side
    written: u64


class Talk(View, align=64):
    """A round."""

    workers: Array[u64] = fixed(2)  # addresses
    chance: u64  # address of a Worker whose generator everything random comes from
    now: u64  # ns
    frames: Array[Frame]
    users: Array[User]  # USERS of side 0, USERS of side 1
    ledger: Array[Entry]
    options: TCPOptions
    pattern: u64  # address
    room: u64  # address: what is read
    name: u64  # address of an Address
    value: u64  # address: of an option's value
    quality: u32
    loss: u32  # of 1024 frames
    change: u32  # of 1024
    forge: u32  # forged frames in 1024 steps
    delay: u32  # us
    jitter: u32  # us
    quiet: u32  # 1: applications do nothing more, the wire is good
    opened: u32  # ports that simultaneous opens have used
    queued: Array[u32] = fixed(2)  # frames on their way to each side
    order: Array[u16] = fixed(2 * FRAMES)  # their numbers, by time
    free: Array[u16] = fixed(FRAMES)
    free_count: u32
    unused: u32
    segments: u64  # frames handled by both sides
    fault: u32  # what does not hold; 0: everything does
    fault_side: u32
    fault_tcb: u32
    states: u32  # a bit for each state that a connection was in
    lost: u64
    verified: u64  # octets that were read and were right


@leaf
def worker_of(talk: Talk, side: int) -> Worker:
    """The engine's worker."""
    return Worker(talk.workers[side])


@hot
def below(talk: Talk, limit: int) -> int:
    """A random number from 0 to limit - 1."""
    return random_number(Worker(talk.chance)) % limit


@leaf
def one_in(talk: Talk, limit: int) -> bool:
    """True once in `limit`."""
    return below(talk, limit) == 0


@leaf
def fail(talk: Talk, fault: int, side: int, tcb: int) -> None:
    """Note the first thing that does not hold."""
    if talk.fault == 0:
        talk.fault, talk.fault_side, talk.fault_tcb = fault, side, tcb
