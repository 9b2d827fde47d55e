"""The good frames that mutation starts from: one file per kind in seeds/, a line of hexadecimal per frame.

`python -m tests.fuzz.seeds` writes the files anew, by scapy. They suit tests/fuzz/stage.py: its addresses, its services
and its four local ports. The file's name says the port that the frames arrive at: KIND.PORT.hex.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("seeds")
LOCAL_PORTS = (2000, 2003)


def load() -> list[tuple[int, bytes]]:
    """(port, frame) of every seed, in the order of the files' names."""
    found = []
    for path in sorted(FOLDER.glob("*.hex")):
        port = int(path.suffixes[-2][1:])
        found += [(port, bytes.fromhex(line)) for line in path.read_text().split()]
    return found


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(exist_ok=True)
    for name, frames in kinds():
        (FOLDER / f"{name}.hex").write_text("".join(f"{bytes(frame).hex()}\n" for frame in frames))


def kinds() -> Iterator[tuple[str, list[Any]]]:
    """Name and frames of every file."""
    from tests.support.feed import CLIENT, LOCAL, OWN, OWN4, OWN6, ROUTER, SERVICE, server_mac
    from tests.wire import judges as j

    link, group = j.Ether(src=ROUTER, dst=OWN[0]), j.Ether(src=ROUTER, dst="33:33:ff:00:00:01")
    servers = j.Ether(src=server_mac(80).to_bytes(6, "big").hex(":"), dst=OWN[1])
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 2)), ("NOP", None), ("WScale", 7)]

    def ip(family: int, **fields: Any) -> Any:
        if family == 4:
            return j.IP(**{"src": CLIENT[4], "dst": SERVICE[4], "id": 7, **fields})
        return j.IPv6(**{"src": CLIENT[6], "dst": SERVICE[6], **fields})

    peer = {4: "192.0.2.7", 6: "2001:db8:1::7"}
    own = {4: OWN4[0], 6: OWN6[0]}
    inside = {4: "198.51.100.81", 6: "2001:db8:2::81"}
    yield (
        "arp.0",
        [
            j.Ether(src=ROUTER, dst="ff:ff:ff:ff:ff:ff") / j.ARP(hwsrc=ROUTER, psrc=peer[4], pdst=OWN4[0]),
            link / j.ARP(op=2, hwsrc=ROUTER, psrc=peer[4], hwdst=OWN[0], pdst=OWN4[0]),
            j.Ether(src=ROUTER, dst="ff:ff:ff:ff:ff:ff") / j.ARP(op=2, hwsrc=ROUTER, psrc=peer[4], pdst=peer[4]),
        ],
    )
    source = j.ICMPv6NDOptSrcLLAddr(lladdr=ROUTER)
    nd = j.IPv6(src=peer[6], dst="ff02::1:ff00:1", hlim=255)
    yield "nd.0", [
        group / nd / j.ICMPv6ND_NS(tgt=OWN6[0]) / source,
        group / j.IPv6(src="::", dst="ff02::1:ff00:1", hlim=255) / j.ICMPv6ND_NS(tgt=OWN6[0]),
        link / j.IPv6(src=peer[6], dst=own[6], hlim=255) / j.ICMPv6ND_NA(tgt=peer[6], S=1, O=1)
        / j.ICMPv6NDOptDstLLAddr(lladdr=ROUTER),
        link / j.IPv6(src="fe80::1", dst="ff02::1", hlim=255) / j.ICMPv6ND_RA() / source,
        link / j.IPv6(src="fe80::1", dst=own[6], hlim=255) / j.ICMPv6ND_Redirect(tgt="fe80::3", dst=CLIENT[6]),
        link / j.IPv6(src="fe80::1", dst="ff02::2", hlim=255) / j.ICMPv6ND_RS() / source,
    ]  # fmt: skip
    quoted4 = bytes(j.IP(src=OWN4[0], dst=CLIENT[4], flags="DF", len=1500) / j.TCP())[:28]
    quoted6 = bytes(j.IPv6(src=OWN6[0], dst=CLIENT[6], plen=1460, nh=6) / j.TCP())
    yield (
        "icmp.0",
        [
            link / ip(4, dst=own[4]) / j.ICMP(id=1) / b"sixteen octets!!",
            link / ip(6, dst=own[6]) / j.ICMPv6EchoRequest(id=1, data=b"sixteen octets!!"),
            link / ip(4, dst=own[4]) / j.ICMP(type=3, code=4, nexthopmtu=1300) / j.Raw(quoted4),
            link / ip(6, dst=own[6]) / j.ICMPv6PacketTooBig(mtu=1300) / j.Raw(quoted6),
            link / ip(4, dst=own[4]) / j.ICMP(type=11) / j.Raw(quoted4),
            link / ip(6, dst=own[6]) / j.ICMPv6DestUnreach(code=4) / j.Raw(quoted6),
        ],
    )
    yield (
        "requests.0",
        [
            link / ip(family) / layer
            for family in (4, 6)
            for layer in (
                j.TCP(sport=1000, dport=80, flags="S", options=options),
                j.TCP(sport=1000, dport=80, flags="A", seq=2, ack=2) / b"GET / HTTP/1.0\r\n\r\n",
                j.TCP(sport=1000, dport=80, flags="FA", seq=20, ack=2),
                j.TCP(sport=1000, dport=80, flags="R", seq=20),
                j.UDP(sport=1000, dport=53) / b"a question of some octets",
            )
        ],
    )
    yield (
        "replies.1",
        [
            servers / ip(family, src=inside[family].replace("81", "80"), dst=LOCAL[family]) / layer
            for family in (4, 6)
            for port in range(LOCAL_PORTS[0], LOCAL_PORTS[1] + 1)
            for layer in (
                j.TCP(sport=8080, dport=port, flags="SA", options=options),
                j.TCP(sport=8080, dport=port, flags="A") / b"HTTP/1.0 200 OK\r\n\r\n",
                j.TCP(sport=8080, dport=port, flags="FA"),
                j.TCP(sport=8080, dport=port, flags="R"),
                j.UDP(sport=8080, dport=port) / b"an answer",
            )
        ],
    )
    yield (
        "others.0",
        [
            *(link / ip(family, dst=inside[family]) / j.UDP(sport=5, dport=6) / bytes(30) for family in (4, 6)),
            *(link / ip(family, dst=own[family]) / j.UDP(sport=5, dport=6) / bytes(30) for family in (4, 6)),
            *(link / ip(family, dst=own[family]) / j.TCP(sport=5, dport=6, flags="S") for family in (4, 6)),
            link / ip(4, dst=own[4], proto=132) / bytes(20),
            link / ip(6, dst=own[6], nh=132) / bytes(20),
            link / ip(4, dst="224.0.0.1") / j.UDP(),
            link / ip(6, dst="ff02::1") / j.UDP(),
            link / ip(4, ttl=1) / j.TCP(sport=1001, dport=80, flags="S"),
            link / ip(6, hlim=1) / j.TCP(sport=1001, dport=80, flags="S"),
            link / j.Dot1Q(vlan=0, prio=5) / ip(4) / j.TCP(sport=1002, dport=80, flags="S"),
            link / j.Dot1Q(vlan=5) / ip(4) / j.UDP(),
            j.Ether(src=ROUTER, dst=OWN[0], type=46) / bytes(46),
            link / ip(4, options=[j.Raw(b"\7\7\4\0\0\0\0\0")]) / j.UDP(sport=9, dport=53) / b"x",
            link / ip(4, options=[j.IPOption_LSRR(routers=["192.0.2.9"])]) / j.UDP(sport=9, dport=53),
            link / ip(4, dst=inside[4]) / j.UDP() / bytes(1400),
            link / ip(6, dst=inside[6]) / j.UDP() / bytes(1400),
        ],
    )
    chain = j.IPv6ExtHdrHopByHop() / j.IPv6ExtHdrDestOpt() / j.IPv6ExtHdrRouting(segleft=0)
    yield (
        "extensions.0",
        [
            link / ip(6, dst=own[6]) / chain / j.ICMPv6EchoRequest(data=b"x"),
            link / ip(6) / chain / j.TCP(sport=1003, dport=80, flags="S"),
            link / ip(6) / j.IPv6ExtHdrDestOpt() / j.UDP(sport=1003, dport=53) / b"x",
            link / ip(6, nh=60) / b"\x3b\0\x80\4\0\0\0\0",
            link / ip(6, nh=60) / b"\x3b\0\xc0\4\0\0\0\0",
            link / ip(6) / j.IPv6ExtHdrRouting(addresses=["2001:db8::9"]) / j.TCP(),
            link / ip(6) / j.IPv6ExtHdrHopByHop(nh=59, options=[j.Jumbo(jumboplen=1 << 20)]),
            link / ip(6, nh=60) / (b"\x3c\0\1\4\0\0\0\0" * 9),
        ],
    )
    yield "fragments.0", list(_fragments(link, ip, own, j))


def _fragments(link: Any, ip: Any, own: dict[int, str], j: Any) -> Iterator[Any]:
    """Echo requests and datagrams in three pieces; of the last kind one too long for a small chunk."""
    for family in (4, 6):
        for number, (octets, dst, protocol) in enumerate(((60, own[family], 0), (100, "", 17), (4000, "", 17))):
            if protocol:
                whole = bytes(ip(family) / j.UDP(sport=1004, dport=53) / bytes(octets))
            elif family == 4:
                whole = bytes(ip(4, dst=dst) / j.ICMP() / bytes(octets))
            else:
                whole = bytes(ip(6, dst=dst) / j.ICMPv6EchoRequest(data=bytes(octets)))
            data = whole[20 if family == 4 else 40 :]
            part = len(data) // 3 // 8 * 8 + 8
            for start in range(0, len(data), part):
                piece, more = data[start : start + part], int(start + part < len(data))
                fields = {"dst": dst} if dst else {}
                if family == 4:
                    yield link / ip(4, flags=more, frag=start // 8, proto=protocol or 1, **fields) / j.Raw(piece)
                else:
                    header = j.IPv6ExtHdrFragment(nh=protocol or 58, offset=start // 8, m=more, id=number)
                    yield link / ip(6, **fields) / header / j.Raw(piece)


if __name__ == "__main__":
    main()
