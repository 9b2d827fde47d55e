"""Play scripts against this project's stack: an embedded engine on a virtual clock, driven as C programs drive it.

`python -m tests.scripts.ours FOLDER-OR-SCRIPT...` prints the mismatches. Nothing is real but the packets: one thread,
no device, and times are exact. What sysctl(8) sets on Linux is set in the tables here.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import select
import sys
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pronghorn.compiled import Array, array_at, u8
from pronghorn.engine import calls
from pronghorn.engine.embedded import RAW_IP, EngineConfiguration, engine_create, engine_destroy
from pronghorn.engine.harness import (
    engine_inject_ip,
    engine_next,
    engine_set_clock,
    engine_take,
    engine_take_time,
    engine_turn,
)
from pronghorn.engine.network import engine_address4, engine_address6, engine_route4, engine_route6
from pronghorn.net.state import MAPPED
from pronghorn.state.endpoints import (
    ENDED,
    FAILED,
    HUNG_UP,
    READABLE,
    STREAM,
    URGENT,
    WRITABLE,
    Address,
    endpoints_of,
    socket_number,
)
from pronghorn.state.port import CHECKSUM_RX, CHECKSUM_TX, SEGMENTATION
from pronghorn.tcp.tcb import Tcp, tcp_of
from tests.scripts.dialect import Script, ScriptError, load, scripts
from tests.scripts.octets import Packet, read_segment, write_segment
from tests.scripts.player import LOCAL_PORT, REMOTE_PORT, Mismatch, Player

SECOND = 1_000_000_000
START = 1000 * SECOND
ISN_CLOCK = 6
"""Initial sequence numbers count in units of 2**6 ns (tcp/secrets.py)."""
FIN_PSH = 9
"""Flags that only the last piece of an unsegmented packet has."""
TURNS = 200
"""Turns at one moment at most: an engine that always has more to do stands still."""
ROOM = 1 << 17
CONTROLS = ("reno", "cubic", "bbr")
"""By the number that tcp/congestion has for them."""
ADDRESSES = {4: ("192.0.2.1", "100.64.0.77"), 6: ("2001:db8:1::1", "2001:db8:9::77")}
POLL = {
    READABLE: select.POLLIN,
    WRITABLE: select.POLLOUT,
    ENDED: select.POLLRDHUP,
    HUNG_UP: select.POLLHUP,
    FAILED: select.POLLERR,
    URGENT: select.POLLPRI,
}
ALWAYS = select.POLLERR | select.POLLHUP


def _tuning(field: str) -> Callable[[Tcp, int], None]:
    return lambda tcp, value: setattr(tcp.tunings[0], field, value)


def _root(field: str) -> Callable[[Tcp, int], None]:
    return lambda tcp, value: setattr(tcp, field, value)


SYSCTLS: dict[str, Callable[[Tcp, int], None]] = {
    "tcp_ecn": _root("ecn"),
    "tcp_syncookies": _root("syncookies"),
    "tcp_fastopen": _root("fast_open"),
    "tcp_retries2": _tuning("retries"),
    "tcp_fin_timeout": _tuning("fin_timeout"),
    "tcp_tw_reuse": _root("time_wait_reuse"),
    "tcp_timestamps": _root("timestamps"),
    "tcp_mtu_probing": _root("mtu_probing"),
    "tcp_sack": _root("sack"),
    "tcp_window_scaling": _root("window_scaling"),
    "tcp_syn_linear_timeouts": lambda tcp, value: None,  # 0 is all there is
}
"""net.ipv4.NAME: what it sets."""


class Ours:
    """An engine of one worker and one port. Follows player.Host."""

    name = "ours"
    slack = 0.0
    shifted = 0.0

    def __init__(self, script: Script, later: int = 0, whole: bool = False) -> None:
        """The engine's clock begins `later` ns after START. `whole`: its port takes unsegmented, unchecked packets."""
        self.whole = whole
        self.family = script.family
        self.local, self.remote = ADDRESSES[self.family]
        self.packets: deque[tuple[float, bytes]] = deque()
        self._memory = ctypes.create_string_buffer(ROOM + 4096)
        start = (ctypes.addressof(self._memory) + 63) & -64
        configuration = EngineConfiguration(start)
        configuration.seed, configuration.start, configuration.flags = 7, START + later, RAW_IP
        configuration.mtu = script.mtu
        configuration.offloads = SEGMENTATION | CHECKSUM_TX | CHECKSUM_RX if whole else 0
        self.worker = engine_create(configuration)
        if self.worker.address == 0:
            raise RuntimeError(f"no engine: error {configuration.error}, field {configuration.wrong}")
        self._names = start + 1024
        self._data: Array[u8] = array_at(u8, start + 4096)
        for text, length, own, route in (
            (ADDRESSES[4][0], 24, engine_address4, engine_route4),
            (ADDRESSES[6][0], 64, engine_address6, engine_route6),
        ):
            packed = ip_address(text).packed
            own(self.worker, 0, self._octets(packed), length)
            route(self.worker, 0, self._octets(bytes(len(packed))), 0, array_at(u8, 0))
        self._settings(script)
        self.start = self.now_ns = START + later
        self.advance(2.0, False)  # announcements
        self.packets.clear()
        self.start = self.now_ns

    def _settings(self, script: Script) -> None:
        tcp = tcp_of(self.worker)
        tcp.congestion = tcp.tunings[0].congestion = 0  # NewReno
        for name, value in script.sysctls.items():
            short = name.rsplit(".", 1)[1]
            if short == "tcp_congestion_control":
                tcp.congestion = tcp.tunings[0].congestion = CONTROLS.index(value)
                continue
            if short not in SYSCTLS:
                raise ValueError(f"{script.path}: no way to set {name}")
            SYSCTLS[short](tcp, int(value, 0))

    def close_engine(self) -> None:
        engine_destroy(self.worker)

    # --- time and packets ---------------------------------------------------------------------------------------------

    def now(self) -> float:
        return (self.now_ns - self.start) / SECOND

    def lateness(self, delay: float) -> float:
        return 0.0

    def shift(self, seconds: float) -> None:
        raise AssertionError("virtual time is never late")

    def advance(self, until: float, until_packet: bool) -> None:
        end = self.start + round(until * SECOND)
        while not (until_packet and self.packets):
            due = engine_next(self.worker)
            if due < 0 or due > end:
                self.now_ns = max(self.now_ns, end)
                engine_set_clock(self.worker, self.now_ns)
                return
            self.now_ns = max(due, self.now_ns)
            self._turns()

    def _turns(self) -> None:
        """Turns at this moment until nothing is due any more."""
        for _ in range(TURNS):
            work = engine_turn(self.worker, self.now_ns)
            self._take()
            if work == 0:
                if 0 <= self.worker.due <= self.now_ns:
                    self.worker.due = self.now_ns + 1
                return
        raise RuntimeError("an engine that never comes to rest")

    def _take(self) -> None:
        while (at := engine_take_time(self.worker, 0)) >= 0:
            octets = engine_take(self.worker, 0, self._data, ROOM)
            if octets <= 0:
                return
            data = ctypes.string_at(self._data.address, octets)
            if data[9 if data[0] >> 4 == 4 else 6] == 6:
                when = (max(at, self.now_ns) - self.start) / SECOND
                self.packets.extend((when, piece) for piece in (self._cut(data) if self.whole else [data]))

    def _cut(self, data: bytes) -> list[bytes]:
        """What the port would make of an unsegmented packet."""
        packet, tcp = read_segment(data, summed=False), tcp_of(self.worker)
        assert packet is not None
        octets = len(packet.payload)
        tcbs = [tcp.tcbs[number] for number in range(tcp.fresh)]
        sizes = [tcb.mss for tcb in tcbs if tcb.state and tcb.remote_port == packet.destination_port]
        size = min([*sizes, octets]) or 1
        pieces = []
        for start in range(0, max(octets, 1), size):
            flags = packet.flags if start + size >= octets else packet.flags & ~FIN_PSH
            piece = packet.payload[start : start + size]
            pieces.append(write_segment(replace(packet, seq=(packet.seq + start) % 2**32, flags=flags, payload=piece)))
        return pieces

    def inject(self, packet: bytes) -> None:
        assert engine_inject_ip(self.worker, 0, self._octets(packet), len(packet), self.now_ns) == 1
        self._turns()

    # --- calls --------------------------------------------------------------------------------------------------------

    def socket(self) -> int:
        return calls.socket(self.worker, self.family, STREAM)

    def bind(self, handle: int, port: int) -> int:
        return calls.bind(self.worker, handle, self._address(self.local, port))

    def listen(self, handle: int, backlog: int) -> int:
        return calls.listen(self.worker, handle, backlog)

    def accept(self, handle: int) -> int:
        return self._done(calls.accept(self.worker, handle, self._address(self.remote, 0)))

    def connect(self, handle: int, port: int) -> int:
        return self._done(calls.connect(self.worker, handle, self._address(self.remote, port)))

    def send(self, handle: int, data: bytes, flags: int) -> int:
        return self._done(calls.send(self.worker, handle, self._octets(data).address, len(data), flags))

    def send_to(self, handle: int, data: bytes, flags: int, port: int) -> int:
        name, octets = self._address(self.remote, port), self._octets(data)
        return self._done(calls.send_to(self.worker, handle, octets.address, len(data), flags, name))

    def receive(self, handle: int, octets: int, flags: int) -> tuple[int, bytes]:
        got = self._done(calls.receive(self.worker, handle, self._data.address, octets, flags))
        return got, ctypes.string_at(self._data.address, max(got, 0))

    def shutdown(self, handle: int, how: int) -> int:
        return self._done(calls.shutdown(self.worker, handle, how))

    def close(self, handle: int) -> int:
        return self._done(calls.close_socket(self.worker, handle))

    def set_option(self, handle: int, level: int, option: int, value: bytes) -> int:
        address = self._octets(value).address
        return self._done(calls.set_option(self.worker, handle, level, option, address, len(value)))

    def get_option(self, handle: int, level: int, option: int, octets: int) -> tuple[int, bytes]:
        done = calls.get_option(self.worker, handle, level, option, self._data.address, octets)
        data = ctypes.string_at(self._data.address, max(done, 0))
        return self._done(min(done, 0)), data

    def poll(self, handle: int, events: int) -> int:
        endpoints = endpoints_of(self.worker)
        so = endpoints.sockets[socket_number(endpoints, handle)].events
        return sum(theirs for own, theirs in POLL.items() if so & own) & (events | ALWAYS)

    def _done(self, result: int) -> int:
        """What a call has caused goes out in a turn of the same moment."""
        self._keep = ctypes.string_at(self._data.address, max(result, 0)) if 0 < result < ROOM else b""
        self._turns()
        ctypes.memmove(self._data.address, self._keep, len(self._keep))
        return result

    def _octets(self, content: bytes) -> Array[Any]:
        ctypes.memmove(self._data.address, content, len(content))
        return self._data

    def _address(self, text: str, port: int) -> Address:
        address, ip = Address(self._names), ip_address(text)
        number = int(ip) if ip.version == 6 else MAPPED | int(ip)
        address.hi, address.lo = number >> 64, number & 0xFFFF_FFFF_FFFF_FFFF
        address.port, address.family, address.interface = port, ip.version, 0
        return address


@functools.cache
def usual_isn(family: int) -> int:
    """The initial sequence number with which a listener answers flow 1 at the start of a script."""
    script = Script(Path(), family)
    host = Ours(script)
    listener = host.socket()
    host.bind(listener, LOCAL_PORT)
    host.listen(listener, 1)
    syn = Packet(host.remote, host.local, REMOTE_PORT + 1, LOCAL_PORT, 0, 0, 2, 1000, 0, (), b"", 0)
    host.inject(write_segment(syn))
    answer = read_segment(host.packets[0][1])
    host.close_engine()
    assert answer is not None
    return answer.seq


def start_before(family: int, octets: int) -> int:
    """How much later (ns) the clock must begin so that sequence numbers wrap so many octets after the first."""
    return (-octets - usual_isn(family)) % 2**32 << ISN_CLOCK


def play_one(path: Path, family: int, wrap: int = 0, whole: bool = False) -> str:
    """Empty, or what was wrong. With `wrap` both sides' sequence numbers go past 2**32 after about so many octets; with
    `whole` segmentation is left to the port."""
    try:
        script = load(path, family)
        if script.only == "linux":
            return ""
        if wrap and script.remote_isn == Script.remote_isn:
            script.remote_isn = 2**32 - wrap
        host = Ours(script, start_before(family, wrap) if wrap else 0, whole)
        try:
            Player(script, host).play()
        finally:
            host.close_engine()
    except (Mismatch, ScriptError) as why:
        return str(why)
    except Exception as why:
        where = traceback.extract_tb(why.__traceback__)[-1]
        return f"{path} (IPv{family}, ours): {type(why).__name__}: {why} ({where.filename}:{where.lineno})"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Play packet scripts against the engine.")
    parser.add_argument("paths", nargs="*", type=Path, default=[Path(__file__).parent])
    parser.add_argument("--family", type=int, choices=(4, 6))
    asked = parser.parse_args()
    runs = wrong = 0
    for path in (path for folder in asked.paths for path in scripts(folder)):
        for family in load(path).families:
            if asked.family in (None, family):
                runs += 1
                if said := play_one(path, family):
                    wrong += 1
                    print(said, end="\n\n")
    print(f"{runs} runs, {wrong} of them do not fit")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
