"""Real programs on the user-space stack, each with its own client; nobody told them (catalogue.py, places.py).

A few of them run with all tests; the rest are marked `real`, and `./do check --all` runs them.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pronghorn.compiled import mode
from tests.programs.real import proxies
from tests.programs.real.catalogue import CASES, Case
from tests.programs.real.places import PLACES, Stood, scratch, stand

pytestmark = pytest.mark.skipif(
    mode() == "interpreted", reason="the programs are compiled, whatever mode the tests have"
)


assert proxies  # whose cases are in the catalogue as well

SIX_MODES = {"": "wakeup", "xdp": "completion", "packet": "wakeup"}
"""The thread model that a case has over IPv6, by the gateway's driver; over IPv4 it has all of them."""


def cases() -> Iterator[object]:
    for name, case in CASES.items():
        for place in case.places:
            for driver in ("",) if place == "direct" else ("xdp", "packet"):
                for thread_model, family in ways(case, driver):
                    often = f"{place}-{thread_model if family == 4 else 'ipv6'}" in case.ordinary
                    marks = [] if often and driver != "packet" else [pytest.mark.real]
                    marks += [pytest.mark.root] if driver else []
                    parts = (name, place, driver, thread_model, "" if family == 4 else "ipv6")
                    yield pytest.param(*parts[:4], family, marks=marks, id="-".join(filter(None, parts)))


def ways(case: Case, driver: str) -> Iterator[tuple[str, int]]:
    yield from ((thread_model, 4) for thread_model in case.modes)
    yield SIX_MODES[driver] if SIX_MODES[driver] in case.modes else case.modes[0], 6


@pytest.fixture(scope="session")
def gateway(library: Path) -> Iterator[Callable[[str], Stood]]:
    """The gateways that run, by their driver; started when the first test needs it."""
    running: dict[str, Stood] = {}
    with contextlib.ExitStack() as stack:

        def with_driver(driver: str) -> Stood:
            if driver not in running:
                running[driver] = stack.enter_context(stand(driver, library))
            return running[driver]

        yield with_driver


@pytest.mark.parametrize(("name", "where", "driver", "thread_model", "family"), list(cases()))
def test_program(
    name: str,
    where: str,
    driver: str,
    thread_model: str,
    family: int,
    library: Path,
    gateway: Callable[[str], Stood],
) -> None:
    case, folder = CASES[name], scratch()
    more = {"stood": gateway(driver)} if driver else {}
    place = PLACES[where](thread_model, folder, library, case.strict, family, **more)
    try:
        case.run(place)
        place.judge(case.lasting)
    finally:
        place.close()
        shutil.rmtree(folder, ignore_errors=True)
