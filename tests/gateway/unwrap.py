"""The end of tunnels at a server, in Python: it needs no tunnel devices of the kernel, which not every kernel has.

    python3 unwrap.py INTERFACE SERVICE4 SERVICE6

Takes IPIP, GRE and GUE (port 6080) of both families that reach this namespace through the kernel's IP stack, which has
checked outer headers, put their pieces together and, for GUE, checked UDP's checksum. What was inside goes to the
kernel as if a device had received it. The service's addresses are this host's. Prints "ready", and the family and
protocol of each kind of outer packet that came.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import socket
import struct
import subprocess
import sys

TUNSETIFF, IFF_TUN = 0x400454CA, 0x0001
INNER = {4: 0x0800, 41: 0x86DD}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def tun() -> int:
    """A TUN device, up: what is written to it comes in (with the EtherType in front)."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH14x", b"inside", IFF_TUN))
    ip("link", "set", "inside", "up")
    return descriptor


def unwrapped(protocol: int, body: bytes) -> tuple[int, bytes]:
    """EtherType and packet of what the outer header had behind it; its GRE or GUE header must be a good one."""
    if protocol in INNER:
        return INNER[protocol], body
    if protocol == socket.IPPROTO_UDP:
        assert body[0] == 0
        assert body[2:4] == b"\0\0"
        return INNER[body[1]], body[4:]
    flags, ethertype = struct.unpack_from("!HH", body)
    assert flags & ~0xA000 == 0
    if flags & 0x8000:
        words = struct.unpack(f"!{(len(body) + 1) // 2}H", body + bytes(len(body) % 2))
        assert sum(words) % 0xFFFF == 0
    return ethertype, body[4 + 4 * (flags >> 15 & 1) + 4 * (flags >> 13 & 1) :]


def main() -> None:
    interface, *services = sys.argv[1:]
    for service in services:
        ip("address", "add", service, "dev", "lo", *(["nodad"] if ":" in service else []))
    for name in ("all", "default", interface):
        with open(f"/proc/sys/net/ipv4/conf/{name}/rp_filter", "w") as file:
            file.write("0")
    with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as file:
        file.write("0")
    device = tun()
    with open("/proc/sys/net/ipv4/conf/inside/rp_filter", "w") as file:
        file.write("0")
    selector = selectors.DefaultSelector()
    for family in (socket.AF_INET, socket.AF_INET6):
        for protocol in (4, 41, 47):
            raw = socket.socket(family, socket.SOCK_RAW, protocol)
            selector.register(raw, selectors.EVENT_READ, protocol)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        udp.bind(("", 6080))
        selector.register(udp, selectors.EVENT_READ, socket.IPPROTO_UDP)
    print("ready", flush=True)
    seen: set[tuple[int, int]] = set()
    while True:
        for key, _ in selector.select():
            end = key.fileobj
            assert isinstance(end, socket.socket)
            octets = end.recv(65536)
            if end.family == socket.AF_INET and key.data != socket.IPPROTO_UDP:
                octets = octets[(octets[0] & 15) * 4 :]  # IPv6's raw sockets leave the header out
            ethertype, packet = unwrapped(key.data, octets)
            os.write(device, struct.pack("!HH", 0, ethertype) + packet)
            if (end.family, key.data) not in seen:
                seen.add((end.family, key.data))
                print(4 if end.family == socket.AF_INET else 6, key.data, flush=True)


if __name__ == "__main__":
    main()
