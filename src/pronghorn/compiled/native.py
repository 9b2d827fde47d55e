"""libpronghorn.so, when it belongs to this source.

The library exports `pronghorn_source_hash`: the hash of every data-plane source file it was built from, and whether it
checks bounds. It is loaded only when that equals what this process wants (an installed package carries the hash of its
build and no way to differ). The bounds-check mode has a library of its own beside the ordinary one.
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

from pronghorn.compiled import bounds, keys

ORDINARY = Path(__file__).resolve().parents[1] / "libpronghorn.so"
LIBRARY = Path(os.environ.get("PRONGHORN_LIBRARY") or ORDINARY.with_stem("libpronghorn" + "-bounds" * bounds.ENABLED))


@functools.cache
def _library() -> ctypes.CDLL | None:
    return ctypes.CDLL(str(LIBRARY)) if LIBRARY.exists() else None


def matches() -> bool:
    """Whether there is a library and it was built from these sources, for this mode of bounds checking."""
    library = _library()
    return library is not None and _hash_of(library) == keys.build_hash()


def complaint() -> str:
    """Why the library cannot be used, as a sentence without a full stop."""
    library = _library()
    if library is None:
        return f"{LIBRARY} does not exist"
    if _hash_of(library).removesuffix(keys.CHECKED) == keys.source_hash():
        return f"{LIBRARY} was built {'without' if bounds.ENABLED else 'with'} bounds checks (PRONGHORN_BOUNDS)"
    return f"{LIBRARY} was built from other sources than the ones installed (./do build makes it anew)"


def library() -> ctypes.CDLL:
    """The library; RuntimeError says why it cannot be used."""
    found = _library()
    if found is None or not matches():
        raise RuntimeError(complaint())
    return found


def address_of(symbol: str) -> int:
    """The address of an exported function."""
    return ctypes.cast(getattr(library(), symbol), ctypes.c_void_p).value or 0


def _hash_of(library: ctypes.CDLL) -> str:
    function = library.pronghorn_source_hash
    function.restype = ctypes.c_char_p
    value: bytes = function()
    return value.decode()
