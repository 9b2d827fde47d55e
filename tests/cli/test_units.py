"""Numbers for people."""

from __future__ import annotations

import pytest

from pronghorn.cli import units

COUNTS = {0: "0", 0.5: "0.50", 99.96: "100", 9999: "9999", 10_000: "10.0 k", 999_499: "999 k", 999_999: "1.00 M"}
COUNTS |= {1_234_567: "1.23 M", 1e9: "1.00 G", 5e18: "5 E"}


@pytest.mark.parametrize(("value", "text"), COUNTS.items())
def test_counts(value: float, text: str) -> None:
    assert units.count(value) == text


def test_bits() -> None:
    assert units.bits(0) == "0 b"
    assert units.bits(125) == "1000 b"
    assert units.bits(1_250_000) == "10.0 Mb"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.04, "0.0s"), (9.94, "9.9s"), (59.9, "59s"), (61, "1m01"), (3600, "1h00"), (90_000, "1d01")],
)
def test_seconds(value: float, text: str) -> None:
    assert units.seconds(value) == text


def test_percent() -> None:
    assert units.percent(0.256) == "26 %"
