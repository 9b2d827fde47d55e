"""The table of reasons: dense numbers, names that are the constants', sentences for people."""

from __future__ import annotations

from pronghorn.wire import reasons
from pronghorn.wire.reasons import REASONS


def test_numbers_are_dense_from_one() -> None:
    assert [reason.number for reason in REASONS] == list(range(1, len(REASONS) + 1))
    assert reasons.GOOD == 0


def test_every_constant_is_in_the_table_under_its_name() -> None:
    constants = {name: value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, int)}
    assert constants.pop("GOOD") == 0
    assert constants == {reason.name: reason.number for reason in REASONS}


def test_sentences_are_distinct_english_sentences() -> None:
    sentences = [reason.sentence for reason in REASONS]
    assert len(set(sentences)) == len(sentences)
    assert all(text[0].isupper() and text.endswith(".") for text in sentences)
