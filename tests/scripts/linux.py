"""Play scripts against the kernel: every script in a process and a network namespace of its own, many at a time.

`python -m tests.scripts.linux FOLDER-OR-SCRIPT...` prints the mismatches. Needs the right to make network namespaces:
root, or `unshare --user --map-root-user` in front. A namespace ends with the process that lives in it, and that one
with its parent. The device is a TUN, whose other side is the player; time is real, so tolerances are wider.

A script whose run does not fit is played again alone, because the machine may just have been busy.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from tests.scripts.dialect import Script, ScriptError, load, scripts
from tests.scripts.player import Mismatch, Player

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
ADDRESSES = {4: ("192.0.2.1", "100.64.0.77"), 6: ("2001:db8:1::1", "2001:db8:9::77")}
"""By family: local and remote, as tests/support/feed.py has them."""
SLACK = 0.025  # s: timers of the kernel tick every 1 to 10 ms, and the player is woken late
WHEEL = ((0.24, 0.004), (2.0, 0.036), (16.0, 0.26), (130.0, 2.1), (1e9, 17.0))
"""Delay in s, and how much later than asked for such a timer may expire, at 250 ticks a second."""
AT_ONCE = 24
INET6, TENTATIVE = Path("/proc/net/if_inet6"), 0x40
LINKS = """link set lo up
link set tun0 mtu {mtu} up
addr add 192.0.2.1/24 dev tun0
addr add 2001:db8:1::1/64 dev tun0 nodad
route add 0.0.0.0/0 dev tun0
route add ::/0 dev tun0
"""
SYSCTLS = {
    "net.ipv4.tcp_no_metrics_save": "1",  # a connection learns nothing from one before it
    "net.ipv4.tcp_congestion_control": "reno",
    "net.ipv4.tcp_rmem": "4096 131072 6291456",  # so that the window scale is 7
    "net.ipv4.tcp_wmem": "4096 16384 4194304",
    "net.ipv4.icmp_ratelimit": "0",
}


class Linux:
    """The kernel, in the namespace of this process. Follows player.Host."""

    name = "linux"
    slack = SLACK

    def __init__(self, script: Script) -> None:
        self.family = script.family
        self.local, self.remote = ADDRESSES[self.family]
        self.packets: deque[tuple[float, bytes]] = deque()
        self.sockets: dict[int, socket.socket] = {}
        self.start, self.shifted = time.monotonic(), 0.0
        self.tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.tun, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
        for name, value in (SYSCTLS | script.sysctls).items():
            Path("/proc/sys", name.replace(".", "/")).write_text(value)
        links = LINKS.format(mtu=script.mtu)
        subprocess.run(["ip", "-batch", "-"], input=links, text=True, check=True, stderr=subprocess.STDOUT)
        while any(int(line.split()[4], 16) & TENTATIVE for line in INET6.read_text().splitlines()):
            time.sleep(0.002)
        with contextlib.suppress(PermissionError):  # be woken in time on a busy machine
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        self.poller = select.poll()
        self.poller.register(self.tun, select.POLLIN)
        self.start = time.monotonic()

    def now(self) -> float:
        return time.monotonic() - self.start

    def shift(self, seconds: float) -> None:
        """What follows is so much later."""
        self.start += seconds
        self.shifted += seconds

    def lateness(self, delay: float) -> float:
        """The kernel's timer wheel is coarser the farther away a timer is (kernel/time/timer.c)."""
        return next((late for limit, late in WHEEL if delay < limit), 0.0)

    def advance(self, until: float, until_packet: bool) -> None:
        while True:
            self._read()
            left = until - self.now()
            if until_packet and self.packets:
                return
            if left <= 0:
                if not until_packet:  # woken late: everything from here on is later
                    self.shift(-left)
                return
            if left > 0.002:
                self.poller.poll((left - 0.001) * 1000)
            else:
                time.sleep(0.0001)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data = os.read(self.tun, 1 << 16)
                if self._ours(data):
                    self.packets.append((self.now(), data))

    def _ours(self, data: bytes) -> bool:
        """Not the kernel's multicast reports and solicitations."""
        if data[0] >> 4 == 4:
            return data[9] == 6
        return data[6] == 6

    def inject(self, packet: bytes) -> None:
        os.write(self.tun, packet)
        self._read()

    def socket(self) -> int:
        own = socket.socket(socket.AF_INET if self.family == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        own.setblocking(False)
        self.sockets[own.fileno()] = own
        return own.fileno()

    def bind(self, handle: int, port: int) -> int:
        return self._try(lambda: self.sockets[handle].bind((self.local, port)))

    def listen(self, handle: int, backlog: int) -> int:
        return self._try(lambda: self.sockets[handle].listen(backlog))

    def accept(self, handle: int) -> int:
        try:
            own, _ = self.sockets[handle].accept()
        except OSError as why:
            return -(why.errno or errno.EIO)
        own.setblocking(False)
        self.sockets[own.fileno()] = own
        return own.fileno()

    def connect(self, handle: int, port: int) -> int:
        return -self.sockets[handle].connect_ex((self.remote, port))

    def send(self, handle: int, data: bytes, flags: int) -> int:
        return self._try(lambda: self.sockets[handle].send(data, flags | socket.MSG_NOSIGNAL))

    def send_to(self, handle: int, data: bytes, flags: int, port: int) -> int:
        return self._try(lambda: self.sockets[handle].sendto(data, flags | socket.MSG_NOSIGNAL, (self.remote, port)))

    def receive(self, handle: int, octets: int, flags: int) -> tuple[int, bytes]:
        try:
            data = self.sockets[handle].recv(octets, flags)
        except OSError as why:
            return -(why.errno or errno.EIO), b""
        return len(data), data

    def shutdown(self, handle: int, how: int) -> int:
        return self._try(lambda: self.sockets[handle].shutdown(how))

    def close(self, handle: int) -> int:
        return self._try(self.sockets.pop(handle).close)

    def set_option(self, handle: int, level: int, option: int, value: bytes) -> int:
        return self._try(lambda: self.sockets[handle].setsockopt(level, option, value))

    def get_option(self, handle: int, level: int, option: int, octets: int) -> tuple[int, bytes]:
        try:
            return 0, self.sockets[handle].getsockopt(level, option, octets)
        except OSError as why:
            return -(why.errno or errno.EIO), b""

    def poll(self, handle: int, events: int) -> int:
        poller = select.poll()
        poller.register(handle, events)
        found = poller.poll(0)
        return found[0][1] if found else 0

    def _try(self, call: object) -> int:
        try:
            result = call()  # type: ignore[operator]
        except OSError as why:
            return -(why.errno or errno.EIO)
        self._read()
        return result or 0


def play_one(path: Path, family: int) -> str:
    """Play in a namespace of this process' own; empty, or what was wrong."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if libc.unshare(CLONE_NEWNET):
        return f"{path}: no network namespace: {os.strerror(ctypes.get_errno())}"
    try:
        script = load(path, family)
        Player(script, Linux(script)).play()
    except (Mismatch, ValueError, OSError, subprocess.CalledProcessError) as why:
        return str(why) or repr(why)
    except Exception as why:
        return f"{path} (IPv{family}): {why!r}"
    return ""


def _start(path: Path, family: int) -> tuple[int, int]:
    """A child that plays: its pid and the pipe it answers on."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        said = play_one(path, family)
        os.write(writer, said.encode()[:60000])
        os._exit(0)
    os.close(writer)
    return pid, reader


def play_all(work: list[tuple[Path, int]], at_once: int) -> Iterator[tuple[Path, int, str]]:
    """Play every (script, family); what each said, as they end."""
    waiting = list(reversed(work))
    running: dict[int, tuple[int, Path, int, list[bytes]]] = {}
    poller = select.poll()
    while waiting or running:
        while waiting and len(running) < at_once:
            path, family = waiting.pop()
            pid, reader = _start(path, family)
            running[reader] = (pid, path, family, [])
            poller.register(reader, select.POLLIN)
        for reader, _ in poller.poll():
            pid, path, family, said = running[reader]
            if data := os.read(reader, 1 << 16):
                said.append(data)
                continue
            poller.unregister(reader)
            os.close(reader)
            os.waitpid(pid, 0)
            del running[reader]
            yield path, family, b"".join(said).decode()


def main() -> int:
    parser = argparse.ArgumentParser(description="Play packet scripts against Linux.")
    parser.add_argument("paths", nargs="*", type=Path, default=[Path(__file__).parent])
    parser.add_argument("--slow", action="store_true", help="also the scripts that take long")
    parser.add_argument("--family", type=int, choices=(4, 6))
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    parser.add_argument("--json", action="store_true", help="for programs: [path, family, what was wrong]")
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    work: list[tuple[Path, int]] = []
    for path in (path for folder in asked.paths for path in scripts(folder)):
        try:
            script = load(path)
        except ScriptError as why:
            print(why, end="\n\n")
            continue
        if (asked.slow or not script.slow) and script.only != "ours":
            work += [(path, family) for family in script.families if asked.family in (None, family)]
    work.sort(key=lambda one: -sum(event.when.high for event in load(one[0]).events))
    outcome = {(path, family): said for path, family, said in play_all(work, asked.at_once)}
    again = [one for one, said in outcome.items() if said]
    if len(again) <= len(work) // 4 + 1:
        outcome |= {(path, family): said for path, family, said in play_all(again, 2)}
    if asked.json:
        print(json.dumps([[str(path), family, said] for (path, family), said in outcome.items()]))
    else:
        print("".join(f"{said}\n\n" for said in outcome.values() if said), end="")
        print(f"{len(work)} runs, {sum(bool(said) for said in outcome.values())} of them do not fit")
    return 1 if any(outcome.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
