"""Several workers: a packet may come to any of them, and goes out by that one's queue; programs and the balancer."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_interface

import pytest

from pronghorn.net.configure import add_address
from pronghorn.state.attach import SHARED
from pronghorn.state.worker import Worker
from tests.input.frames import both
from tests.programs.bench import Gateway
from tests.programs.test_paths import HERE, came, ip, said
from tests.support.feed import CLIENT, LOCAL, OWN, SERVICE
from tests.wire import judges as j


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(workers=2) as made:
        yield made


def heard(gateway: Gateway, number: int) -> list[bytes]:
    return [frame for worker in range(2) for frame in gateway.guests[number].hears(worker)]


@both
def test_claims_and_blocks_are_every_workers(gateway: Gateway, family: int) -> None:
    gateway.attach(1)
    gateway.attach(2)
    gateway.claim(1, "tcp", 80)
    for worker in (0, 1):
        gateway.hear(came(family, j.TCP(sport=9 + worker, dport=80, flags="S")), worker=worker)
        gateway.hear(came(family, j.UDP(sport=9, dport=2001)), worker=worker)
        assert gateway.tell(2, said(family, j.UDP(sport=2001, dport=9)), worker=worker)["transmitted"] == 1
        assert gateway.tell(2, said(family, j.UDP(sport=80, dport=9)), worker=worker) == {"program_port": 1}
    assert (len(heard(gateway, 1)), len(heard(gateway, 2))) == (2, 2)
    facts = gateway.facts(1)
    assert (facts.packets_out, facts.flows) == (2, 2)
    assert gateway.facts(2).drops == {"program_port": 2}
    gateway.leave(1)
    gateway.sent(0)
    for _ in range(3):
        gateway.turn()
    assert sorted(j.Ether(frame)[j.TCP].dport for frame in gateway.sent(0)) == [9, 10]


@both
def test_each_worker_resets_what_it_has_seen(gateway: Gateway, family: int) -> None:
    """Segments come to one worker and leave by the other: one of the resets has the right number."""
    gateway.attach(1)
    gateway.claim(1, "tcp", 80)
    gateway.hear(came(family, j.TCP(sport=9, dport=80, flags="S", seq=5)), worker=0)
    for worker in (0, 1):
        gateway.tell(1, said(family, j.TCP(sport=80, dport=9, flags="SA", seq=50, ack=6)), worker=worker)
    gateway.leave(1)
    gateway.sent(0)
    for _ in range(3):
        gateway.turn()
    resets = [j.Ether(frame)[j.TCP] for frame in gateway.sent(0)]
    assert (51, "R") in [(reset.seq, str(reset.flags)[0]) for reset in resets]


def test_an_error_finds_the_flow_on_another_worker(gateway: Gateway) -> None:
    for number in (1, 2):
        gateway.attach(number, family=3)
        gateway.claim(number, "tcp", 80, flags=SHARED)
    for port in range(1, 9):
        gateway.hear(came(4, j.TCP(sport=port, dport=80, flags="S")), worker=0)
    gateway.release(2, "tcp", 80)
    owners = {j.Ether(frame)[j.TCP].sport: number for number in (1, 2) for frame in heard(gateway, number)}
    gateway.claim(2, "tcp", 80, flags=SHARED)
    for port, owner in owners.items():
        quoted = bytes(ip(4, HERE[4], CLIENT[4]) / j.TCP(sport=80, dport=port))
        gateway.hear(came(4, j.ICMP(type=3, code=1) / j.Raw(quoted)), worker=1)
        gateway.turn()
        assert len(heard(gateway, owner)) >= 1
        heard(gateway, 3 - owner)


@both
def test_a_program_uses_a_service_of_the_gateway(family: int) -> None:
    """To the service, to its server, and the answer back: by the way that leads in again."""
    with Gateway() as gateway:
        gateway.service("tcp", family)
        one = gateway.attach(1)
        gateway.everywhere(lambda worker: own_service(worker, family))
        syn = said(family, j.TCP(sport=1001, dport=80, flags="S", seq=7), dst=SERVICE[family])
        assert gateway.tell(1, syn) == {"transmitted": 1}
        (sent,) = gateway.sent(1)
        request = j.Ether(sent)
        assert request.payload.src == LOCAL[family]
        answer = j.Ether(src=request.dst, dst=OWN[1]) / ip(family, request.payload.dst, LOCAL[family])
        gateway.hear(answer / j.TCP(sport=8080, dport=request[j.TCP].sport, flags="SA", seq=9, ack=8), port=1)
        gateway.turn()
        (frame,) = one.hears()
        reply = j.Ether(frame)
        assert (reply.payload.src, reply.payload.dst) == (SERVICE[family], HERE[family])
        assert (reply[j.TCP].sport, reply[j.TCP].dport, reply[j.TCP].ack) == (80, 1001, 8)


def own_service(worker: Worker, family: int) -> None:
    """The service's address is one of ours."""
    add_address(worker, 0, ip_interface(f"{SERVICE[family]}/{32 if family == 4 else 128}"))
