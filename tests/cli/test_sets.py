"""pronghorn set and pronghorn show sets, beside a daemon over the fake engine."""

from __future__ import annotations

import json

import pytest

from pronghorn.control.client import Client
from tests.cli.conftest import Run
from tests.control.gateways import Daemon


@pytest.fixture
def with_set(daemon: Daemon) -> Daemon:
    Client("edge").send("POST", ("sets", "bad", "flush"), body={})
    return daemon


def test_entries_come_and_go(run: Run, with_set: Daemon) -> None:
    assert run("set", "add", "bad", "10.1.0.0/16", "::/0", "--comment", "a b") == (0, "2 added, 0 were there\n", "")
    code, out, _ = run("set", "list", "bad")
    assert code == 0
    assert out.splitlines() == [
        '10.1.0.0/16 comment "a b"  # 0 packets, 0 octets',
        '::/0 comment "a b"  # 0 packets, 0 octets',
    ]
    assert [entry["entry"] for entry in json.loads(run("set", "list", "bad", "--json")[1])["entries"]] == [
        "10.1.0.0/16",
        "::/0",
    ]
    assert run("set", "test", "bad", "::/0")[0] == 0
    assert run("set", "del", "bad", "::/0", "10.7.0.0/16") == (0, "1 taken out, 1 were not there\n", "")
    assert run("set", "test", "bad", "::/0") == (1, "::/0 is not in bad\n", "")
    assert run("set", "flush", "bad") == (0, "1 taken out\n", "")


def test_what_is_refused_says_why(run: Run, with_set: Daemon) -> None:
    for arguments, sentence in (
        (("set", "add", "bda", "::/0"), 'error: there is no set "bda"; there are: bad\n'),
        (("set", "list", "bda"), 'error: there is no set "bda"; there are: bad\n'),
        (("set", "add", "bad", "10.0.0.1/8"), "error: 10.0.0.1/8 is not a prefix, or has bits set after its length\n"),
        (("set", "add", "bad", "::/0", "::/1", "::/2", "::/3"), "error: set bad has no room\n"),
        (
            ("set", "add", "bad", "::/0", "--timeout", "99999999"),
            "error: ::/0 timeout 99999999 has a timeout that is not 0 to 2147483 seconds\n",
        ),
    ):
        assert run(*arguments) == (1, "", sentence)


def test_sets_are_shown(run: Run, with_set: Daemon) -> None:
    assert run("show", "sets")[1].splitlines()[1].split() == ["bad", "net", "1", "3", "nobody", "0", "0"]
    [found] = json.loads(run("show", "sets", "--json")[1])["sets"]
    assert (found["name"], found["kind"], found["entries"]) == ("bad", "net", 1)
