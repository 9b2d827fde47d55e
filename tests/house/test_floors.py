"""Imports only go down: the nine floors of the house, read from every import statement.

A room may import from its own room and from lower floors; neighbours on one floor do not know each other. Only
compiled/ knows Numba. Imports inside functions and under TYPE_CHECKING count as well, and so do import_module("...").
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source import PACKAGE, place, python_files, tree

FLOORS = (
    ("cli", "compat", "web"),
    ("control", "sockets"),
    ("engine",),
    ("input",),
    ("tcp", "udp", "balancer", "programs"),
    ("ports", "net"),
    ("state",),
    ("wire", "memory"),
    ("compiled",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
DOOR = ""  # pronghorn/__init__.py and __main__.py stand above every floor
COMPILERS = ("numba", "llvmlite")


def imports(module: ast.Module, package: str) -> Iterator[tuple[ast.AST, str]]:
    """Every dotted name that the module imports; `from a import b` gives `a.b`. `package` resolves relative imports."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            origin = ".".join(filter(None, [base, node.module]))
            yield from ((node, f"{origin}.{name.name}") for name in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            argument = node.args[0]
            if called in ("import_module", "__import__") and isinstance(argument, ast.Constant):
                yield node, str(argument.value)


def room_of(name: str) -> str | None:
    """The room that a dotted name lies in; DOOR for the package itself, None outside it."""
    parts = name.split(".")
    if parts[0] != "pronghorn":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in FLOOR else DOOR


def offences(module: ast.Module, package: str) -> list[tuple[ast.AST, str]]:
    """The imports of a module in `package` (pronghorn.wire) that the floors forbid."""
    here = room_of(package)
    assert here is not None
    found = []
    for node, name in imports(module, package):
        there = room_of(name)
        if name.split(".")[0] in COMPILERS and here != "compiled":
            found.append((node, f"{here or 'pronghorn'} imports {name}; only compiled/ may"))
        elif there is None or there == here or here == DOOR:
            continue
        elif there == DOOR:
            found.append((node, f"{here} imports {name} from the package's front door"))
        elif FLOOR[there] <= FLOOR[here]:
            way = "its neighbour" if FLOOR[there] == FLOOR[here] else "upwards"
            found.append((node, f"{here} imports {way}: {name}"))
    return found


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).parent.parts)


def test_imports_only_go_down() -> None:
    found = [
        f"{place(path, node)}: {text}"
        for path in python_files("src/pronghorn")
        for node, text in offences(tree(path), package_of(path))
    ]
    assert not found, "\n".join(found)


def test_every_room_has_a_floor() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0] for path in python_files("src/pronghorn") if path.parent != PACKAGE}
    assert rooms <= FLOOR.keys(), f"no floor for {sorted(rooms - FLOOR.keys())}"


@pytest.mark.parametrize(
    ("package", "statement"),
    [
        ("pronghorn.wire", "from pronghorn.memory import pool"),
        ("pronghorn.wire", "import pronghorn.engine.turn"),
        ("pronghorn.wire", "from pronghorn import state"),
        ("pronghorn.wire", "from ..net import output"),
        ("pronghorn.balancer.forwarding", "from ...tcp import tcb"),
        ("pronghorn.tcp", "def late():\n    import pronghorn.udp"),
        ("pronghorn.net", 'importlib.import_module("pronghorn.control.daemon")'),
        ("pronghorn.net", "from pronghorn import __version__"),
        ("pronghorn.engine", "import numba"),
        ("pronghorn.cli", "from llvmlite import ir"),
    ],
)
def test_an_offence_is_found(package: str, statement: str) -> None:
    assert offences(ast.parse(statement), package)


@pytest.mark.parametrize(
    ("package", "statement"),
    [
        ("pronghorn.engine", "from pronghorn.wire import ipv4"),
        ("pronghorn.wire", "from . import ethernet"),
        ("pronghorn.wire", "from .ethernet import check"),
        ("pronghorn.balancer.forwarding", "from ..conn import Conn"),
        ("pronghorn.compiled", "import numba"),
        ("pronghorn", "from pronghorn.sockets import socket"),
        ("pronghorn.net", "import socket"),
    ],
)
def test_a_good_import_passes(package: str, statement: str) -> None:
    assert not offences(ast.parse(statement), package)
