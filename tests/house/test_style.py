"""Style rules that matter are tests: sizes, docstrings, and what compiled functions may contain."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.house.source import PACKAGE, ROOT, Function, functions, place, python_files, tree

FOLDERS = ("src", "tools", "bench", "examples", "tests")
FILE_LINES = 400
FUNCTION_LINES = 70

DECORATORS = {"leaf", "hot", "cold", "entry"}
FORBIDDEN_NODES = {
    ast.Raise: "raise",
    ast.Assert: "assert",
    ast.Try: "try",
    ast.With: "with",
    ast.List: "a list",
    ast.Dict: "a dict",
    ast.Set: "a set",
    ast.ListComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.GeneratorExp: "a generator",
    ast.Lambda: "a lambda",
    ast.JoinedStr: "an f-string",
    ast.Yield: "yield",
    ast.Global: "global",
    ast.Nonlocal: "nonlocal",
    ast.Delete: "del",
    ast.Import: "an import",
    ast.ImportFrom: "an import",
    ast.FunctionDef: "an inner function",
    ast.ClassDef: "an inner class",
    ast.keyword: "a keyword argument",
    ast.Starred: "a starred argument",
    ast.Div: "true division (floats)",
}
FORBIDDEN_CALLS = {"print", "isinstance", "len", "str", "repr", "list", "dict", "set", "sorted", "getattr", "open"}


def decorated(module: ast.Module) -> Iterator[Function]:
    """The functions that are compiled: those under leaf, hot or entry."""
    for function in functions(module):
        for decorator in function.decorator_list:
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            if (target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")) in DECORATORS:
                yield function
                break


def body(function: Function) -> Iterator[ast.AST]:
    """Every node below the function's statements, without its docstring."""
    first = 1 if ast.get_docstring(function) is not None else 0
    for statement in function.body[first:]:
        yield from ast.walk(statement)


def impurities(function: Function) -> Iterator[tuple[ast.AST, str]]:
    """What a compiled function contains that has no place in native code."""
    arguments = function.args
    if arguments.defaults or arguments.kw_defaults or arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
        yield function, "defaults, *args or keyword-only arguments"
    if function.returns is None or any(argument.annotation is None for argument in arguments.args):
        yield function, "an incomplete annotation (it is the compiled signature)"
    for node in body(function):
        if type(node) in FORBIDDEN_NODES:
            yield node, FORBIDDEN_NODES[type(node)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes | float | complex):
            yield node, f"a {type(node.value).__name__} constant"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            yield node, f"{node.func.id}()"


def test_files_are_short() -> None:
    files = [*python_files(*FOLDERS), *sorted((ROOT / "preload").rglob("*.[ch]"))]
    lengths = {path: len(path.read_text().splitlines()) for path in files}
    found = [f"{place(path)}: {lines} lines" for path, lines in lengths.items() if lines > FILE_LINES]
    assert not found, f"over {FILE_LINES} lines:\n" + "\n".join(found)


def test_functions_are_short() -> None:
    found = [
        f"{place(path, function)}: {function.name}, {lines} lines"
        for path in python_files(*FOLDERS)
        for function in functions(tree(path))
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES
    ]
    assert not found, f"over {FUNCTION_LINES} lines:\n" + "\n".join(found)


def test_modules_have_docstrings() -> None:
    found = [
        place(path) for path in python_files(*FOLDERS) if path.read_text().strip() and not ast.get_docstring(tree(path))
    ]
    assert not found, "no docstring:\n" + "\n".join(found)


def test_rooms_have_maps() -> None:
    """The docstring of a room's __init__ names every file in it, so that the right one is found by reading one page.

    wire/, forwarding/, schedulers/ and actions/ are their own map: one file per protocol, method, scheduler, subject.
    """
    found = []
    for folder in sorted(path for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))):
        text = ast.get_docstring(tree(folder / "__init__.py")) if (folder / "__init__.py").exists() else ""
        words = set(re.findall(r"\w+", text or ""))
        if folder.name != "wire":
            found += [place(path) for path in folder.glob("*.py") if path.stem[:2] != "__" and path.stem not in words]
    assert not found, "not in the map of their room (__init__.py):\n" + "\n".join(found)


def test_compiled_functions_are_plain() -> None:
    found = [
        f"{place(path, node)}: {function.name} contains {what}"
        for path in python_files("src")
        for function in decorated(tree(path))
        for node, what in impurities(function)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "raise ValueError",
        "assert a",
        "try:\n        pass\n    finally:\n        pass",
        "b = [a]",
        "b = {a: 1}",
        "b = f'{a}'",
        "b = 'text'",
        "b = 1.5",
        "b = a / 2",
        "b = g(a, n=1)",
        "b = len(a)",
        "b = g(*a)",
        "b = lambda: a",
    ],
)
def test_an_impurity_is_found(source: str) -> None:
    module = ast.parse(f"@hot\ndef f(a: int) -> int:\n    '''Docstring.'''\n    {source}\n    return a")
    assert [list(impurities(function)) for function in decorated(module)] != [[]]


@pytest.mark.parametrize("signature", ["f(a) -> int", "f(a: int)", "f(a: int = 1) -> int", "f(*a: int) -> int"])
def test_a_bad_signature_is_found(signature: str) -> None:
    (function,) = decorated(ast.parse(f"@compiled.entry('f')\ndef {signature}:\n    return 1"))
    assert list(impurities(function))


def test_a_plain_function_passes() -> None:
    statement = "return (a // 2 if ip.ttl > 1 else -a), a > 1"
    source = f"@leaf\ndef f(a: int, ip: IPv4) -> tuple[int, bool]:\n    '''Docstring.'''\n    {statement}"
    (function,) = decorated(ast.parse(source))
    assert not list(impurities(function))
