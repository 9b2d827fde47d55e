"""The C header: what it says of functions, structures and numbers. That compilers take it: test_native.py."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pronghorn.compiled import Array, Const, View, constants, u8, u16, u32
from pronghorn.compiled.constants import CONSTANTS
from pronghorn.compiled.functions import Function
from pronghorn.compiled.header import header


class Parcel(View, align=8):
    """Something that is sent. It has
    two lines."""

    weight: u16  # grams
    # not about a field
    kind: u16
    price: u32  # cents; never */ more than `most_of_all`
    octets: Array[u8]  # what is inside


def most_of_all(parcel: Parcel, octets: Const[u8], room: Array[u8]) -> int:
    """The largest.

    Returns it, */ or 0 when there is `none_at_all`.
    """
    return parcel.price + octets.address + room.address


def none_at_all(register: int) -> bool:
    """Whether there is one."""
    return register == 0


def text() -> str:
    bodies: list[Any] = [most_of_all, none_at_all]
    return header([Function(getattr(body, "body", body), "entry") for body in bodies])


def test_functions_say_what_their_docstrings_say() -> None:
    assert (
        "/*\n * The largest.\n *\n * Returns it, * / or 0 when there is `pronghorn_none_at_all`.\n */\n"
        "int64_t pronghorn_most_of_all(struct pronghorn_parcel *parcel, const uint8_t *octets, uint8_t *room);\n"
    ) in text()
    assert "/* Whether there is one. */\nbool pronghorn_none_at_all(int64_t register_);\n" in text()


def test_structures_say_what_their_fields_are() -> None:
    found = re.search(
        r"/\*\n \* Something that is sent. It has\n \* two lines.\n \*/\nstruct pronghorn_parcel \{(.*?)\}",
        text(),
        re.S,
    )
    assert found is not None
    assert [line.strip() for line in found[1].strip().splitlines()] == [
        "uint16_t weight; /* grams */",
        "uint16_t kind;",
        "uint32_t price; /* cents; never * / more than `pronghorn_most_of_all` */",
        "uint64_t octets; /* address of uint8_t[]: what is inside */",
    ]


def test_numbers_are_there_by_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(CONSTANTS):
        monkeypatch.delitem(CONSTANTS, name)
    constants("Why not.", "POST", CLOSED=-1, FULL=-2)
    constants("Anything.", "", ODD=1)
    assert "/* Anything. */\nenum {\n    PRONGHORN_ODD = 1,\n};\n\n/* Why not. */\nenum {\n" in text()
    assert "    PRONGHORN_POST_CLOSED = -1,\n    PRONGHORN_POST_FULL = -2,\n};" in text()
    constants("Large.", "", LARGE=1 << 40)  # an enumerator of ISO C is an int
    assert "/* Large. */\n#define PRONGHORN_LARGE INT64_C(1099511627776)\n" in text()
    constants("Anything.", "", ODD=1)  # a module that is loaded again
    with pytest.raises(ValueError, match=r"others stand under 'Anything.'"):
        constants("Anything.", "", EVEN=2)
    CONSTANTS.clear()
