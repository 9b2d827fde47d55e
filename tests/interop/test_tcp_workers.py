"""An engine of two workers and a kernel: devices with a queue for each worker, and with one for both."""

from __future__ import annotations

import pytest

from bench.tcp.station import OWN, PORT, Station, station
from pronghorn.compiled import mode
from pronghorn.state.endpoints import endpoints_of
from pronghorn.state.mib import ESTAB_RESETS, OUT_RSTS

pytestmark = [pytest.mark.root, pytest.mark.skipif(mode() == "interpreted", reason="tests/tcp/test_workers.py does")]

CONNECTIONS = 8  # each way
OCTETS = 300_000


def resets(one: Station) -> int:
    """Sent and received, by all workers."""
    mibs = [endpoints_of(one.engine.workers[index]).mib for index in range(2)]
    return sum(mib[number] for mib in mibs for number in (OUT_RSTS, ESTAB_RESETS))


def total(one: Station, field: str) -> int:
    return sum(getattr(app, field) for app in one.apps)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("device", "queues"), [("tap", 2), ("xdp", 1), ("xdp", 2), ("packet", 2)])
def test_connections_in_and_out(device: str, queues: int, family: int) -> None:
    with station(device, workers=2, queues=queues if device == "xdp" else 1) as one:
        one.listen(family, target=OCTETS)
        logs = [f"in{number}" for number in range(CONNECTIONS)]
        peers = [one.peer("connect", OWN[family], PORT, OCTETS, OCTETS, log=log) for log in logs]
        outward = [PORT + 1 + number for number in range(CONNECTIONS)]
        logs += [f"out{port}" for port in outward]
        peers += [one.peer("serve", port, OCTETS, OCTETS, log=f"out{port}") for port in outward]
        for number, port in enumerate(outward):
            one.await_listener(port)
            one.connect(family, OCTETS, port, index=number % 2)
        assert one.run(lambda: all(peer.poll() is not None for peer in peers), 30)
        assert one.run(lambda: total(one, "ended") == 2 * CONNECTIONS, 5)
        for log in logs:
            report = one.said(log)
            assert (report["received"], report["wrong"]) == (OCTETS, 0)
        assert total(one, "received") == 2 * CONNECTIONS * OCTETS
        assert total(one, "wrong") == total(one, "failed") == resets(one) == 0
        workers = [one.engine.workers[index] for index in range(2)]
        assert min(worker.received for worker in workers) > 50, "both have worked"
