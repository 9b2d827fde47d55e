"""Which of the three ways the data plane runs in this process.

`PRONGHORN_MODE` chooses: `native` (libpronghorn.so, built ahead of time), `jit` (compiled on first use, cached on
disk) or `interpreted` (plain CPython). Unset, a native library whose source hash matches this source is taken, else
`jit` where Numba is installed; otherwise start fails and says so. A library that does not match is never loaded in
silence.
"""

from __future__ import annotations

import functools
import importlib.util
import os

MODES = ("native", "jit", "interpreted")


@functools.cache
def mode() -> str:
    """`native`, `jit` or `interpreted`; fixed for the life of the process."""
    wanted = os.environ.get("PRONGHORN_MODE", "")
    if wanted:
        if wanted not in MODES:
            raise ValueError(f"PRONGHORN_MODE={wanted}: not one of {', '.join(MODES)}")
        return wanted
    from pronghorn.compiled import native

    if native.matches():
        return "native"
    if importlib.util.find_spec("numba") is not None:
        return "jit"
    raise RuntimeError(f"{native.complaint()}, and Numba is not installed: pip install 'pronghorn[jit]', or rebuild")
