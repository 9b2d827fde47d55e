"""Several threads that sleep for one listener: EPOLLEXCLUSIVE wakes one of them for a connection, and none is lost."""

from __future__ import annotations

import pytest

from pronghorn.compiled import mode
from tests.preload.link import say
from tests.preload.test_calls import script
from tests.preload.test_fork import Programs, programs, running

__all__ = ["programs", "running"]

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")

TIMES = 60


@pytest.mark.parametrize("model", ["completion", "wakeup"])
@pytest.mark.parametrize("how", ["exclusive", ""])
def test_sleepers(programs: Programs, how: str, model: str) -> None:
    port = 7371 + 2 * (how == "") + (model == "wakeup")
    words = [how] if how else []
    server = programs.start(*script("sleepers", str(port), str(TIMES), *words), PRONGHORN_STACK=model)
    assert say(server)["ready"]
    said = programs.ask(port, TIMES)
    assert all([answer[0] for answer in answers] == ["one", "two"] for answers in said), said
    counts = say(server)
    assert counts["accepted"] == TIMES
    assert how == "" or counts["woken"] <= TIMES * 11 // 10
