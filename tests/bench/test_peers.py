"""What the peers print, read from recorded samples; and the kernel's rules, tried on the real stage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench import cores, gateway
from bench.drain import failures
from bench.peers import nftables, testpmd, wrk
from tests.peers import namespaces
from tests.peers.http_server import serve
from tests.peers.topology import SERVICE4, SERVICE6, Topology, topology

SAMPLE = (Path(__file__).parent / "testpmd.txt").read_text()

WRK = """Running 5s test @ http://10.0.0.100/
  1 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   780.65us  351.90us  10.36ms   86.18%
    Req/Sec    64.02k     2.83k   69.18k    72.55%
  318391 requests in 5.01s, 61.64MB read
{errors}Requests/sec:  63583.11
Transfer/sec:     12.31MB
"""


def test_what_testpmd_sent_is_read_from_a_recorded_session() -> None:
    # Two shows of two ports, and after them the summary of the stop, which is not to be read.
    found = testpmd.sent(SAMPLE)
    assert len(found) == 4
    assert all(later > earlier for earlier, later in zip(found[:2], found[2:], strict=True))


def test_testpmd_keeps_its_main_thread_off_the_measured_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "split", lambda: (3, [1, 2]))
    command = testpmd.command("io", testpmd.RING)
    assert command[command.index("-l") + 1] == "1,3"
    assert command[command.index("--main-lcore") + 1] == "1"
    assert command.count("--vdev") == 2
    assert "--forward-mode=io" in command[command.index("--") :]


def test_wrk_is_read() -> None:
    assert wrk.parse(WRK.format(errors="")) == wrk.Load(318391, 63583.11, 0)
    errors = "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\n"
    assert wrk.parse(WRK.format(errors=errors)).failures == 15
    with pytest.raises(RuntimeError, match="no summary"):
        wrk.parse("unable to connect")


def test_failures_count_what_never_came() -> None:
    assert (
        failures(["200 0 text/plain;server=server1"] * 3 + ["200 18 text/plain", "503 0 text/html", "000 28 "], 10) == 7
    )


def test_the_kernel_balances_both_families() -> None:
    if reason := namespaces.available():
        pytest.skip(reason)
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed")
    with topology(servers=2, forward=True) as top:
        for node in top.servers:
            serve(node)
        nftables.balance(top)
        for service in (SERVICE4, f"[{SERVICE6}]"):
            assert set(answers(top, service)) == {"server1", "server2"}


def answers(top: Topology, service: str) -> list[str]:
    """Who answered four connections, one after the other."""
    urls = [f"http://{service}/"] * 4
    return top.client.namespace.run("curl", "-s", "-H", "Connection: close", *urls).stdout.split()


def test_the_gateway_gets_a_valid_configuration(tmp_path: Path) -> None:
    from pronghorn.control.load import load

    if reason := namespaces.available():
        pytest.skip(reason)
    with topology(servers=2) as top:
        path = tmp_path / "gateway.toml"
        path.write_text(gateway.configuration(top, "bench"))
    config = load(path)
    assert [port.name for port in config.ports] == ["client", "server1", "server2"]
    assert [len(service.servers) for service in config.services] == [2, 2]
