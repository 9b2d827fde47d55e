"""The secret that sequence numbers of programs come from: made once, private, and another one for each user."""

from __future__ import annotations

import ctypes
import os
from ipaddress import ip_interface
from pathlib import Path

import pytest

from pronghorn.control.direct import DirectLink
from pronghorn.control.numbers import OCTETS, of_user, user_secret
from pronghorn.control.welcome import Grant, welcome
from pronghorn.state.attach import DIRECT_LINK, Welcome


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRONGHORN_RUNTIME_DIR", str(tmp_path / "new"))
    return tmp_path / "new" / "numbers.secret"


def test_it_is_made_once_and_only_its_user_can_read_it(place: Path) -> None:
    made = user_secret()
    assert (len(made), place.stat().st_mode & 0o777) == (OCTETS, 0o600)
    assert user_secret() == made == place.read_bytes()
    assert [path.name for path in place.parent.iterdir()] == [place.name]


@pytest.mark.parametrize("harm", ["short", "seen", "link"])
def test_one_that_is_of_no_use_is_replaced(place: Path, harm: str) -> None:
    before = user_secret()
    if harm == "short":
        place.write_bytes(b"x")
    elif harm == "seen":
        place.chmod(0o644)
    else:
        place.rename(place.with_name("other"))
        place.symlink_to("other")
    made = user_secret()
    assert made not in (before, b"x")
    assert made == user_secret() == place.read_bytes()
    assert place.stat().st_mode & 0o777 == 0o600


def test_without_a_place_it_is_drawn(place: Path) -> None:
    place.parent.parent.joinpath("new").write_text("in the way")
    assert len(user_secret()) == OCTETS
    assert user_secret() != user_secret()


def test_users_have_different_ones() -> None:
    one = of_user(b"k" * OCTETS, 1000)
    assert one == of_user(b"k" * OCTETS, 1000)
    assert len({*one, *of_user(b"k" * OCTETS, 1001), *of_user(b"l" * OCTETS, 1000)}) == 6


def test_a_program_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    grants: list[Grant] = []
    monkeypatch.setattr("pronghorn.control.direct.send_welcome", lambda _, grant: grants.append(grant))
    for _ in range(2):
        DirectLink("again", [ip_interface("10.1.0.1/24")], 1500).close()
    assert grants[0].secret == grants[1].secret == of_user(user_secret(), os.geteuid())
    octets = ctypes.create_string_buffer(welcome(grants[0]), Welcome.SIZE)
    view = Welcome(ctypes.addressof(octets))
    mask = (1 << 64) - 1
    assert (view.secret & mask, view.secret2 & mask) == grants[0].secret
    assert grants[0].flags == DIRECT_LINK
