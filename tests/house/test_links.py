"""Documentation tells the truth: every link leads to a file that exists and defines the name it shows.

[`ipv4_input`](src/pronghorn/input/ipv4.py) promises that the file defines `ipv4_input` at its top level
(`Class.method` works too). [`wire/`](src/pronghorn/wire) promises a path that ends so. Links with a fragment into
a page promise a heading.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from tests.house.source import ROOT, documents, place, python_files, tree

LINK = re.compile(r"(?<!!)\[((?:`[^`]*`|[^\]`])*)\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def links(text: str) -> Iterator[tuple[str, str]]:
    """(text, target) of every link outside code blocks."""
    return ((match[1], match[2]) for match in LINK.finditer(CODE_BLOCK.sub("", text)))


def defines(path: Path, name: str) -> bool:
    """True when the file defines the name: at a Python module's top level, or as a word of any other file."""
    if path.suffix != ".py":
        return re.search(rf"\b{re.escape(name)}\b", path.read_text()) is not None
    body: list[ast.stmt] = tree(path).body
    *outer, last = name.removesuffix("()").split(".")
    for part in outer:
        body = next((node.body for node in body if isinstance(node, ast.ClassDef) and node.name == part), [])
    return last in {defined for node in body for defined in names(node)}


def names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))


def headings(text: str) -> set[str]:
    """The fragments that a page's headings have, as GitHub forms them."""
    titles = re.findall(r"^#+ (.+)$", CODE_BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def complaint(page: Path, text: str, target: str) -> str:
    """What is wrong with a link on a page; empty when it holds."""
    if re.match(r"[a-z]+:", target):
        return ""
    file, _, fragment = unquote(target).partition("#")
    path = (page.parent / file).resolve() if file else page
    if not path.exists() or not path.is_relative_to(ROOT):
        return "leads nowhere"
    if fragment and path.suffix == ".md" and fragment not in headings(path.read_text()):
        return f"no heading #{fragment}"
    if not (text.startswith("`") and text.endswith("`")):
        return ""
    name = text.strip("`")
    if "/" in name or name == path.name or path.is_dir():
        return "" if f"/{path.relative_to(ROOT)}".endswith("/" + name.rstrip("/")) else f"is not {name}"
    return "" if defines(path, name) else f"does not define {name}"


def test_every_link_holds() -> None:
    found = [
        f"{place(page)}: [{text}]({target}) {wrong}"
        for page in documents()
        for text, target in links(page.read_text())
        if (wrong := complaint(page, text, target))
    ]
    assert not found, "\n".join(found)


def test_the_way_of_a_packet_is_linked() -> None:
    """ARCHITECTURE.md names functions, not only files; without links the test above would hold nothing."""
    page = ROOT / "ARCHITECTURE.md"
    functions = [text for text, target in links(page.read_text()) if text.startswith("`") and target.endswith(".py")]
    assert len(functions) >= 10


def drawn(text: str) -> set[str]:
    """The words of a page's drawings that look like functions, classes or verdicts."""
    blocks = re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    code = re.compile(r"\b(?:[a-z]\w*_\w+|[A-Z]+_[A-Z_]+|(?:[A-Z][a-z]+){2,})\b")
    return {word for block in blocks for word in code.findall(block)}


def test_drawings_name_what_exists() -> None:
    """A word such as ipv4_input in a drawing of ARCHITECTURE.md is defined somewhere in the package."""
    defined = {name for path in python_files("src") for node in ast.walk(tree(path)) for name in names(node)}
    words = drawn((ROOT / "ARCHITECTURE.md").read_text())
    assert len(words) > 20
    assert not words - defined


def test_broken_links_are_found() -> None:
    here = Path(__file__)
    assert not complaint(here, "`complaint`", "test_links.py")
    assert not complaint(here, "`house/`", "../house")
    assert complaint(here, "`no_such_function`", "test_links.py") == "does not define no_such_function"
    assert complaint(here, "text", "no_such_file.py") == "leads nowhere"
    assert complaint(here, "`wire/`", "../house") == "is not wire/"
    assert complaint(here, "text", "../../README.md#no-such-heading") == "no heading #no-such-heading"


def test_decision_records_are_numbered_in_order_and_listed() -> None:
    """Each opens with its number, and docs/adr/README.md lists all of them with their titles, in order."""
    folder = ROOT / "docs/adr"
    records = sorted(folder.glob("[0-9]*.md"))
    numbers = [path.name[:4] for path in records]
    assert numbers == [f"{number:04}" for number in range(len(numbers))]
    titles = {path.name: path.read_text().splitlines()[0] for path in records}
    for name, title in titles.items():
        assert title.startswith(f"# {name[:4]}: "), name
    listed = re.findall(r"^\| \[(\d{4})\]\((.+?)\) \| (.+?) \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert listed == [(name[:4], name, title[8:]) for name, title in titles.items() if name[:4] != "0000"]
