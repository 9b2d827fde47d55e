"""What a program and its keeper say to each other when the program attaches (docs/adr/0013-accelerated-programs.md).

    program                                   keeper
      Hello                      -------->
                                 <--------    Welcome, with descriptors: memory, own pipe, their pipes
      Claim                      -------->
                                 <--------    Answer                      (on a link to a gateway, any number of times)

Each message is one datagram of a SOCK_SEQPACKET Unix socket, of exactly the size of its view. Both sides check every
field where it is read; a message that cannot be true ends the attachment.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, constants, fixed, u8, u16, u32, u64

MAGIC = 0x314B4E494C4E5250  # "PRNLINK1" as octets
VERSION = 2
ADDRESSES = 16
"""Addresses that a Welcome can name."""

PIPES = 64
"""Pipes of the other side that a Welcome can bring, at most: one per receiving queue of the keeper."""

# Welcome.flags
CLAIMS = 1  # what is listened to and bound must be claimed
DIRECT_LINK = 2  # the other end is another program, not a gateway
SHARED_ADDRESSES = 4  # packets to an own address that nobody here takes leave by the link: others may have it too

# Claim.kind
# TAKE: a connection that the parent handed over. Without a far side (zeros): who opened a listener that children have
# claimed as well accepts beside them; not counted, and given back with the LISTEN.
CLAIM_LISTEN, CLAIM_BIND, CLAIM_CLOSE, CLAIM_TAKE = range(1, 5)

# Claim.flags
SHARED = 1  # other processes of the same family may claim the same
REUSE = 2  # SO_REUSEPORT: other programs of the same user may claim the same

constants("Of the messages between a program and its keeper.", "ATTACH", MAGIC=MAGIC, VERSION=VERSION)
constants("Flags of a Welcome.", "WELCOME", CLAIMS=CLAIMS, DIRECT_LINK=DIRECT_LINK, SHARED_ADDRESSES=SHARED_ADDRESSES)
constants("Kinds of a Claim.", "CLAIM", LISTEN=CLAIM_LISTEN, BIND=CLAIM_BIND, CLOSE=CLAIM_CLOSE, TAKE=CLAIM_TAKE)
constants("Flags of a Claim.", "CLAIM", SHARED=SHARED, REUSE=REUSE)


class Hello(View, align=8, size=64):
    """A program wants a link. Who it is, the kernel says (SO_PEERCRED)."""

    magic: u64
    version: u32
    parent: u32  # process whose listeners it has inherited by fork; 0: none
    layout: u64  # pronghorn_build_hash of the library: told to people; the layouts cross no border
    name: Array[u8] = fixed(32)  # of the program, for people; ends with a zero octet


class Own(View, align=8, size=24):
    """An address that the program has from now on."""

    hi: u64  # as in Address of state/endpoints.py
    lo: u64
    length: u8  # of its network, in bits of its own family
    family: u8  # 4 or 6
    unused: u16
    unused32: u32


class Welcome(View, align=8):
    """The link is there. With it come descriptors: the memory of the lanes, the end of a pipe to read, by which the
    program is woken, and `queues` ends to write, one to wake each queue of the keeper."""

    magic: u64
    version: u32
    error: u32  # errno of a refusal, and then nothing below counts
    flags: u32
    end: u32  # which end of the lanes is the program's: 0 or 1
    queues: u32  # of each side of the link
    mtu: u32
    session: u64  # not 0: this attachment's, drawn by the keeper
    secret: u64  # of initial sequence numbers and timestamps: the same for all programs that this user starts here, so
    secret2: u64  # that a later one goes on above an earlier one's (RFC 6528). Both 0: the engine draws its own
    port_low: u16  # for outgoing connections and unbound datagrams; both ends included
    port_high: u16
    count: u32  # addresses
    addresses: Array[Own] = fixed(ADDRESSES)


class Claim(View, align=8, size=64):
    """A program will listen, bind, close; or has taken over a connection."""

    kind: u32
    flags: u32
    protocol: u8  # IPPROTO_TCP, IPPROTO_UDP
    family: u8  # 4, 6, or 10: both
    port: u16
    far_port: u16  # TAKE
    unused: u16
    hi: u64  # own address, or 0 for any
    lo: u64
    far_hi: u64  # TAKE: the other side
    far_lo: u64
    number: u64  # comes back in the Answer


class Answer(View, align=8, size=16):
    """What became of a Claim."""

    number: u64
    error: u32  # errno: EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOSPC ...; 0: done
    unused: u32
