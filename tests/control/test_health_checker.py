"""Checkers: how checks are spread, bounded and told; and their supervisor, when they die, lie or are silent."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pronghorn.control.endpoint import parse_address
from pronghorn.control.health import checker as checkers
from pronghorn.control.health import supervisor as supervisors
from pronghorn.control.health.checker import Checker
from pronghorn.control.health.messages import Order, orders, read_tracks
from pronghorn.control.health.settings import Check
from pronghorn.control.health.supervisor import Supervisor
from pronghorn.control.health.track import Track, begun
from pronghorn.control.health.way import Failed, Way
from tests.control.test_health_probes import says, tcp


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time passes only while it waits, and then at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        select = self._selector.select  # type: ignore[attr-defined]

        def jump(timeout: float | None = None) -> Any:
            self.now += timeout or 0.0
            return select(0)

        self._selector.select = jump  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.now


def on_clock(main: Callable[[Clock], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=Clock) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Clock)
        runner.run(main(loop))


def order(port: int = 1, **values: Any) -> Order:
    check = Check.model_validate({"type": "tcp", "interval": "10s", "timeout": "2s", **values})
    return Order(check, parse_address("127.0.0.1"), port, "web", "one")


class Probes:
    """Stands for all kinds of checks."""

    def __init__(self, loop: Clock, patch: pytest.MonkeyPatch, takes: float = 0.0) -> None:
        self.began: list[tuple[float, int]] = []  # when, and of which port
        self.bad: set[int] = set()
        self.at_once = self.most = 0

        async def probe(way: Way, order: Order) -> None:
            self.began.append((loop.now - 1000, order.port))
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            try:
                await asyncio.sleep(takes)
                if order.port in self.bad:
                    raise Failed("bad")
            finally:
                self.at_once -= 1

        patch.setattr(checkers, "probe_of", lambda kind: probe)

    def times(self, port: int) -> list[float]:
        return [round(when, 3) for when, which in self.began if which == port]


def given(checker: Checker, *several: Order, drop: tuple[int, ...] = (), first: int = 1) -> None:
    wanted = {first + place: (one, begun(one.check, 0.0)) for place, one in enumerate(several)}
    for line in orders(wanted, list(drop)).splitlines():
        checker.carry_out(line)


def test_checks_are_spread_and_keep_their_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: Clock) -> None:
        probes, chances = Probes(loop, monkeypatch), iter([0.25, 0.75] + [0.5] * 1000)
        checker = Checker(Way(), lambda: next(chances))
        given(checker, order(1), order(2))
        task = loop.create_task(checker.run())
        await asyncio.sleep(31)
        assert probes.times(1) == [2.5, 12.5, 22.5]
        assert probes.times(2) == [7.5, 17.5, 27.5]
        told = read_tracks(checker.tell())
        assert [(number, track.ok) for number, track in sorted(told.items())] == [(1, 3), (2, 3)]
        assert read_tracks(checker.tell()) == {}
        task.cancel()

    on_clock(main)


def test_the_pace_changes_with_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: Clock) -> None:
        probes = Probes(loop, monkeypatch, takes=0.5)
        checker = Checker(Way(), lambda: 0.5)
        given(checker, order(1, jitter=0, fast_interval="1s", down_interval_max="40s", fall=2, rise=1))
        task = loop.create_task(checker.run())
        await asyncio.sleep(6)
        probes.bad.add(1)
        await asyncio.sleep(94)
        assert probes.times(1) == [5, 15, 16, 26, 46, 86]
        assert checker._checks[1].track.error == "bad"
        task.cancel()

    on_clock(main)


def test_so_many_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: Clock) -> None:
        probes = Probes(loop, monkeypatch, takes=1.0)
        checker = Checker(Way(), lambda: 0.5, most=7)
        given(checker, *(order(port) for port in range(1, 31)))
        task = loop.create_task(checker.run())
        await asyncio.sleep(9.9)
        assert probes.most == 7
        assert sorted(port for _, port in probes.began) == list(range(1, 31))
        task.cancel()

    on_clock(main)


def test_time_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: Clock) -> None:
        Probes(loop, monkeypatch, takes=60.0)
        checker = Checker(Way(), lambda: 0.5)
        given(checker, order(1, fall=1))
        task = loop.create_task(checker.run())
        await asyncio.sleep(7.5)
        track = checker._checks[1].track
        assert (track.up, track.error) == (False, "no answer within 2s")
        assert track.took == pytest.approx(2.0)
        task.cancel()

    on_clock(main)


def test_what_is_dropped_or_ordered_anew_is_made_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: Clock) -> None:
        probes = Probes(loop, monkeypatch, takes=1.0)
        checker = Checker(Way(), lambda: 0.5)
        given(checker, order(1), order(2), order(3))
        task = loop.create_task(checker.run())
        await asyncio.sleep(5.5)  # all of them are under way
        given(checker, drop=(1,))
        given(checker, order(4), first=2)
        await asyncio.sleep(15.5)
        assert (probes.times(1), probes.times(2)) == ([5], [5])
        assert len(probes.times(3)) == 2
        assert probes.times(4) == [10.5, 20.5]
        assert probes.at_once in (0, 1)
        assert sorted(read_tracks(checker.tell())) == [2, 3]
        task.cancel()

    on_clock(main)


# --- the process ------------------------------------------------------------------------------------------------------

GOOD = """
import sys, time
print('{"tracks": []}', flush=True)
line = sys.stdin.readline()
number = sys.stdin.readline().count('"check":')
print('{"tracks": [[1, {"up": false, "known": true, "ok": %d}]]}' % number, flush=True)
for line in sys.stdin:
    if '"check":' in line:
        print('{"tracks": [[2, {"ok": %d}]]}' % line.count('"check":'), flush=True)
"""


class Gateway:
    """What a supervisor knows of it."""

    def __init__(self) -> None:
        self.checks: dict[int, tuple[Order, Track]] = {1: (order(), Track())}
        self.told: list[dict[int, Track]] = []

    def supervisor(self, code: str) -> Supervisor:
        command = [sys.executable, "-S", "-E", "-c", code]
        return Supervisor("kernel", {}, lambda: self.checks, self.told.append, command)

    async def hears(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, self.told
            await asyncio.sleep(0.01)


def test_a_checker_is_started_told_and_ended() -> None:
    async def main() -> None:
        gateway = Gateway()
        supervisor = gateway.supervisor(GOOD)
        supervisor.change(gateway.checks, [])
        await gateway.hears(lambda: any(1 in told for told in gateway.told))
        assert gateway.told[-1][1] == Track(up=False, known=True, ok=1)
        gateway.checks[2] = order(), Track()
        supervisor.change({2: gateway.checks[2]}, [])
        await gateway.hears(lambda: any(2 in told for told in gateway.told))
        assert supervisor.pid is not None
        gateway.checks.clear()
        supervisor.change({}, [1, 2])
        await gateway.hears(lambda: supervisor.pid is None)
        await supervisor.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise SystemExit(3)", "status 3"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9"),
        ("print('nonsense', flush=True); input()", "Expecting value"),
        ("""print('{"tracks": [[1, {"ok": -1}]]}', flush=True); input()""", "out of range"),
        ("print('[' * 100000, flush=True); input()", ""),
        ("import time; time.sleep(60)", "it said nothing for 0.3 s"),
    ],
)
def test_one_that_ends_or_lies_is_replaced(
    code: str, why: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisors, "RETRY", 0.01)
    monkeypatch.setattr(supervisors, "START", 0.3 if "sleep" in code else 20.0)

    async def main() -> None:
        gateway = Gateway()
        supervisor = gateway.supervisor(code)
        supervisor.change(gateway.checks, [])
        await gateway.hears(lambda: supervisor.starts >= 3)
        await supervisor.close()
        assert supervisor.pid is None

    asyncio.run(main())
    said = capfd.readouterr().err
    assert why in said
    assert "another one in 0.01 s" in said
    assert "another one in 0.02 s" in said


def test_the_real_one_checks_and_ends_with_its_gateway() -> None:
    async def main() -> None:
        gateway = Gateway()
        async with tcp(says(b"")) as port:
            gateway.checks = {
                5: (order(port, interval="50ms"), Track()),
                6: (order(port, interval="50ms", type="ping", timeout="10ms"), Track()),
            }
            supervisor = Supervisor("kernel", {}, lambda: gateway.checks, gateway.told.append)
            supervisor.change(gateway.checks, [])
            await gateway.hears(lambda: any(told[5].ok > 2 for told in gateway.told if 5 in told))
            await supervisor.close()

    asyncio.run(main())
