"""Schedulers that count connections, limits and slow start, against IPVS's formulas written down naively."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.balancer.configure import ConfigureError, Scheduling, add_server, change_limits, change_scheduler
from pronghorn.balancer.services import advance_starts, search_starting_service
from pronghorn.balancer.thresholds import note_opened
from tests.balancer.test_schedulers import Chooser


@dataclass
class Dest:
    """A server as IPVS sees it."""

    weight: int
    active: int
    inactive: int
    others: int  # of the active ones, those of other workers
    overloaded: bool

    @property
    def usable(self) -> bool:
        return self.weight > 0 and not self.overloaded

    @property
    def overhead(self) -> int:
        return self.active * 256 + self.inactive


DESTS = st.lists(
    st.builds(
        lambda weight, active, inactive, others, overloaded: Dest(
            weight, active, inactive, min(others, active), overloaded
        ),
        st.integers(0, 5), st.integers(0, 12), st.integers(0, 600), st.integers(0, 3),
        st.sampled_from([False] * 4 + [True]),
    ),
    min_size=1,
    max_size=7,
)  # fmt: skip


def least(dests: Sequence[Dest], load: Callable[[Dest], Fraction]) -> int:
    usable = [(load(dest), place) for place, dest in enumerate(dests) if dest.usable]
    return min(usable)[1] if usable else -1


def lc(dests: Sequence[Dest]) -> int:
    return least(dests, lambda dest: Fraction(dest.overhead))


def wlc(dests: Sequence[Dest]) -> int:
    return least(dests, lambda dest: Fraction(dest.overhead, dest.weight))


def sed(dests: Sequence[Dest]) -> int:
    return least(dests, lambda dest: Fraction(dest.active + 1, dest.weight))


def nq(dests: Sequence[Dest]) -> int:
    idle = [place for place, dest in enumerate(dests) if dest.usable and dest.active == 0]
    return idle[0] if idle else sed(dests)


def fo(dests: Sequence[Dest]) -> int:
    return least(dests, lambda dest: Fraction(-dest.weight))


def ovf(dests: Sequence[Dest]) -> int:
    fit = [(-dest.weight, place) for place, dest in enumerate(dests) if dest.usable and dest.active <= dest.weight]
    return min(fit)[1] if fit else -1


ORACLES = {"lc": lc, "wlc": wlc, "sed": sed, "nq": nq, "fo": fo, "ovf": ovf}


def load(chooser: Chooser, dests: Sequence[Dest]) -> None:
    """Put the servers into that state, as if connections had been opened here and by other workers."""
    for number, dest in zip(chooser.servers, dests, strict=True):
        server = chooser.balancer.servers[number]
        server.active, server.others_active = dest.active - dest.others, dest.others
        server.conns = dest.active - dest.others + dest.inactive
        server.others_conns = dest.others
        if dest.overloaded:
            change_limits(chooser.balancer, number, 1)
            server.overloaded = 1
            server.conns += 1  # above what relieves it


@pytest.mark.parametrize("scheduler", ORACLES)
@given(DESTS)
def test_the_server_is_the_one_of_ipvs_formula(scheduler: str, dests: list[Dest]) -> None:
    with Chooser(scheduler, [dest.weight for dest in dests]) as chooser:
        load(chooser, dests)
        assert chooser.choose() == ORACLES[scheduler](dests)


@given(DESTS)
def test_p2c_takes_a_usable_one_and_never_the_worst_of_three(dests: list[Dest]) -> None:
    with Chooser("p2c", [dest.weight for dest in dests]) as chooser:
        load(chooser, dests)
        usable = [place for place, dest in enumerate(dests) if dest.usable]
        chosen = {chooser.choose() for _ in range(20)}
        assert chosen <= set(usable) if usable else chosen == {-1}


def test_p2c_prefers_the_less_loaded() -> None:
    with Chooser("p2c", [1, 1, 2]) as chooser:
        for number, conns in zip(chooser.servers, (9, 4, 9), strict=True):  # 10, 5, 5 for a unit of weight
            chooser.balancer.servers[number].conns = conns
        assert {chooser.choose() for _ in range(100)} == {1, 2}


# --- limits -------------------------------------------------------------------------------------------------------


class IpvsDest:
    """IPVS's ip_vs_bind_dest and ip_vs_unbind_dest."""

    def __init__(self, upper: int, lower: int) -> None:
        self.upper, self.lower, self.total, self.overload = upper, lower, 0, False

    def bind(self) -> None:
        self.total += 1
        if self.upper and self.total >= self.upper:
            self.overload = True

    def unbind(self) -> None:
        self.total -= 1
        if self.lower:
            self.overload &= self.total >= self.lower
        else:
            self.overload &= bool(self.upper) and self.total * 4 >= self.upper * 3


@given(st.integers(0, 8), st.integers(0, 8), st.lists(st.booleans(), max_size=40), st.integers(0, 2))
def test_limits_have_ipvs_hysteresis(upper: int, lower: int, steps: list[bool], others: int) -> None:
    lower = min(lower, upper)
    with Chooser("rr", [1]) as chooser:
        server = chooser.balancer.servers[chooser.servers[0]]
        change_limits(chooser.balancer, chooser.servers[0], upper, lower)
        server.others_conns = min(others, max(upper - 1, 0))
        judge = IpvsDest(upper, lower)
        judge.total = server.others_conns
        for opens in steps:
            if opens:
                chosen = chooser.choose()
                assert (chosen == -1) == judge.overload
                if chosen == 0:
                    server.conns += 1
                    note_opened(server)
                    judge.bind()
            elif server.conns:
                server.conns -= 1
                judge.unbind()


def test_a_worker_keeps_to_its_quota() -> None:
    with Chooser("wlc", [1, 1]) as chooser:
        change_limits(chooser.balancer, chooser.servers[0], 10, quota=3)
        server = chooser.balancer.servers[chooser.servers[0]]
        server.conns = 2
        chooser.balancer.servers[chooser.servers[1]].conns = 5
        assert chooser.choose() == 0
        server.conns = 3
        assert chooser.choose() == 1


@pytest.mark.parametrize("limits", [(1, 2, 0), (-1, 0, 0), (5, 0, 6), (1 << 32, 0, 0)])
def test_limits_that_cannot_be(limits: tuple[int, int, int]) -> None:
    with Chooser("rr", [1]) as chooser, pytest.raises(ConfigureError):
        change_limits(chooser.balancer, chooser.servers[0], *limits)


@pytest.mark.parametrize("scheduler", [*ORACLES, "rr", "wrr", "mh", "conhash", "p2c", "sh", "dh", "lblc", "lblcr"])
def test_no_scheduler_chooses_a_full_server(scheduler: str) -> None:
    with Chooser(scheduler, [3, 2]) as chooser:
        for number in chooser.servers:
            chooser.balancer.servers[number].conns = 4
            change_limits(chooser.balancer, number, 4)
        assert {chooser.choose(client) for client in range(20)} == {-1}
        change_limits(chooser.balancer, chooser.servers[1], 5)
        assert {chooser.choose(client) for client in range(20)} <= {-1, 1}


def test_wrr_goes_on_below_full_servers() -> None:
    with Chooser("wrr", [6, 3, 2]) as chooser:
        change_limits(chooser.balancer, chooser.servers[0], 1)
        chooser.balancer.servers[chooser.servers[0]].conns = 1
        assert "".join("ABC"[chooser.choose()] for _ in range(10)) == "BBCBC" * 2


# --- slow start ---------------------------------------------------------------------------------------------------

SECOND = 1_000_000_000


def test_a_new_server_gets_its_weight_little_by_little() -> None:
    with Chooser("wrr", [2]) as chooser:
        balancer, service = chooser.balancer, chooser.balancer.services[chooser.number]
        change_scheduler(balancer, chooser.number, "wrr", Scheduling(slow_start=90))
        chooser.servers.append(add_server(balancer, chooser.number, chooser.address(9), 80, 4))
        assert [service.weights[place] for place in range(2)] == [20, 4]
        assert search_starting_service(balancer, 0) == chooser.number
        advance_starts(balancer, service, 1000 * SECOND)
        for seconds, weight in ((0, 4), (30, 16), (60, 28), (89, 39)):
            advance_starts(balancer, service, (1000 + seconds) * SECOND)
            assert [service.weights[place] for place in range(2)] == [20, weight]
        chosen = [chooser.choose() for _ in range(59)]
        assert (chosen.count(0), chosen.count(1)) == (20, 39)
        advance_starts(balancer, service, 1090 * SECOND)
        assert [service.weights[place] for place in range(2)] == [2, 4]
        assert search_starting_service(balancer, 0) == -1


@pytest.mark.parametrize(
    ("scheduler", "wrong"),
    [
        ("rr", Scheduling(slow_start=1)),
        ("wrr", Scheduling(slow_start=-1)),
        ("mh", Scheduling(flags=("sh-port",))),
        ("mh", Scheduling(hash_target="quic-id")),
        ("conhash", Scheduling(hash_target="name")),
        ("rr", Scheduling(flags=("rr-port",))),
    ],
)
def test_what_a_scheduler_cannot_be_told(scheduler: str, wrong: Scheduling) -> None:
    with Chooser("rr", [1]) as chooser, pytest.raises(ConfigureError):
        change_scheduler(chooser.balancer, chooser.number, scheduler, wrong)
