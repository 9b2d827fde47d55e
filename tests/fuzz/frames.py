"""Good frames of every kind, by scapy; `python -m tests.fuzz.frames` writes the files in seeds/ from them.

They suit tests/fuzz/stage.py: its addresses, its services and its four local ports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.fuzz.seeds import FOLDER, LOCAL_PORTS
from tests.support.feed import CLIENT, LOCAL, OWN, OWN4, OWN6, ROUTER, SERVICE, server_mac
from tests.wire import judges as j

LINK, GROUP = j.Ether(src=ROUTER, dst=OWN[0]), j.Ether(src=ROUTER, dst="33:33:ff:00:00:01")
EVERYBODY = j.Ether(src=ROUTER, dst="ff:ff:ff:ff:ff:ff")
SERVERS = j.Ether(src=server_mac(80).to_bytes(6, "big").hex(":"), dst=OWN[1])
OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 2)), ("NOP", None), ("WScale", 7)]
PEER = {4: "192.0.2.7", 6: "2001:db8:1::7"}
OURS = {4: OWN4[0], 6: OWN6[0]}
INSIDE = {4: "198.51.100.81", 6: "2001:db8:2::81"}


def ip(family: int, **fields: Any) -> Any:
    """From the client to the service."""
    if family == 4:
        return j.IP(**{"src": CLIENT[4], "dst": SERVICE[4], "id": 7, **fields})
    return j.IPv6(**{"src": CLIENT[6], "dst": SERVICE[6], **fields})


def arp() -> Iterator[Any]:
    yield EVERYBODY / j.ARP(hwsrc=ROUTER, psrc=PEER[4], pdst=OWN4[0])
    yield LINK / j.ARP(op=2, hwsrc=ROUTER, psrc=PEER[4], hwdst=OWN[0], pdst=OWN4[0])
    yield EVERYBODY / j.ARP(op=2, hwsrc=ROUTER, psrc=PEER[4], pdst=PEER[4])


def discovery() -> Iterator[Any]:
    source = j.ICMPv6NDOptSrcLLAddr(lladdr=ROUTER)
    answer = j.ICMPv6ND_NA(tgt=PEER[6], S=1, O=1) / j.ICMPv6NDOptDstLLAddr(lladdr=ROUTER)
    near: Any = {"src": "fe80::1", "hlim": 255}
    yield GROUP / j.IPv6(src=PEER[6], dst="ff02::1:ff00:1", hlim=255) / j.ICMPv6ND_NS(tgt=OWN6[0]) / source
    yield GROUP / j.IPv6(src="::", dst="ff02::1:ff00:1", hlim=255) / j.ICMPv6ND_NS(tgt=OWN6[0])
    yield LINK / j.IPv6(src=PEER[6], dst=OURS[6], hlim=255) / answer
    yield LINK / j.IPv6(dst="ff02::1", **near) / j.ICMPv6ND_RA() / source
    yield LINK / j.IPv6(dst=OURS[6], **near) / j.ICMPv6ND_Redirect(tgt="fe80::3", dst=CLIENT[6])
    yield LINK / j.IPv6(dst="ff02::2", **near) / j.ICMPv6ND_RS() / source


def icmp() -> Iterator[Any]:
    quoted4 = bytes(j.IP(src=OWN4[0], dst=CLIENT[4], flags="DF", len=1500) / j.TCP())[:28]
    quoted6 = bytes(j.IPv6(src=OWN6[0], dst=CLIENT[6], plen=1460, nh=6) / j.TCP())
    to4, to6 = LINK / ip(4, dst=OURS[4]), LINK / ip(6, dst=OURS[6])
    yield to4 / j.ICMP(id=1) / b"sixteen octets!!"
    yield to6 / j.ICMPv6EchoRequest(id=1, data=b"sixteen octets!!")
    yield to4 / j.ICMP(type=3, code=4, nexthopmtu=1300) / j.Raw(quoted4)
    yield to6 / j.ICMPv6PacketTooBig(mtu=1300) / j.Raw(quoted6)
    yield to4 / j.ICMP(type=11) / j.Raw(quoted4)
    yield to6 / j.ICMPv6DestUnreach(code=4) / j.Raw(quoted6)


def requests() -> Iterator[Any]:
    for family in (4, 6):
        head = LINK / ip(family)
        yield head / j.TCP(sport=1000, dport=80, flags="S", options=OPTIONS)
        yield head / j.TCP(sport=1000, dport=80, flags="A", seq=2, ack=2) / b"GET / HTTP/1.0\r\n\r\n"
        yield head / j.TCP(sport=1000, dport=80, flags="FA", seq=20, ack=2)
        yield head / j.TCP(sport=1000, dport=80, flags="R", seq=20)
        yield head / j.UDP(sport=1000, dport=53) / b"a question of some octets"


def replies() -> Iterator[Any]:
    for family in (4, 6):
        head = SERVERS / ip(family, src=INSIDE[family].replace("81", "80"), dst=LOCAL[family])
        for port in range(LOCAL_PORTS[0], LOCAL_PORTS[1] + 1):
            yield head / j.TCP(sport=8080, dport=port, flags="SA", options=OPTIONS)
            yield head / j.TCP(sport=8080, dport=port, flags="A") / b"HTTP/1.0 200 OK\r\n\r\n"
            yield head / j.TCP(sport=8080, dport=port, flags="FA")
            yield head / j.TCP(sport=8080, dport=port, flags="R")
            yield head / j.UDP(sport=8080, dport=port) / b"an answer"


def error(family: int, quoted: bytes, place: int) -> Any:
    """An error, each time another one, that quotes a packet."""
    if family == 4:
        kinds4: tuple[dict[str, Any], ...] = (
            {"type": 3, "code": 3}, {"type": 3, "code": 4, "nexthopmtu": 1300}, {"type": 11}, {"type": 12}
        )  # fmt: skip
        return j.ICMP(**kinds4[place % 4]) / j.Raw(quoted)
    kinds6 = (
        j.ICMPv6DestUnreach(code=4),
        j.ICMPv6PacketTooBig(mtu=1300),
        j.ICMPv6TimeExceeded(),
        j.ICMPv6ParamProblem(),
    )
    return kinds6[place % 4] / j.Raw(quoted)


def layers(sport: int, dport: int) -> Iterator[Any]:
    yield j.TCP(sport=sport, dport=dport)
    yield j.UDP(sport=sport, dport=dport) / b"sixteen octets!!"
    yield j.SCTP(sport=sport, dport=dport, tag=5) / j.SCTPChunkData(data=b"data", tsn=1)


def client_errors() -> Iterator[Any]:
    """About what services sent to the client."""
    for family in (4, 6):
        for place, layer in enumerate((*layers(80, 1000), *layers(53, 1000))):
            quoted = bytes(ip(family, src=SERVICE[family], dst=CLIENT[family]) / layer)
            yield LINK / ip(family, src=PEER[family]) / error(family, quoted, place)


def server_errors() -> Iterator[Any]:
    """About what local addresses sent to a server."""
    for family in (4, 6):
        server = INSIDE[family].replace("81", "80")
        for port in range(LOCAL_PORTS[0], LOCAL_PORTS[1] + 1):
            for place, layer in enumerate(layers(port, 8080)):
                quoted = bytes(ip(family, src=LOCAL[family], dst=server) / layer)
                yield SERVERS / ip(family, src=server, dst=LOCAL[family]) / error(family, quoted, place + port)


def associations() -> Iterator[Any]:
    """SCTP from the client."""
    init = j.SCTPChunkInit(init_tag=7, a_rwnd=9999, n_out_streams=2, n_in_streams=2, init_tsn=1)
    data = j.SCTPChunkData(data=b"data", tsn=1)
    chunks = (init, j.SCTPChunkCookieEcho(cookie=b"cookie") / data, data, j.SCTPChunkShutdown(), j.SCTPChunkAbort())
    for family in (4, 6):
        for place, chunk in enumerate(chunks):
            yield LINK / ip(family) / j.SCTP(sport=1000, dport=80, tag=5 if place else 0) / chunk


def others() -> Iterator[Any]:
    """To us, through us, to groups, without hops, with tags and options, too long."""
    for family in (4, 6):
        yield LINK / ip(family, dst=INSIDE[family]) / j.UDP(sport=5, dport=6) / bytes(30)
        yield LINK / ip(family, dst=OURS[family]) / j.UDP(sport=5, dport=6) / bytes(30)
        yield LINK / ip(family, dst=OURS[family]) / j.TCP(sport=5, dport=6, flags="S")
        yield LINK / ip(family, dst={4: "224.0.0.1", 6: "ff02::1"}[family]) / j.UDP()
        yield LINK / ip(family, dst=INSIDE[family]) / j.UDP() / bytes(1400)
    yield LINK / ip(4, dst=OURS[4], proto=132) / bytes(20)
    yield LINK / ip(6, dst=OURS[6], nh=132) / bytes(20)
    yield LINK / ip(4, ttl=1) / j.TCP(sport=1001, dport=80, flags="S")
    yield LINK / ip(6, hlim=1) / j.TCP(sport=1001, dport=80, flags="S")
    yield LINK / j.Dot1Q(vlan=0, prio=5) / ip(4) / j.TCP(sport=1002, dport=80, flags="S")
    yield LINK / j.Dot1Q(vlan=5) / ip(4) / j.UDP()
    yield j.Ether(src=ROUTER, dst=OWN[0], type=46) / bytes(46)
    yield LINK / ip(4, options=[j.Raw(b"\7\7\4\0\0\0\0\0")]) / j.UDP(sport=9, dport=53) / b"x"
    yield LINK / ip(4, options=[j.IPOption_LSRR(routers=["192.0.2.9"])]) / j.UDP(sport=9, dport=53)


def extensions() -> Iterator[Any]:
    chain = j.IPv6ExtHdrHopByHop() / j.IPv6ExtHdrDestOpt() / j.IPv6ExtHdrRouting(segleft=0)
    yield LINK / ip(6, dst=OURS[6]) / chain / j.ICMPv6EchoRequest(data=b"x")
    yield LINK / ip(6) / chain / j.TCP(sport=1003, dport=80, flags="S")
    yield LINK / ip(6) / j.IPv6ExtHdrDestOpt() / j.UDP(sport=1003, dport=53) / b"x"
    yield LINK / ip(6, nh=60) / b"\x3b\0\x80\4\0\0\0\0"
    yield LINK / ip(6, nh=60) / b"\x3b\0\xc0\4\0\0\0\0"
    yield LINK / ip(6) / j.IPv6ExtHdrRouting(addresses=["2001:db8::9"]) / j.TCP()
    yield LINK / ip(6) / j.IPv6ExtHdrHopByHop(nh=59, options=[j.Jumbo(jumboplen=1 << 20)])
    yield LINK / ip(6, nh=60) / (b"\x3c\0\1\4\0\0\0\0" * 9)


def fragments() -> Iterator[Any]:
    """Echo requests and datagrams in three pieces; the last kind is too long for a small chunk."""
    for family in (4, 6):
        echo = j.ICMP() / bytes(60) if family == 4 else j.ICMPv6EchoRequest(data=bytes(60))
        kinds = (
            (OURS[family], echo, 1 if family == 4 else 58),
            (SERVICE[family], j.UDP(sport=1004, dport=53) / bytes(100), 17),
            (SERVICE[family], j.UDP(sport=1004, dport=53) / bytes(4000), 17),
        )
        for number, (dst, layer, protocol) in enumerate(kinds):
            data = bytes(ip(family, dst=dst) / layer)[20 if family == 4 else 40 :]
            part = len(data) // 3 // 8 * 8 + 8
            for start in range(0, len(data), part):
                piece, more = j.Raw(data[start : start + part]), int(start + part < len(data))
                if family == 4:
                    yield LINK / ip(4, dst=dst, id=number, flags=more, frag=start // 8, proto=protocol) / piece
                else:
                    header = j.IPv6ExtHdrFragment(nh=protocol, offset=start // 8, m=more, id=number)
                    yield LINK / ip(6, dst=dst) / header / piece


KINDS: dict[str, Callable[[], Iterator[Any]]] = {
    "arp.0": arp,
    "nd.0": discovery,
    "icmp.0": icmp,
    "requests.0": requests,
    "replies.1": replies,
    "client_errors.0": client_errors,
    "server_errors.1": server_errors,
    "associations.0": associations,
    "others.0": others,
    "extensions.0": extensions,
    "fragments.0": fragments,
}
"""Files and what is in them; the number is the port that the frames arrive at."""


def text(kind: str) -> str:
    """The file of a kind: a line of hexadecimal per frame."""
    return "".join(f"{bytes(frame).hex()}\n" for frame in KINDS[kind]())


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(exist_ok=True)
    for kind in KINDS:
        (FOLDER / f"{kind}.hex").write_text(text(kind))


if __name__ == "__main__":
    main()
