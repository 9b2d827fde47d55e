"""Numbers that callers of the C interface need: declared beside their meaning, written into the header."""

from __future__ import annotations

CONSTANTS: dict[str, dict[str, int]] = {}
"""By what they are about, with their names in C."""


def constants(text: str, subject: str, **numbers: int) -> None:
    """Put the numbers into the C header as PRONGHORN_SUBJECT_NAME, `text` above them; an empty subject is left out.

    ValueError when others stand under this text already: they would be lost.
    """
    prefix = f"PRONGHORN_{subject}_" if subject else "PRONGHORN_"
    declared = {prefix + name: number for name, number in numbers.items()}
    if CONSTANTS.setdefault(text, declared) != declared:
        raise ValueError(f"constants: others stand under {text!r} already; choose another text")
