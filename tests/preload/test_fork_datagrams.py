"""Datagrams that wait while a process forks: who reads one takes it, as with the kernel's sockets."""

from __future__ import annotations

import json
import subprocess

import pytest

from pronghorn.compiled import mode
from tests.preload.link import finish
from tests.preload.test_calls import script
from tests.preload.test_fork import Programs, programs, running

__all__ = ["programs", "running"]

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")


@pytest.mark.parametrize(("address", "loopback"), [("192.0.2.1", "127.0.0.1"), ("2001:db8::1", "::1")])
def test_whoever_reads_a_datagram_takes_it(programs: Programs, address: str, loopback: str) -> None:
    """Each process says the same with our sockets as with the kernel's."""
    kernels = subprocess.run(script("fork_datagrams", loopback), capture_output=True, text=True, timeout=20, check=True)
    status, out, err = finish(programs.start(*script("fork_datagrams", address)))
    assert status == 0, err
    assert json.loads(out) == json.loads(kernels.stdout.replace(loopback, address))
    assert "66666" in out
