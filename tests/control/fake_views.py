"""What the fake data plane shows that does not depend on what it was told."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from pronghorn.control.filter import Filter
from pronghorn.control.views import (
    ClientView,
    ConnView,
    DropView,
    NeighbourView,
    SnmpView,
    TcpView,
    UdpView,
    WorkerView,
)


class FakeViews:
    """A part of FakeEngine."""

    packets: int

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def conns(self, limit: int) -> Sequence[ConnView]:
        one = ConnView(
            family=6,
            protocol="tcp",
            client="[2001:db8:1:2:3:4:5:6]:54321",
            virtual="[2001:db8::100]:443",
            local="[fd00:2::1]:1025",
            server="[fd00:2::80]:8443",
            state="established",
            worker=0,
            age=12.5,
            expires=887.5,
        )
        return [one][:limit]

    def clients(self, limit: int) -> Sequence[ClientView]:
        one = ClientView(
            service="web",
            group="shop",
            client="2001:db8:1:2::",
            server="[fd00:2::80]:8443",
            conns=2,
            connections=17,
            expires=287.5,
            worker=0,
        )
        return [one][:limit]

    def workers(self) -> Sequence[WorkerView]:
        return [
            WorkerView(
                index=0,
                core=2,
                busy=1.5,
                turns=1_000_000,
                packets=self.packets,
                conns=4,
                pool_size=65536,
                pool_free=60000,
                pool_low=1000,
            )
        ]

    def neighbours(self) -> Sequence[NeighbourView]:
        return [NeighbourView(address="10.0.0.2", mac="02:00:00:00:00:02", state="reachable", port="outside", age=3.0)]

    def drops(self) -> Sequence[DropView]:
        return [DropView(verdict="TTL_EXPIRED", severity="input", sentence="The hop limit reached zero.", count=7)]

    def tcp(self, wanted: Filter) -> Sequence[TcpView]:
        """One connection or listener, whose port says which filter was asked for."""
        listener = TcpView(
            family=10, local="*:80", remote=None, state="listening", worker=1, receive_queue=3, send_queue=128
        )
        connection = TcpView(
            family=6,
            local=f"[2001:db8:1:2:3:4:5:6]:{wanted.port or 443}",
            remote="[2001:db8:9:9:9:9:9:9]:54321",
            state=(wanted.states or ("established",))[-1],
            worker=0,
            receive_queue=123_456,
            send_queue=65_535,
            congestion="cubic",
            recovery="disorder",
            cwnd=14_480,
            ssthresh=2_000_000,
            srtt=12.5,
            rto=212.5,
            retransmits=17,
            timer="reorder",
            timer_left=0.25,
            options=("ts", "sack"),
        )
        return [listener if wanted.listening else connection][: wanted.limit]

    def udp(self, wanted: Filter) -> Sequence[UdpView]:
        ends = {"local": "[2001:db8:1:2:3:4:5:6]:5353", "remote": None}
        numbers = {"receive_queue": 1_500, "waiting": 1, "receive_limit": 212_992, "send_limit": 212_992, "drops": 5}
        one = UdpView(protocol="udp", family=6, worker=0, **ends, **numbers)  # type: ignore[arg-type]
        return [one][: wanted.limit]

    def snmp(self) -> Sequence[SnmpView]:
        rows = ("TcpExt", "TCPTimeouts", 21), ("Tcp", "ActiveOpens", 0)
        return [SnmpView(group=group, name=name, value=value) for group, name, value in rows]
