"""Bulk transfers from one host to another over wires of their own or a shared one, for tables and tests of TCP.

    with Transfers(CUBIC, buffers=2 << 20) as left_to_right:
        wire = left_to_right.wire(Impairment(rate=100_000_000, delay=50 * MILLISECOND, loss=10_000))
        flow = left_to_right.flow(wire)                      # as much as goes; or so many octets
        left_to_right.run(20)
        flow.octets                                          # read by the application at the other end
        flow.tcb.cwnd, left_to_right.counter("TCPTimeouts")  # what the sender makes of it

Congestion control, buffers, SACK and ECN are the hosts' defaults; a flow may have another congestion control.
"""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType

from pronghorn.compiled import mode
from pronghorn.ports.wire_port import Impairment
from pronghorn.state.endpoints import endpoints_of, socket_number
from pronghorn.state.mib import COUNTERS
from pronghorn.tcp.congestion import CUBIC
from pronghorn.tcp.tcb import Tcb, tcp_of
from tests.simulator.flows import SINK, Flow
from tests.simulator.host import Host
from tests.simulator.network import Link, Network

PORT = 80
COMPILED = mode() != "interpreted"
_NAMES = {name: number for number, (_group, name) in enumerate(COUNTERS)}


class Transfer:
    """One flow: a SENDER on the left, and on the right whatever its own LISTENER accepts."""

    def __init__(self, left: Host, right: Host, link: Link, family: int, octets: int) -> None:
        self._right = right
        port = PORT + right.flows().count
        self._listener = right.flows().count
        right.listen(link.address(1, family), port)
        self.sender: Flow = left.stream(link.address(1, family), port, octets)
        number = socket_number(endpoints_of(left.worker), self.sender.handle)
        self.tcb: Tcb = tcp_of(left.worker).tcbs[endpoints_of(left.worker).sockets[number].record]
        """The sender's, while there is one."""

    @property
    def sink(self) -> Flow | None:
        """The receiving end, once the connection is accepted."""
        own = self._right.flows()
        flows = (own.flows[number] for number in range(own.count))
        return next((flow for flow in flows if flow.kind == SINK and flow.listener == self._listener), None)

    @property
    def octets(self) -> int:
        """What the receiving application has read."""
        sink = self.sink
        if sink is None:
            return 0
        assert sink.wrong == 0, "octets that nobody sent"
        return int(sink.octets)

    @property
    def whole(self) -> bool:
        """Whether everything has arrived, to the end of the stream."""
        sink = self.sink
        return sink is not None and sink.ended > 0 and sink.error == 0 and self.octets == self.sender.wanted


class Transfers:
    """Two hosts, and the flows from the left one to the right one."""

    def __init__(
        self, congestion: int = CUBIC, buffers: int = 2 << 20, sack: bool = True, ecn: bool = False, seed: int = 1
    ) -> None:
        self.network = Network(seed)
        self.flows: list[Transfer] = []
        self.left, self.right = (self.network.host(name, packets=4096) for name in ("left", "right"))
        for host in (self.left, self.right):
            tcp = tcp_of(host.worker)
            tcp.congestion, tcp.sack, tcp.ecn = congestion, int(sack), 1 if ecn else 2
            defaults = tcp.tunings[0]
            defaults.congestion, defaults.fixed_buffers = congestion, 3
            defaults.send_limit = defaults.receive_limit = buffers

    def wire(self, there: Impairment, back: Impairment | None = None, store: int = 4096) -> Link:
        """A wire; the way back has only the delay, unless `back` says more. `store` frames may be on it. All wires
        come before all flows: the hosts announce their addresses before time begins to count."""
        assert not self.flows, "wires come before flows"
        return self.network.link(
            self.left, self.right, there, back or Impairment(delay=there.delay), f"mtu=1500&store={store}"
        )

    def flow(self, link: Link, family: int = 4, octets: int = 0, congestion: int | None = None) -> Transfer:
        """One more flow, from now on: so many octets, or without an end."""
        self.network.settle()
        made = Transfer(self.left, self.right, link, family, octets)
        self.flows.append(made)
        if congestion is not None:
            made.tcb.congestion = congestion
        return made

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.network.run(seconds)

    def change(self, link: Link, **values: int) -> None:
        """Give both directions of a wire other impairments from now on: fields of Impairment."""
        for lane in link.lanes:
            for name, value in values.items():
                setattr(lane, name, value)

    def counter(self, name: str) -> int:
        """A counter of the left host, by its name in /proc/net/snmp or netstat."""
        return int(endpoints_of(self.left.worker).mib[_NAMES[name]])

    def __enter__(self) -> Transfers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.network.__exit__(kind, error, at)


def ack_path(line: Impairment, **values: int) -> Impairment:
    """The way back of a line: its delay, and what is given."""
    return replace(Impairment(delay=line.delay), **values)


def jain(shares: list[int]) -> float:
    """Jain's index of fairness: 1 when all have the same, 1 / n when one has everything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0
