"""What a newcomer will write and the data plane has not: an error that names file, line, what, and what to do."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pronghorn.compiled import mode

pytestmark = pytest.mark.skipif(mode() != "jit", reason="about the compiler")

HEAD = """\
import math
from pronghorn.compiled import Array, View, array_at, external, hashing, hot, i32, leaf, load32, u8, u32, u64

class Flow(View):
    packets: u32
    numbers: Array[u64]

ORDINARY = [1, 2, 3]
NAME = "x"
RATE = 0.5
HUGE = 2**64 - 1

def plain(a: int) -> int:
    return a

@leaf
def flag(a: bool) -> int:
    return 1 if a else 0

@hot
def count(a: int) -> int:
    return count(a - 1) + 1 if a > 0 else 0

nowhere = external("pronghorn_nowhere_at_all", (i32,), i32)
"""

CYCLES = """\
@leaf
def ping(a: int) -> int:
    return pong(a)

@leaf
def pong(a: int) -> int:
    return ping(a) if a else 0

@leaf
def endless(a: int) -> int:
    return endless(a - 1)
"""

INT = "a: int) -> int"
EXPRESSIONS = [
    ("a / 2", "write //"),
    ("a ** a", "shift or multiply"),
    ("2 ** 70", "shift or multiply"),
    ("a @ a", "no meaning"),
    ("a * 0.5", "a float"),
    ("a & 0xFFFF_FFFF_FFFF_FFFF", "does not fit into a signed 64-bit int"),
    ("a + 2**63", "does not fit"),
    ("a - HUGE", "does not fit"),
    ("flag(a=True)", "keyword arguments"),
    ("flag(*(a,))", "write the arguments out"),
    ("flag(a)", "int where bool is declared"),
    ("flag(True, a)", "takes 1 arguments, not 2"),
    ("load32(a, a)", "takes 1 arguments, not 2"),
    ("plain(a)", "plain is an ordinary Python function: decorate it"),
    ("undefined + a", "undefined is not defined"),
    ("hashing.undefined(a)", "hashing.undefined is not defined"),
    ("math.pi + a", "math.pi is of type float"),
    ("math.gcd(a, 2)", "math.gcd cannot be called"),
    ("ORDINARY[a]", "ORDINARY is of type list"),
    ("len(ORDINARY)", "len cannot be called"),
    ("NAME + a", "NAME is of type str"),
    ("RATE * a", "RATE is of type float"),
    ("int(a)", "int cannot be called"),
    ("a.bit_length()", "is a method"),
    ("Flow.offset('packets') + a", "keep its result in a constant"),
    ("a in (1, 2)", "compare with == and `or`"),
    ("a is None", "`is` is about objects"),
    ("(a, a)[0]", "a tuple is made to be returned"),
    ("max(a)", "max of one number"),
    ("~(a > 1)", "write `not`"),
    ("f'{a}'", "no strings"),
    ("'text'", "a string"),
    ("None", "returns none where int is declared"),
    ("[a]", "makes no objects"),
    ("{a: a}", "makes no objects"),
    ("sum(k for k in range(a))", "sum cannot be called"),
    ("(lambda: a)()", "write a @leaf beside it"),
    ("(b := a)", "assign on a line of its own"),
    ("Flow(a)", "returns Flow where int is declared"),
    ("Flow(a > 1).packets", "a bool is no address"),
    ("Flow(None).packets", "None"),
    ("Flow(Flow(a)).packets", "Cannot cast Flow to int"),
    ("Flow(a) == Flow(a)", "compare their .address"),
    ("1 if Flow(a) else 0", "a view is no truth value"),
    ("not Flow(a)", "a view is no truth value"),
    ("Flow(a).octets", "octets"),
    ("Flow(a).numbers[1:2]", "slices are not compiled"),
    ("ping(a)", "a leaf cannot be part of itself"),
    ("endless(a)", "a leaf cannot be part of itself"),
]
STATEMENTS = [
    ("try:\n        a = 1\n    except ValueError:\n        a = 2", "return a verdict"),
    ("raise ValueError", "return a verdict"),
    ("assert a", "return a verdict"),
    ("with a:\n        pass", "`with` is not compiled"),
    ("global NAME\n    NAME = 2", "keep state in a View"),
    ("import math", "Import is no part"),
    ("del a", "Delete is no part"),
    ("yield a", "generators are not compiled"),
    ("print(a)", "print cannot be called"),
    ("match a:\n        case 1:\n            pass", "write an if-chain"),
    ("def inner() -> int:\n        return 1", "write a @leaf beside it"),
    ("b: int", "assign the value here"),
    ("for b in (1, 2):\n        pass", "runs over range"),
    ("for b in range(0, 9, a):\n        pass", "must be a number, not 0"),
    ("for b in range(0, 9, 0):\n        pass", "must be a number, not 0"),
    ("if a:\n        b = 1\n    a = b", "b may have no value here"),
    ("for b in range(a):\n        pass\n    a = b", "b may have no value here"),
    ("while a:\n        b = 1\n        a -= 1\n    a = b", "b may have no value here"),
    ("a = Flow(a)\n    a = 1\n    Flow(a).address = 5", "address cannot be assigned"),
    ("Flow(a).packets = Flow(a)", "Flow"),
    ("b, c = (a, a, a)", "a tuple of 3 cannot be unpacked into 2"),
]
SIGNATURES = [
    ("a) -> int:\n    return 1", "no annotation for a"),
    ("a: int):\n    return 1", "no annotation for return"),
    ("a: str) -> int:\n    return 1", "no type of the data plane"),
    ("a: int) -> float:\n    return 1", "no type of the data plane"),
    ("a: int) -> tuple[int, ...]:\n    return (a,)", "no type of the data plane"),
    ("a: int = 1) -> int:\n    return a", "default arguments"),
    ("*a: int) -> int:\n    return 1", "*args"),
    ("*, a: int) -> int:\n    return 1", "keyword-only"),
    ("a: int) -> bool:\n    return a", "int where bool is declared"),
    ("a: int) -> bool:\n    return a > 1 or a", "int where bool is declared"),
    ("a: int) -> tuple[int, bool]:\n    return a, a", "int where bool is declared"),
    ("a: int) -> tuple[int, int]:\n    return a, a, a", "where tuple"),
    ("a: int) -> int:\n    if a > 1:\n        return a", "returns none where int is declared"),
]


def module(folder: Path, text: str) -> ModuleType:
    """A file with this text, imported."""
    path = folder / "wrong.py"
    path.write_text(text)
    name = f"wrong_{folder.name}"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    sys.modules[name] = made = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(made)
    return made


def subject(folder: Path, signature: str, body: str = "", head: str = HEAD) -> Any:
    """The function of this signature and body, in a file behind `head`."""
    return module(folder, f"{head}\n@hot\ndef subject({signature}{':' if body else ''}\n{body}\n").subject


def refused(folder: Path, signature: str, body: str, message: str) -> None:
    head = HEAD + CYCLES * ("leaf cannot" in message)
    with pytest.raises(TypeError, match=re.escape(message)) as caught:
        subject(folder, signature, body, head)(1)
    path, line = str(caught.value).split(": ")[0].rsplit(":", 1)
    assert path == str(folder / "wrong.py")
    first = len(HEAD.splitlines())
    assert first < int(line) <= len((folder / "wrong.py").read_text().splitlines()), "a line of the function"


@pytest.mark.parametrize(("expression", "message"), EXPRESSIONS)
def test_expressions(tmp_path: Path, expression: str, message: str) -> None:
    refused(tmp_path, INT, f"    a += 0\n    return {expression}", message)


@pytest.mark.parametrize(("statement", "message"), STATEMENTS)
def test_statements(tmp_path: Path, statement: str, message: str) -> None:
    refused(tmp_path, INT, f"    {statement}\n    return a", message)


@pytest.mark.parametrize(("rest", "message"), SIGNATURES)
def test_signatures(tmp_path: Path, rest: str, message: str) -> None:
    refused(tmp_path, rest, "", message)


def test_the_line_is_the_faulty_one(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="write //") as caught:
        subject(tmp_path, INT, "    b = a\n    c = a / b\n    return c")(1)
    assert f":{len(HEAD.splitlines()) + 5}: subject: " in str(caught.value)


def test_a_missing_libc_function_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="pronghorn_nowhere_at_all"):
        subject(tmp_path, INT, "    return nowhere(a)")(1)


def test_recursion_of_ordinary_functions_is_compiled(tmp_path: Path) -> None:
    assert subject(tmp_path, INT, "    return count(a)")(1000) == 1000


def test_one_refused_function_does_not_take_its_file_with_it(tmp_path: Path) -> None:
    made = module(tmp_path, f"{HEAD}\n@hot\ndef bad({INT}:\n    return a / 2\n\n@hot\ndef good({INT}:\n    return a\n")
    for _ in range(2):
        with pytest.raises(TypeError, match="write //"):
            made.bad(1)
    assert made.good(7) == 7
