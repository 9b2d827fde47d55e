"""What programs get from a gateway, what they may claim, and that nothing is left of them. Over a fake data plane."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from ipaddress import ip_interface
from typing import Any

import pytest

from pronghorn.control import keeper as keeping
from pronghorn.control.keeper import CLAIMS_EACH, Attached, Keeper, Refused, Violation
from pronghorn.control.lanes import SEALS
from pronghorn.control.load import parse
from pronghorn.control.model import ADDRESSES, Config
from pronghorn.control.who import Peer, is_listed
from pronghorn.state import attach
from pronghorn.state.attach import (
    CLAIM_BIND,
    CLAIM_CLOSE,
    CLAIM_LISTEN,
    CLAIM_TAKE,
    CLAIMS,
    MAGIC,
    REUSE,
    SHARED,
    SHARED_ADDRESSES,
    VERSION,
    Claim,
    Hello,
)
from tests.control.fake_programs import FakePrograms
from tests.engine.links import halves

OWNED = [(ip_interface("10.0.0.1/24"), 1500), (ip_interface("fe80::1/64"), 1500), (ip_interface("fd00::1/64"), 1400)]
STRANGER = 4321


class Stage:
    """A keeper, and records that stay where they are."""

    def __init__(self, **programs: Any) -> None:
        self.plane = FakePrograms()
        port = {"name": "a", "device": "null:", "addresses": ["10.0.0.1/24", "10.0.0.2/32", "fd00::1/64"]}
        self.data: dict[str, Any] = {"ports": [port], "programs": {"enabled": True, **programs}}
        self.data["balancer"] = {"local_addresses": ["10.0.0.2"]}
        service = {"name": "web", "address": "10.0.0.1:8080", "servers": [{"address": "10.0.0.9:80"}]}
        self.data["services"] = [service]
        self.became: dict[int, int] = {}  # users, by process
        self.keeper = Keeper(self.plane, self.config, lambda: OWNED, judge=self.judge)
        self._kept: list[Any] = []

    def config(self) -> Config:
        return parse(self.data)

    def judge(self, pid: int, said: int) -> int:
        return self.became.get(pid, said)

    def view(self, kind: Any) -> Any:
        self._kept.append(ctypes.create_string_buffer(kind.SIZE))
        return kind(ctypes.addressof(self._kept[-1]))

    def hello(self, parent: int = 0, name: bytes = b"redis-server", **fields: int) -> Hello:
        made: Hello = self.view(Hello)
        made.magic, made.version, made.parent = MAGIC, VERSION, parent
        for place, octet in enumerate(name[:32]):
            made.name[place] = octet
        for field, value in fields.items():
            setattr(made, field, value)
        return made

    def attach(self, pid: int = 1_000_000, user: int = 0, parent: int = 0) -> Attached:
        peer = Peer(pid, user, frozenset((user,)))
        return self.keeper.attach(peer, self.hello(parent))[0]

    def claim(self, program: Attached, port: int, kind: int = CLAIM_LISTEN, address: str = "", **fields: int) -> int:
        made: Claim = self.view(Claim)
        made.kind, made.protocol, made.family, made.port = kind, 6, 10, port
        if address:
            made.hi, made.lo, made.family = halves(address)
        for field, value in fields.items():
            setattr(made, field, value)
        return self.keeper.claim(program, made)


@pytest.fixture
def stage() -> Iterator[Stage]:
    before = len(os.listdir("/proc/self/fd"))
    made = Stage()
    yield made
    made.keeper.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert made.plane.programs == {}


def test_a_program_gets_a_sealed_link_addresses_and_ports(stage: Stage) -> None:
    first, grant = stage.keeper.attach(Peer(7, 0, frozenset()), stage.hello(name=b"redis\x1b[31m" + b"x" * 40))
    assert (grant.end, grant.flags, grant.mtu, len(grant.pipes)) == (1, CLAIMS | SHARED_ADDRESSES, 1400, 2)
    assert [str(own) for own in grant.addresses] == ["10.0.0.1/24", "fd00::1/64"]  # no link-local, no full NAT's
    assert grant.ports == (16384, 16639)
    assert stage.attach(8).ports == (16640, 16895)
    assert stage.attach(8).ports == (16896, 17151)
    first_again, grant_again = stage.keeper.attach(Peer(9, 0, frozenset()), stage.hello())
    assert grant.secret == grant_again.secret != (0, 0)
    stage.keeper.detach(first_again)
    assert stage.attach(10).ports == (17408, 17663)  # those that were free for longer
    assert first.name.startswith("redis?[31m")
    assert len(first.name) <= 32
    assert fcntl.fcntl(grant.memory, fcntl.F_GET_SEALS) == SEALS
    for change in (0, stage.plane.octets - 1, stage.plane.octets + 1):
        with pytest.raises(PermissionError):
            os.ftruncate(grant.memory, change)
    with pytest.raises(PermissionError):
        fcntl.fcntl(grant.memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    for pipe in grant.pipes:
        os.write(pipe, b"x")
    assert [os.read(pipe, 9) for pipe in first.lanes.ours] == [b"x", b"x"]
    os.write(first.lanes.theirs[1], b"y")
    assert os.read(grant.pipe, 9) == b"y"
    assert all(os.get_inheritable(one) is False for one in grant.descriptors())
    first.lanes.shared()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(grant.memory)


def test_chosen_addresses_and_what_is_used_up() -> None:
    stage = Stage(addresses=["fd00::1"], most=2, ports="2000-2009", ports_each=4)
    try:
        first, second = stage.attach(1), stage.attach(2)
        assert [str(own) for own in first.addresses] == ["fd00::1/64"]
        assert (first.ports, second.ports) == ((2000, 2003), (2004, 2007))
        with pytest.raises(Refused, match=r"programs.most") as caught:
            stage.attach(3)
        assert caught.value.error == errno.EUSERS
        stage.keeper.detach(first)
        stage.keeper.detach(first)  # once is enough
        assert stage.attach(3).ports == (2000, 2003)
    finally:
        stage.keeper.close()


def test_blocks_do_not_overlap_when_the_setting_changes() -> None:
    stage = Stage(most=2, ports="2000-2009", ports_each=4)
    try:
        first = stage.attach(1)
        stage.data["programs"] |= {"ports": "2002-2009", "ports_each": 3}
        assert stage.attach(2).ports == (2005, 2007)
        stage.keeper.detach(first)
        assert stage.attach(3).ports == (2002, 2004)
    finally:
        stage.keeper.close()


def test_who_may_attach(stage: Stage) -> None:
    with pytest.raises(Refused, match=r"programs.users") as caught:
        stage.attach(9, user=STRANGER)
    assert caught.value.error == errno.EACCES
    stage.data["programs"]["users"] = ["nobody", str(STRANGER)]
    assert stage.attach(9, user=STRANGER).peer.user == STRANGER
    peer = Peer(1, STRANGER, frozenset((50, 60)))
    assert is_listed(peer, [], ["60"])
    assert is_listed(Peer(1, os.geteuid(), frozenset()), [], [])
    assert not is_listed(peer, ["root", "no-such-user"], ["61", "no-such-group"])


def test_a_hello_of_another_version_or_of_nobody(stage: Stage) -> None:
    with pytest.raises(Violation):
        stage.keeper.attach(Peer(1, 0, frozenset()), stage.hello(magic=1))
    with pytest.raises(Refused, match="version 9") as caught:
        stage.keeper.attach(Peer(1, 0, frozenset()), stage.hello(version=9))
    assert caught.value.error == errno.EPROTONOSUPPORT
    stage.plane.fail = OSError(errno.ENOMEM, "no memory")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Refused, match="no memory"):
        stage.attach()
    assert len(os.listdir("/proc/self/fd")) == before
    stage.plane.fail = None


def test_families_are_what_the_kernel_says(stage: Stage) -> None:
    """This process is the child of its parent, whatever number it gives."""
    parent = stage.attach(os.getppid())
    child = stage.attach(os.getpid(), parent=os.getppid())
    liar = stage.attach(1_000_000, parent=os.getppid())
    assert child.family == parent.family != liar.family
    assert (child.parent, liar.parent) == (os.getppid(), 0)
    assert stage.claim(parent, 80) == 0
    assert stage.claim(child, 80, flags=SHARED) == errno.EADDRINUSE  # the parent does not share
    assert stage.claim(parent, 81, flags=SHARED) == 0
    assert stage.claim(child, 81, flags=SHARED) == 0
    assert stage.claim(liar, 81, flags=SHARED) == errno.EADDRINUSE


def test_a_child_of_another_user_is_no_relative(stage: Stage) -> None:
    stage.data["programs"]["users"] = [str(STRANGER)]
    parent = stage.attach(os.getppid(), user=STRANGER)
    assert stage.attach(os.getpid(), user=0, parent=os.getppid()).family != parent.family


@pytest.mark.parametrize(
    ("port", "fields", "error"),
    [
        (6379, {}, 0),
        (6379, {"address": "10.0.0.1"}, 0),
        (6379, {"address": "fd00::1"}, 0),
        (6379, {"address": "0.0.0.0"}, 0),
        (6379, {"address": "10.0.0.2"}, errno.EADDRNOTAVAIL),  # the gateway's, not the programs'
        (6379, {"address": "::1"}, errno.EADDRNOTAVAIL),
        (0, {}, errno.EINVAL),
        (8080, {}, errno.EADDRINUSE),  # a balanced service's
        (8080, {"address": "10.0.0.1"}, errno.EADDRINUSE),
        (8080, {"address": "fd00::1"}, 0),
        (8080, {"protocol": 17}, 0),
        (53, {"kind": CLAIM_BIND, "protocol": 17}, 0),
    ],
)
def test_claims(stage: Stage, port: int, fields: dict[str, Any], error: int) -> None:
    assert stage.claim(stage.attach(), port, **fields) == error


@pytest.mark.parametrize(
    "fields", [{"kind": 0}, {"kind": 5}, {"flags": 4}, {"protocol": 1}, {"family": 5}, {"family": 0}]
)
def test_claims_that_cannot_be_true(stage: Stage, fields: dict[str, Any]) -> None:
    with pytest.raises(Violation):
        stage.claim(stage.attach(), 6379, **fields)


def test_ports_of_the_privileged(stage: Stage) -> None:
    stage.data["programs"]["users"] = [str(STRANGER)]
    program = stage.attach(5, user=STRANGER)
    assert stage.claim(program, 1023) == errno.EACCES
    assert stage.claim(program, 1024) == 0
    stage.data["programs"]["privileged_ports"] = True
    assert stage.claim(program, 1023) == 0
    assert stage.claim(stage.attach(6), 1022) == 0  # root's


def test_who_gives_root_up_has_its_ports_and_no_more(stage: Stage) -> None:
    """As with bind(2); and what others of its former user share with each other is not its any more."""
    program = stage.attach(5)
    assert stage.claim(program, 80) == 0
    stage.became[5] = STRANGER
    assert stage.claim(program, 81) == errno.EACCES
    assert stage.claim(program, 80, CLAIM_CLOSE) == 0
    assert stage.claim(program, 80, flags=SHARED) == errno.EACCES, "its own, not inherited"
    assert stage.claim(program, 1024) == 0
    assert stage.plane.users == {program.number: STRANGER}
    assert [view.user for view in stage.keeper.views()] == [str(STRANGER)]
    stage.became[5] = 0
    assert stage.claim(program, 2000, flags=REUSE) == 0
    assert stage.plane.users == {program.number: 0}
    assert stage.claim(program, 81) == 0


def test_what_the_message_says_counts_where_nothing_else_is_known(stage: Stage) -> None:
    """Of a process of another namespace."""
    program, claim = stage.attach(0), stage.view(Claim)
    claim.kind, claim.protocol, claim.family, claim.port = CLAIM_LISTEN, 6, 10, 80
    assert stage.keeper.claim(program, claim, STRANGER) == errno.EACCES
    assert stage.keeper.claim(program, claim, 0) == 0


def test_a_child_that_gives_root_up_serves_what_it_inherited(stage: Stage) -> None:
    parent = stage.attach(os.getppid())
    assert stage.claim(parent, 80, flags=SHARED) == 0
    child = stage.attach(os.getpid(), parent=os.getppid())
    assert stage.claim(parent, 81, flags=SHARED) == 0
    stage.became[os.getpid()] = STRANGER
    assert stage.claim(child, 80) == errno.EACCES, "not as an heir"
    assert stage.claim(child, 80, flags=SHARED) == 0
    assert stage.claim(child, 80, flags=SHARED, protocol=17) == errno.EACCES
    assert stage.claim(child, 81, flags=SHARED) == errno.EACCES, "opened after it was forked"


def test_a_daemon_serves_what_its_parent_has_left(stage: Stage) -> None:
    parent = stage.attach(os.getppid())
    assert stage.claim(parent, 80, flags=SHARED) == 0
    stage.keeper.detach(parent)
    child = stage.attach(os.getpid(), parent=os.getppid())
    stage.became[os.getpid()] = STRANGER
    assert stage.claim(child, 80, flags=SHARED) == 0


def test_children_of_who_gave_root_up_are_relatives(stage: Stage) -> None:
    stage.data["programs"]["users"] = [str(STRANGER)]
    parent = stage.attach(os.getppid())
    assert stage.attach(os.getpid(), STRANGER, os.getppid()).family != parent.family
    stage.became[os.getppid()] = STRANGER
    assert stage.attach(os.getpid(), STRANGER, os.getppid()).family == parent.family
    assert stage.attach(os.getpid(), 0, os.getppid()).family == parent.family, "forked before"


def test_a_port_of_a_dead_process_is_free(stage: Stage) -> None:
    """Who has died and was not noticed yet is not in the way of its successor."""
    old, new = stage.attach(5), stage.attach(6)
    assert stage.claim(old, 6379) == 0
    assert stage.claim(new, 6379) == errno.EADDRINUSE
    stage.keeper.reap = lambda: stage.keeper.detach(old)
    assert stage.claim(new, 6379) == 0


def test_claims_are_counted_and_given_back(stage: Stage) -> None:
    program = stage.attach()
    for port in range(2000, 2000 + CLAIMS_EACH):
        assert stage.claim(program, port) == 0
    assert stage.claim(program, 9000) == errno.ENOSPC
    assert stage.claim(stage.attach(6), 9000) == 0
    assert stage.claim(program, 2000, CLAIM_CLOSE) == 0
    assert stage.claim(program, 2000, CLAIM_CLOSE) == errno.ENOENT
    assert stage.claim(program, 2000) == 0
    assert stage.claim(program, 9001, CLAIM_TAKE) == 0  # connections have their own limit


def test_what_the_kernel_has_is_not_to_be_had(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "kernel_has", lambda protocol, address, port: (protocol, str(address), port) == HELD)
    program = stage.attach()
    assert stage.claim(program, 7000) == errno.EADDRINUSE
    assert stage.claim(program, 7000, address="10.0.0.1") == 0


HELD = (6, "fd00::1", 7000)


def test_programs_are_shown(stage: Stage) -> None:
    program = stage.attach(77)
    stage.claim(program, 6379)
    (view,) = stage.keeper.views()
    assert (view.name, view.pid, view.user, view.claims, view.ports) == (
        "redis-server",
        77,
        "root",
        ("tcp *:6379",),
        "16384-16639",
    )
    assert (view.dropped, view.drops, view.linked) == (3, {"CLAIM_MISSING": 3}, True)


def test_the_model_knows_how_many_addresses_a_welcome_names() -> None:
    assert ADDRESSES == attach.ADDRESSES
