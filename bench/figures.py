"""Numbers as people read them: 97.7 M, 62,031, 0.42."""

from __future__ import annotations


def short(value: float | None) -> str:
    """Three or four digits that matter, and a dash for what is missing."""
    if value is None:
        return "-"
    if abs(value) >= 1e6:
        return f"{value / 1e6:,.1f}".removesuffix(".0") + " M"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
