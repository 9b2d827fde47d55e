"""What ends packets in the SYN proxy. Each makes an engine and lets it happen."""

from __future__ import annotations

from collections.abc import Callable

from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether

from pronghorn.balancer.change_proxy import change_syn_proxy
from pronghorn.balancer.tables import Balancer
from pronghorn.state.worker import Worker
from tests.support.feed import CLIENT, OWN, ROUTER, SERVICE, EngineBench
from tests.wire import judges as j

ISN, THEIRS = 1000, 5000


class Conversation:
    """An engine whose service has a SYN proxy, the client of a connection, and its server."""

    def __init__(self, defer: bool = False) -> None:
        self.bench = EngineBench()
        self.bench.service("tcp", 4)

        def change(worker: Worker) -> None:
            change_syn_proxy(Balancer(worker.balancer), 0, "always", defer)

        self.bench.everywhere(change)
        self.say("S", ISN)
        [answer] = self.bench.sent(0)
        self.next = Ether(answer)[TCP].seq + 1 & 0xFFFF_FFFF

    def say(self, flags: str, seq: int, ack: int = 0) -> Conversation:
        """From the client."""
        link = j.Ether(src=ROUTER, dst=OWN[0]) / j.IP(src=CLIENT[4], dst=SERVICE[4])
        self.bench.hear(link / j.TCP(sport=1024, dport=80, flags=flags, seq=seq, ack=ack))
        return self

    def bring(self, error: int = 0) -> Conversation:
        """The cookie comes back."""
        return self.say("A", ISN + 1, self.next + error)

    def answer(self, flags: str = "SA", ack: int = ISN + 1) -> Conversation:
        """From the server, to the last SYN that it got."""
        syn = Ether(self.bench.sent(1)[-1])
        link = j.Ether(src=syn.dst, dst=syn.src) / j.IP(src=syn.payload.dst, dst=syn.payload.src)
        tcp = j.TCP(sport=syn[TCP].dport, dport=syn[TCP].sport, flags=flags, seq=THEIRS, ack=ack)
        self.bench.hear(link / tcp, port=1)
        return self


def storm() -> EngineBench:
    talk = Conversation().bring().answer()
    for _ in range(11):
        talk.bring()
    return talk.bench


SYN_PROXY: dict[str, Callable[[], EngineBench]] = {
    "syn_proxy_challenged": lambda: Conversation().bench,
    "syn_proxy_bad_ack": lambda: Conversation().bring(error=1).bench,
    "syn_proxy_opened": lambda: Conversation().bring().bench,
    "syn_proxy_deferred": lambda: Conversation(defer=True).bring().bench,
    "syn_proxy_early": lambda: Conversation().bring().bring().bench,
    "syn_proxy_answered": lambda: Conversation().bring().answer().bench,
    "syn_proxy_bad_answer": lambda: Conversation().bring().answer(ack=ISN).bench,
    "syn_proxy_ack_storm": storm,
}
