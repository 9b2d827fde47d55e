"""A device behind a simulated wire: its port is crossed with one end, and the other end is the stack's port.

    kernel <-> tap0 (CROSS) <-> wire end (CROSS) ~~~ rate, delay, loss ~~~ wire end (INPUT) <-> stack

On the real clock, so the worker must wake for frames that are due in the wire and nowhere else.
"""

from __future__ import annotations

import ctypes
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address, ip_interface

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether

from pronghorn.compiled import mode
from pronghorn.engine.engine import Engine
from pronghorn.net.configure import add_address, add_interface
from pronghorn.net.configure_routes import add_neighbour
from pronghorn.net.create import create_net
from pronghorn.ports.driver import Driver
from pronghorn.ports.tap_port import TapPort
from pronghorn.ports.wire import wire_inject, wire_take, wire_take_time
from pronghorn.ports.wire_port import WirePort
from pronghorn.state.port import CROSS
from pronghorn.state.worker import Worker
from tests.peers.namespaces import stage
from tests.ports.support import inside
from tests.support.feed import SMALL

MS = 1_000_000
OUTSIDE = "02:00:00:00:00:99"


@contextmanager
def impaired(device: Driver, impairment: str, large: int = 0) -> Iterator[tuple[Engine, WirePort]]:
    """A running engine with 192.0.2.1/24 and 2001:db8::1/64 behind such a wire behind the device."""
    with Engine(1, 512, large) as engine:
        create_net(engine.arena, engine.workers[0], SMALL)
        near, far = WirePort(f"impaired?{impairment}"), WirePort(f"impaired?{impairment}")
        assert engine.add_port(device, CROSS, 1) == 0
        assert engine.add_port(near, CROSS, 0) == 1
        assert engine.add_port(far) == 2

        def configure(worker: Worker) -> None:
            add_interface(worker, 2)
            for text in ("192.0.2.1/24", "2001:db8::1/64"):
                add_address(worker, 2, ip_interface(text))

        engine.call(0, configure)
        engine.start()
        yield engine, far
        engine.stop()


def echo(family: int, number: int, mac: int) -> bytes:
    """An echo request from outside."""
    ether = Ether(src=OUTSIDE, dst=mac.to_bytes(6).hex(":"))
    if family == 4:
        return bytes(ether / IP(src="192.0.2.9", dst="192.0.2.1") / ICMP(id=7, seq=number))
    return bytes(ether / IPv6(src="2001:db8::9", dst="2001:db8::1") / ICMPv6EchoRequest(id=7, seq=number))


@pytest.mark.parametrize("family", [4, 6])
def test_a_sleeping_worker_wakes_for_what_is_due(family: int) -> None:
    """Frames every 100 ms, through 6 ms each way: the reply is due 12 ms later, which no nap of 50 ms would meet."""
    outside = WirePort("outside")
    with impaired(outside, "delay=6ms") as (engine, far):
        for text in ("192.0.2.9", "2001:db8::9"):
            address, mac = ip_address(text), int(OUTSIDE.replace(":", ""), 16)
            engine.call(0, partial(add_neighbour, interface=2, address=address, mac=mac))
        begin = time.monotonic_ns() + 100 * MS
        for number in range(12):
            frame = ctypes.create_string_buffer(echo(family, number, far.mac))
            assert wire_inject(outside.end, ctypes.addressof(frame), len(frame) - 1, begin + 100 * MS * number) == 1
        late: list[int] = []
        room = ctypes.create_string_buffer(2048)
        deadline = time.monotonic() + 5
        while len(late) < 12 and time.monotonic() < deadline:
            when = wire_take_time(outside.end)
            octets = wire_take(outside.end, ctypes.addressof(room), len(room)) if when >= 0 else 0
            reply = Ether(room.raw[:octets]) if octets else Ether()
            if octets == 0:
                time.sleep(0.002)
            elif ICMP in reply and reply[ICMP].type == 0:
                late.append(when - begin - 100 * MS * reply[ICMP].seq - 12 * MS)
            elif IPv6 in reply and room.raw[54] == 129:
                late.append(when - begin - 100 * MS * int.from_bytes(room.raw[60:62]) - 12 * MS)
        assert len(late) == 12
        assert min(late) >= 0
        assert sorted(late)[2] < 25 * MS, "a nap would have ended 38 ms late, the next frame comes after 88"
        worker = engine.workers[0]
        assert worker.sleeps >= 24, "it slept in between"
        assert far.lanes[0].delivered >= 12


@pytest.mark.root
@pytest.mark.skipif(mode() == "interpreted", reason="the same; the test above runs interpreted")
def test_the_kernel_pings_through_it() -> None:
    with stage() as place:
        host = place.namespace("host")
        device = TapPort("tap0")
        with inside(host), impaired(device, "delay=10ms&rate=10mbit&offload=on", large=16) as (_, far):
            host.ip("address add 192.0.2.9/24 dev tap0", "address add 2001:db8::9/64 dev tap0 nodad")
            for address in ("192.0.2.1", "2001:db8::1"):
                text = host.run("ping", "-c", "6", "-i", "0.2", "-s", "1000", "-W", "3", address).stdout
                times = sorted(float(found) for found in re.findall(r"time=([0-9.]+)", text))
                assert len(times) == 6, text
                assert times[0] >= 21.6, "twice 10 ms, and 1042 octets at 10 Mbit/s"
                assert times[2] < 40, "a nap would have ended after 50 ms"
            assert far.lanes[0].sent >= 12
