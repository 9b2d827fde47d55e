"""Pronghorn: a user-space network data plane for Linux, written in Python and shipped as native code."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`run` and `EventLoopPolicy` of the event loop over the user-space stack, imported when first asked for."""
    if name not in ("run", "EventLoopPolicy"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pronghorn.sockets import loop

    return getattr(loop, name)
