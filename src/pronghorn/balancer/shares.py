"""Limits of services, divided over the workers by use. Plain Python, for the control plane's thread, now and then.

    shares = Shares()
    shares.look(balancers, call)          # call(worker's index, change) runs change(balancer) between two of its turns

A tenth is divided equally, and the rest in proportion to what workers were asked for since the last look: so one whom
nobody asked has something to begin with. Of connections a worker has those that are open, and a share of that kind of
what is left to the total.

All workers that get less are told first; what the others get is what these have given up. So the shares never add up to
more than the total, except that a worker is not told to end connections: when the total itself becomes less, time does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pronghorn.balancer.set_limits import Wanted, set_rate
from pronghorn.balancer.tables import ASKS_LIMITS, Balancer

Call = Callable[[int, Callable[[Balancer], None]], None]

EQUAL = 10
"""One part in so many is divided equally."""

WORTH = 20
"""A share changes if it does by more than one part in so many."""

BUCKETS = tuple(Wanted().rates)


class Shares:
    """Remembers what was asked for until the last look."""

    def __init__(self) -> None:
        self.asked: dict[tuple[int, str], list[int]] = {}

    def look(self, balancers: Sequence[Balancer], call: Call) -> None:
        """Divide anew what services ask to be limited."""
        if len(balancers) < 2:
            return
        first = balancers[0]
        for number in range(first.service_limit):
            if first.services[number].ports != 0 and first.services[number].asks & ASKS_LIMITS:
                self._divide(number, balancers, call)

    def _divide(self, number: int, balancers: Sequence[Balancer], call: Call) -> None:
        use = {name: self._use(number, name, balancers) for name in BUCKETS}
        for name in BUCKETS:
            rates = [getattr(balancer.limits[number], name).rate for balancer in balancers]
            if any(rates):
                _give(rates, split(sum(rates), use[name]), number, name, call)
        if balancers[0].limits[number].upper != 0:
            full = self._use(number, "full", balancers)
            asked = [one + more for one, more in zip(use["connections"], full, strict=True)]
            _give_quotas(number, balancers, asked, call)

    def _use(self, number: int, name: str, balancers: Sequence[Balancer]) -> list[int]:
        """What each worker was asked for since the last look."""
        limits = [balancer.limits[number] for balancer in balancers]
        now = [one.full if name == "full" else getattr(one, name).asked for one in limits]
        before = self.asked.get((number, name), now)
        self.asked[number, name] = now
        return [max(0, new - old) for new, old in zip(now, before, strict=True)]


def split(total: int, use: Sequence[int]) -> list[int]:
    """Shares of a total, whole numbers that add up to it."""
    workers, asked = len(use), sum(use)
    base = total // EQUAL if asked else total
    shares = [base // workers + ((total - base) * one // asked if asked else 0) for one in use]
    most = max(range(workers), key=lambda worker: use[worker])
    shares[most] += total - sum(shares)
    return shares


def _give(rates: list[int], wanted: list[int], number: int, name: str, call: Call) -> None:
    if not _worth(rates, wanted):
        return
    for less in (True, False):
        for worker, (old, new) in enumerate(zip(rates, wanted, strict=True)):
            if new != old and (new < old) == less:
                call(worker, lambda balancer, rate=new: set_rate(getattr(balancer.limits[number], name), rate))  # type: ignore[misc]


def _give_quotas(number: int, balancers: Sequence[Balancer], use: list[int], call: Call) -> None:
    total = balancers[0].limits[number].upper
    quotas = [balancer.limits[number].quota for balancer in balancers]
    conns = [balancer.services[number].conns for balancer in balancers]
    left = split(max(0, total - sum(conns)), use)
    wanted = [have + more for have, more in zip(conns, left, strict=True)]
    if not _worth(quotas, wanted):
        return
    for worker, new in enumerate(wanted):
        if new < quotas[worker]:
            call(worker, lambda balancer, quota=new: _lower(balancer, number, quota))  # type: ignore[misc]
            quotas[worker] = balancers[worker].limits[number].quota
    for worker, new in enumerate(wanted):
        more = min(new - quotas[worker], total - sum(quotas))
        if more > 0:
            quotas[worker] += more
            call(worker, lambda balancer, quota=quotas[worker]: _raise(balancer, number, quota))  # type: ignore[misc]


def _lower(balancer: Balancer, number: int, quota: int) -> None:
    """Not below what the worker has now."""
    balancer.limits[number].quota = min(balancer.limits[number].quota, max(quota, balancer.services[number].conns))


def _raise(balancer: Balancer, number: int, quota: int) -> None:
    balancer.limits[number].quota = quota


def _worth(old: Sequence[int], new: Sequence[int]) -> bool:
    """Whether some share would change by so much that it is worth the trouble."""
    return any(abs(a - b) * WORTH > max(a, b) for a, b in zip(old, new, strict=True))
