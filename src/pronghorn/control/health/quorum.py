"""Whether a service has enough servers, as keepalived's quorum and hysteresis say. Pure.

It is lost when the weights of usable servers sum up to less than quorum - hysteresis, and there again from
quorum + hysteresis on.
"""

from __future__ import annotations


def is_enough(was: bool, weights: int, quorum: int, hysteresis: int) -> bool:
    """Whether so much weight is enough, when it was (not) before."""
    return weights >= max(quorum - hysteresis, 1) if was else weights >= quorum + hysteresis
