"""What every test shares: the mode in the header, hypothesis' settings, the `root` marker, a runtime directory.

The same tests run in every mode of pronghorn.compiled, chosen by PRONGHORN_MODE; `./do test` runs them compiled (jit)
and interpreted. A test marked `root` gets a machine that grants network namespaces, or is skipped with the reason.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pronghorn.compiled import mode
from tests.support import library

MODE = mode()

settings.register_profile(
    "pronghorn",
    deadline=None,  # the first call of a compiled function compiles it
    derandomize="CI" in os.environ,
    max_examples=30 if MODE == "interpreted" else 100,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("pronghorn")


@functools.cache
def refusal() -> str:
    """Why network namespaces cannot be made here; empty when they can."""
    if os.geteuid() != 0:
        return "needs root: run `sudo ./do test`, or `unshare --map-root-user --net --mount ./do test`"
    if not shutil.which("ip"):
        return "needs iproute2"
    command = ["unshare", "--net", "ip", "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"]
    probe = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
    return f"network namespaces are refused: {probe.stderr.strip()}" if probe.returncode else ""


@pytest.fixture(scope="session", autouse=True)
def runtime_directory_of_this_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Gateways and user-veths are found by name: tests that run at the same time must not find each other's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRONGHORN_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        yield


@pytest.fixture(scope="session")
def native_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """libpronghorn.so of these sources, pronghorn.h beside it."""
    return library.native_library(tmp_path_factory.mktemp("native"))


def pytest_report_header() -> str:
    return f"pronghorn: mode {MODE}, network namespaces: {refusal() or 'granted'}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root") and refusal():
        pytest.skip(refusal())
