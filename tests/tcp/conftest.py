"""Engines under attack, one for each family and module: tests leave them as they found them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tcp.victim import Victim


@pytest.fixture(scope="module")
def victims() -> Iterator[dict[int, Victim]]:
    made: dict[int, Victim] = {}
    yield made
    for one in made.values():
        one.engine.close()


@pytest.fixture(params=[4, 6])
def victim(request: pytest.FixtureRequest, victims: dict[int, Victim]) -> Iterator[Victim]:
    """After the test everything is closed, and nothing is left of it."""
    if request.param not in victims:
        victims[request.param] = Victim(request.param)
    yield victims[request.param]
    kept = victims.pop(request.param)  # one that is not as it was is used no more
    kept.end()
    victims[request.param] = kept
