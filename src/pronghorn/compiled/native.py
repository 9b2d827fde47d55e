"""libpronghorn.so, when it belongs to this source.

The library exports `pronghorn_source_hash`: the hash of every data-plane source file it was built from. It is loaded
only when that equals the hash of the sources beside it (an installed package carries the hash of its build and no way
to differ).
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

from pronghorn.compiled import keys

LIBRARY = Path(os.environ.get("PRONGHORN_LIBRARY") or Path(__file__).resolve().parents[1] / "libpronghorn.so")


@functools.cache
def _library() -> ctypes.CDLL | None:
    return ctypes.CDLL(str(LIBRARY)) if LIBRARY.exists() else None


def matches() -> bool:
    """Whether there is a library and it was built from these sources."""
    library = _library()
    return library is not None and _hash_of(library) == keys.source_hash()


def complaint() -> str:
    """Why the library cannot be used, as a sentence without a full stop."""
    if _library() is None:
        return f"{LIBRARY} does not exist"
    return f"{LIBRARY} was built from other sources than the ones installed (./do build makes it anew)"


def address_of(symbol: str) -> int:
    """The address of an exported function."""
    library = _library()
    if library is None or not matches():
        raise RuntimeError(complaint())
    return ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value or 0


def _hash_of(library: ctypes.CDLL) -> str:
    function = library.pronghorn_source_hash
    function.restype = ctypes.c_char_p
    value: bytes = function()
    return value.decode()
