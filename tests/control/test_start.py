"""What `pronghorn up` imports before the first packet flows: little, and no compiler."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import pronghorn.cli.app, pronghorn.cli.up
import pronghorn.control.daemon, pronghorn.control.native
heavy = {"numba", "llvmlite", "numpy", "rich", "starlette", "uvicorn", "asyncio", "scapy", "pyroute2"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""


def test_the_way_up_is_light() -> None:
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
