"""What programs claim at a gateway, by the family of their sockets and of what these are bound to, like bind(2)."""

from __future__ import annotations

import errno
import sys

import pytest

from pronghorn.compiled import mode
from tests.preload.link import finish, say
from tests.preload.test_fork import Programs, programs, running

__all__ = ["programs", "running"]

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")

FOUR, SIX, MAPPED = "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"

BOUND = """
import json, socket, sys
def bound(address, port, only, kind):
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    if only:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind((address, port))
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made
address, port, only, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "only", socket.SocketKind[sys.argv[4]]
"""

HOLDS = f"""{BOUND}
held = bound(address, port, only, kind)
print(json.dumps("bound"), flush=True)
sys.stdin.readline()
held.close()
print(json.dumps("closed"), flush=True)
sys.stdin.readline()
"""

TRIES = f"""{BOUND}
for other in sys.argv[5:]:
    try:
        bound(other.removesuffix("/only"), port, other.endswith("/only"), kind).close()
        print(0)
    except OSError as error:
        print(error.errno)
"""

HEARS = f"""{BOUND}
server = bound(address, port, only, kind)
print(json.dumps("bound"), flush=True)
for _ in range(int(sys.argv[5])):
    with server.accept()[0] as taken:
        taken.sendall(taken.recv(100))
"""

ASKS = """
import socket, sys
for address in sys.argv[2:]:
    with socket.create_connection((address, int(sys.argv[1])), 10) as stream:
        stream.sendall(address.encode())
        assert stream.recv(100) == address.encode()
"""

NAMES = (FOUR, SIX, MAPPED, "0.0.0.0", "::", "::/only")
MEETS = {  # who is bound, and with whom it collides
    FOUR: (FOUR, MAPPED, "0.0.0.0", "::"),
    SIX: (SIX, "::", "::/only"),
    MAPPED: (FOUR, MAPPED, "0.0.0.0", "::"),
    "::": NAMES,
    "::/only": (SIX, "::", "::/only"),
}


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
@pytest.mark.parametrize(("place", "name"), list(enumerate(MEETS)), ids=[name.replace("/", "-") for name in MEETS])
def test_two_programs_collide_where_a_packet_would_be_for_both(
    programs: Programs, place: int, name: str, kind: str
) -> None:
    words = (name.removesuffix("/only"), str(7410 + place), "only" if "/" in name else "", kind)
    holder = programs.start(sys.executable, "-c", HOLDS, *words)
    assert say(holder) == "bound"
    for expected in (MEETS[name], ()):  # and none once it has closed, while it goes on
        status, out, err = finish(programs.start(sys.executable, "-c", TRIES, *words, *NAMES))
        assert status == 0, err
        assert out.split() == [str(errno.EADDRINUSE if other in expected else 0) for other in NAMES]
        if expected:
            assert holder.stdin is not None
            holder.stdin.write("\n")
            holder.stdin.flush()
            assert say(holder) == "closed"


@pytest.mark.parametrize(
    ("port", "name", "from_where"),
    [(7420, SIX, [SIX]), (7421, MAPPED, [FOUR]), (7422, "::", [FOUR, SIX]), (7423, "::/only", [SIX])],
)
def test_who_has_claimed_is_reached(programs: Programs, port: int, name: str, from_where: list[str]) -> None:
    words = (name.removesuffix("/only"), str(port), "only" if "/" in name else "", "SOCK_STREAM")
    server = programs.start(sys.executable, "-c", HEARS, *words, str(len(from_where)))
    assert say(server) == "bound"
    status, _, err = finish(programs.start(sys.executable, "-c", ASKS, str(port), *from_where))
    assert status == 0, err
    assert finish(server)[0] == 0
