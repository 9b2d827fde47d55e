"""A worker with two interfaces, and a way in for frames as short as can be: what input/ does in full.

port 0: 192.0.2.1/24     2001:db8:1::1/64     02:00:00:00:00:10
port 1: 198.51.100.1/24  2001:db8:2::1/64     02:00:00:00:00:11
default routes over 192.0.2.254 and 2001:db8:1::fe on port 0
"""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet as Scapy
from scapy.packet import Raw

from pronghorn.net.arp import arp_input
from pronghorn.net.configure import add_address, add_interface
from pronghorn.net.configure_routes import add_route, halves
from pronghorn.net.create import Limits, create_net
from pronghorn.net.icmp import icmp_input
from pronghorn.net.icmpv6 import icmpv6_input
from pronghorn.net.neighbours import neighbour_find
from pronghorn.net.output import ip_output
from pronghorn.net.show import STATES
from pronghorn.net.state import Neighbour
from pronghorn.net.timers import net_timers
from pronghorn.state.packet import BROADCAST, MULTICAST, Packet
from pronghorn.wire import extension
from pronghorn.wire.ipv6 import IPv6 as IPv6View
from tests.support.worker import WorkerBench

OWN = ("02:00:00:00:00:10", "02:00:00:00:00:11")
PEER = "02:00:00:00:00:aa"
ROUTER = "02:00:00:00:00:fe"
ANY = "ff:ff:ff:ff:ff:ff"


class NetBench(WorkerBench):
    """See the module. Announcements of its addresses have been made and forgotten."""

    def __init__(self, limits: Limits | None = None, quiet: bool = True, **options: int) -> None:
        super().__init__(**options)
        self.net = create_net(self.arena, self.worker, limits or Limits(neighbours=64, waiting=16, paths=64))
        for port, addresses in enumerate(
            (("192.0.2.1/24", "2001:db8:1::1/64"), ("198.51.100.1/24", "2001:db8:2::1/64"))
        ):
            add_interface(self.worker, port)
            for address in addresses:
                add_address(self.worker, port, ip_interface(address))
        add_route(self.worker, ip_network("0.0.0.0/0"), 0, ip_address("192.0.2.254"))
        add_route(self.worker, ip_network("::/0"), 0, ip_address("2001:db8:1::fe"))
        if quiet:
            self.settle()

    def settle(self) -> None:
        """Let announcements go out, and forget them."""
        while self.net.announcing:
            self.pass_time(3)
            self.sweep()
        self.sent(0)
        self.sent(1)

    def wait(self, seconds: float) -> None:
        """Let time pass in steps, with a whole sweep of the neighbours after each."""
        step = 0.1 if seconds < 10 else 5
        for _ in range(max(1, round(seconds / step))):
            self.pass_time(step)
            self.sweep()

    def sweep(self) -> None:
        """Let timers look at every neighbour once."""
        for _ in range(10):
            self.net.next_sweep = 0
            net_timers(self.worker)

    def hear(self, frame: Scapy | bytes, port: int = 0) -> str:
        """Let a frame come in; the name of its verdict."""
        octets = bytes(frame)
        group = octets[0] & 1 and (BROADCAST if octets[:6] == b"\xff" * 6 else MULTICAST)
        packet = self.packet(octets, port, group)
        return self.end(packet, self._input(packet, octets))

    def _input(self, packet: Packet, octets: bytes) -> int:
        packet.network = packet.data + 14
        kind = int.from_bytes(octets[12:14], "big")
        if kind == 0x0806:
            return arp_input(self.worker, packet)
        if kind == 0x0800:
            packet.family, packet.protocol, header = 4, octets[23], (octets[14] & 15) * 4
            packet.length = min(packet.length, 14 + int.from_bytes(octets[16:18], "big"))
            packet.transport = packet.network + header
            return icmp_input(self.worker, packet)
        packet.family = 6
        packet.length = min(packet.length, 54 + int.from_bytes(octets[18:20], "big"))
        _, packet.protocol, at, _ = extension.walk(IPv6View(packet.network), packet.length - 14)
        packet.transport = packet.network + at
        return icmpv6_input(self.worker, packet)

    def made(self, ip: Scapy, port: int = 0, flags: int = 0) -> Packet:
        """A received packet that holds this IP packet, as if its Ethernet header had been read."""
        octets = bytes(ip)
        packet = self.packet(bytes(14) + octets, port, flags)
        packet.network, packet.family = packet.data + 14, octets[0] >> 4
        packet.protocol = octets[9] if packet.family == 4 else octets[6]
        packet.transport = packet.network + (20 if packet.family == 4 else 40)
        return packet

    def send(self, ip: Scapy, port: int = 0, flags: int = 0) -> str:
        """Put an IP packet out, as a forwarder would; the name of its verdict."""
        packet = self.made(ip, port, flags)
        return self.end(packet, ip_output(self.worker, packet))

    def index(self, address: str, interface: int = 0) -> int:
        """The neighbour's index, or -1."""
        return neighbour_find(self.net, interface, *halves(ip_address(address)))

    def state(self, address: str, interface: int = 0) -> str:
        """The neighbour's state, or `none`."""
        index = self.index(address, interface)
        return "none" if index < 0 else STATES[self.net.neighbours[index].state]

    def neighbour(self, address: str, interface: int = 0) -> Neighbour:
        index = self.index(address, interface)
        assert index >= 0
        return self.net.neighbours[index]

    def frames(self, port: int = 0) -> list[Any]:
        """What waits on the port, as scapy reads it; each frame is what scapy would have built."""
        found = [Ether(octets) for octets in self.sent(port)]
        for frame in found:
            assert_rebuilds(frame)
        return found

    def meet(self, address: str, mac: str = PEER, port: int = 0) -> None:
        """Make the neighbour REACHABLE, by a question and its answer."""
        if ":" in address:
            self.send(IPv6(src="2001:db8:9::9", dst=address) / UDP(sport=1, dport=2) / b"x")
            self.hear(advertisement(address, mac, port), port)
        else:
            self.send(IP(src="203.0.113.9", dst=address) / UDP(sport=1, dport=2) / b"x")
            self.hear(reply(address, mac, port), port)
        assert self.state(address, port) == "reachable"
        self.sent(port)


def assert_rebuilds(frame: Any) -> None:
    """Scapy computes the same lengths and checksums, when it is asked to compute them anew."""
    twin: Any = Ether(bytes(frame))
    layer = twin
    while layer and not isinstance(layer, Raw):
        for name in ("chksum", "len", "plen", "cksum"):
            if name in layer.fields and not (isinstance(layer, UDP) and layer.fields[name] == 0):
                del layer.fields[name]
        if isinstance(layer, ICMP) and layer.type in (3, 11, 12):
            break
        layer = layer.payload
    assert bytes(twin) == bytes(frame), f"{frame!r} is not what scapy builds: {twin!r}"


def reply(address: str, mac: str = PEER, port: int = 0) -> Any:
    """An ARP reply to us."""
    own = ("192.0.2.1", "198.51.100.1")[port]
    return Ether(src=mac, dst=OWN[port]) / ARP(op=2, hwsrc=mac, psrc=address, hwdst=OWN[port], pdst=own)


def request(target: str, sender: str, mac: str = PEER) -> Any:
    """An ARP request."""
    return Ether(src=mac, dst=ANY) / ARP(op=1, hwsrc=mac, psrc=sender, pdst=target)


def advertisement(address: str, mac: str = PEER, port: int = 0, **fields: Any) -> Any:
    """A solicited neighbour advertisement to us; `fields` are the message's."""
    own = ("fe80::ff:fe00:10", "fe80::ff:fe00:11")[port]
    message = ICMPv6ND_NA(**{"tgt": address, "R": 0, "S": 1, "O": 1, **fields})
    return (
        Ether(src=mac, dst=OWN[port])
        / IPv6(src=address, dst=own, hlim=255)
        / message
        / ICMPv6NDOptDstLLAddr(lladdr=mac)
    )
