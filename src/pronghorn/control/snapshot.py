"""How an engine tells about itself, in the plain values of views.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # a gateway starts without them
    from collections.abc import Sequence

    from pronghorn.control.filter import Filter
    from pronghorn.control.views import (
        ClientView,
        ConnView,
        DropView,
        NeighbourView,
        PortView,
        RouteView,
        ServiceView,
        SnmpView,
        TcpView,
        UdpView,
        WorkerView,
    )


class Snapshot(Protocol):
    """What an engine tells about itself. Called from the control thread while workers run, without stopping them."""

    def services(self) -> Sequence[ServiceView]: ...

    def conns(self, limit: int) -> Sequence[ConnView]:
        """At most `limit` connections, of all workers."""

    def clients(self, limit: int) -> Sequence[ClientView]:
        """At most `limit` clients that stay with their servers, of all workers."""

    def ports(self) -> Sequence[PortView]: ...

    def workers(self) -> Sequence[WorkerView]: ...

    def neighbours(self) -> Sequence[NeighbourView]: ...

    def routes(self) -> Sequence[RouteView]: ...

    def drops(self) -> Sequence[DropView]:
        """All verdicts that mean a packet was dropped and that were counted at least once."""

    def tcp(self, wanted: Filter) -> Sequence[TcpView]:
        """TCP connections that end here, or sockets that listen; of all workers, at most as many as wanted."""

    def udp(self, wanted: Filter) -> Sequence[UdpView]:
        """Bound datagram sockets."""

    def snmp(self) -> Sequence[SnmpView]:
        """All counters, those that are zero too."""
