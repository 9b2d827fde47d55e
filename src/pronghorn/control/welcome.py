"""What a keeper says to a program that attaches: a Welcome with its descriptors, or an errno (state/attach.py).

A message of a Unix socket carries at most 253 descriptors (SCM_MAX_FD of the kernel), and those on their way count
against the sender's RLIMIT_NOFILE; a Welcome brings at most 66. The receiver gets duplicates: the keeper goes on owning
its own, and closes them when it likes.
"""

from __future__ import annotations

import ctypes
import ipaddress
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pronghorn.net.state import MAPPED
from pronghorn.state.attach import ADDRESSES, MAGIC, PIPES, VERSION, Own, Welcome

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
AnyAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

LOCAL_PORTS = (32768, 60999)
"""For outgoing connections, where nothing else is said: Linux's ip_local_port_range."""


def draw_session() -> int:
    """A number for an attachment: not 0, and nobody can guess it."""
    return secrets.randbits(61) + 1


@dataclass(frozen=True)
class Grant:
    """What a program gets."""

    end: int  # of the lanes: 0 or 1
    memory: int  # descriptor of the lanes
    pipe: int  # descriptor, to read: wakes the program
    pipes: Sequence[int]  # descriptors, to write: each wakes a queue of the other side
    addresses: Sequence[Interface]
    flags: int
    mtu: int = 1500
    ports: tuple[int, int] = LOCAL_PORTS
    secret: tuple[int, int] = (0, 0)  # Welcome.secret
    session: int = field(default_factory=draw_session)

    def descriptors(self) -> list[int]:
        """In the order of the Welcome."""
        return [self.memory, self.pipe, *self.pipes]


def welcome(grant: Grant) -> bytes:
    """The message for a program that gets a link."""
    assert len(grant.addresses) <= ADDRESSES, "more addresses than a Welcome can name"
    assert 1 <= len(grant.pipes) <= PIPES, "more queues than a Welcome can bring"
    octets, view = _blank()
    view.flags, view.end, view.queues, view.mtu = grant.flags, grant.end, len(grant.pipes), grant.mtu
    view.session = grant.session
    view.secret, view.secret2 = grant.secret
    view.port_low, view.port_high = grant.ports
    view.count = len(grant.addresses)
    for place, interface in enumerate(grant.addresses):
        own: Own = view.addresses[place]
        own.hi, own.lo = halves(interface.ip)
        own.length, own.family = interface.network.prefixlen, interface.version
    return bytes(octets)


def refusal(error: int) -> bytes:
    """The message for a program that gets none; `error` is the errno that says why."""
    octets, view = _blank()
    view.error = error
    return bytes(octets)


def send_welcome(to: socket.socket, grant: Grant) -> None:
    """Send the Welcome with its descriptors. OSError when the socket cannot take them."""
    socket.send_fds(to, [welcome(grant)], grant.descriptors())


def halves(address: AnyAddress) -> tuple[int, int]:
    """Both halves of an address as the data plane has them: IPv4 in the IPv4-mapped block."""
    if address.version == 4:
        return 0, MAPPED | int(address)
    return int(address) >> 64, int(address) & (1 << 64) - 1


def _blank() -> tuple[bytearray, Any]:
    """A Welcome of zeros with its head, and the octets it lies in."""
    octets = bytearray(Welcome.SIZE)
    view = Welcome(ctypes.addressof(ctypes.c_char.from_buffer(octets)))
    view.magic, view.version = MAGIC, VERSION
    return octets, view
