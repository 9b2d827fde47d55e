"""Lines of keys, against the standard library's reader: every key it finds has a line, and that line shows the key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pronghorn.control.places import Path, line_of, places

TEXT = '''\
top = 1 # [x]
"quoted key" = "a # b"
a.b . c = [ 1,
  [2, "]"],  # comment ]
  3
]
multi = """
[not.a.table]
key = "x"
"""
literal = \'\'\'
[[nor.this]]\'\'\'
date = 1979-05-27 07:32:00

[table]
inline = { x = 1, y.z = [ { w = 2 } ] }

[[array]]
name = "first"
[[array.inner]]
n = 1
[[array.inner]]
n = 2
[[array]]
name = "second"
[array.sub]
deep = true
'''


def paths(data: Any, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from paths(value, (*path, key))


def test_every_key_has_its_line() -> None:
    found = places(TEXT)
    assert set(found) == set(paths(tomllib.loads(TEXT)))
    lines = {path: line for path, line in found.items() if path[-1] in ("c", "date", "w", "n", "deep", "name")}
    assert lines == {
        ("a", "b", "c"): 3,
        ("date",): 13,
        ("table", "inline", "y", "z", 0, "w"): 16,
        ("array", 0, "name"): 19,
        ("array", 0, "inner", 0, "n"): 21,
        ("array", 0, "inner", 1, "n"): 23,
        ("array", 1, "name"): 25,
        ("array", 1, "sub", "deep"): 27,
    }
    assert found["a", "b", "c", 1, 1] == 4
    assert found["a", "b", "c", 2] == 5


def test_what_is_missing_has_the_line_of_what_is_around_it() -> None:
    found = places(TEXT)
    assert line_of(found, ("array", 1, "nothing")) == 24
    assert line_of(found, ("nothing",)) is None


KEYS = st.text(st.sampled_from("ab-_ .#]'\n\"é"), max_size=4)
VALUES = st.recursive(
    st.one_of(st.integers(0, 9), st.booleans(), st.text(st.sampled_from("a#]}\"'\\\n,="), max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)


def string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def toml(value: Any, gap: str) -> str:
    """A value as TOML; `gap` goes where blanks and line ends may stand."""
    if isinstance(value, str):
        return string(value)
    if isinstance(value, list):
        return f"[{gap}" + "".join(f"{toml(one, gap)},{gap}" for one in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{string(key)} = {toml(one, gap)}" for key, one in value.items()) + " }"
    return str(value).lower()


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.sampled_from(["", " ", "\n", " # ]\n\n", "\r\n"]))
def test_any_document(data: dict[str, Any], gap: str) -> None:
    text = "".join(f"{string(key)} = {toml(value, gap)} # =\n" for key, value in data.items())
    read = tomllib.loads(text)
    found = places(text)
    assert set(found) == set(paths(read))
    lines = text.splitlines()
    for path, line in found.items():
        if isinstance(path[-1], str):
            assert string(path[-1]) in lines[line - 1]
