"""The TLS contexts of checks, made once for checks that want the same."""

from __future__ import annotations

import ssl
from functools import lru_cache

from pronghorn.control.health.settings import Check


def context_of(check: Check, protocol: str | None = None) -> ssl.SSLContext:
    """What the check believes. `protocol`: to agree on by ALPN. OSError, ssl.SSLError."""
    return _context(check.verify, check.ca, protocol)


@lru_cache(64)
def _context(verify: bool, ca: str | None, protocol: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if protocol:
        context.set_alpn_protocols([protocol])
    return context
