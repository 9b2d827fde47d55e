"""Rates are what changed between two looks, per second."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pronghorn.control.load import loads
from pronghorn.control.plan import plan
from pronghorn.control.rates import PAUSE, Rates, with_rates
from pronghorn.control.views import DropView
from tests.control.fake import FakeEngine
from tests.control.gateways import CONFIG


def drop(verdict: str, count: int) -> DropView:
    return DropView(verdict=verdict, severity="info", sentence="", count=count)


def test_rates_are_changes_per_second() -> None:
    before, after = [drop("A", 10), drop("B", 5)], [drop("B", 5), drop("A", 40), drop("C", 9)]
    assert {view.verdict: view.rate for view in with_rates(before, after, 2.0)} == {"A": 15.0, "B": 0.0, "C": 0.0}


def test_a_counter_that_was_reset_has_no_negative_rate() -> None:
    assert with_rates([drop("A", 10)], [drop("A", 0)], 1.0)[0].rate == 0.0


def test_servers_inside_services_have_rates() -> None:
    config = loads(CONFIG)
    engine = FakeEngine(config.empty())
    for action in plan(config.empty(), config):
        action.carry_out(engine)
    (service,) = with_rates(engine.services(), engine.services(), 0.5)
    assert [server.packet_rate_in for server in service.servers] == [2000.0, 2000.0]


def test_a_question_soon_after_another_needs_no_second_look() -> None:
    now, looks = [100.0], 0

    def look() -> Sequence[Any]:
        nonlocal looks
        looks += 1
        return [drop("A", looks * 10)]

    async def ask() -> float:
        rates = Rates(lambda: now[0])
        await rates.watch("drops", look)
        assert looks == 2
        now[0] += 5 * PAUSE
        (view,) = await rates.watch("drops", look)
        assert looks == 3
        return float(view.rate)

    assert asyncio.run(ask()) == 10 / (5 * PAUSE)
