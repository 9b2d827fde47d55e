"""Small random programs in the language of the data plane, each with the meaning it must have.

A program is made twice from one tree of choices: as it is compiled, and as plain Python in which every operation goes
through a function that says what it means (`MEANING`): wrapping at 64 bits, division by zero, wide shifts.
"""

from __future__ import annotations

import random
import re

HEAD = "from pronghorn.compiled import hot\n\n\n@hot\n"
MEANING = """
def w(x):
    x &= 2**64 - 1
    return x - 2**64 if x >> 63 else x

def apply(operator, x, y):
    if operator in ("//", "%"):
        return 0 if y == 0 else w(x // y if operator == "//" else x % y)
    if operator in ("<<", ">>") and not 0 <= y < 64:
        return 0 if operator == "<<" or x >= 0 else -1
    return w(OPERATORS[operator](x, y))

OPERATORS = {
    "+": lambda x, y: x + y, "-": lambda x, y: x - y, "*": lambda x, y: x * y, "<<": lambda x, y: x << y,
    ">>": lambda x, y: x >> y, "&": lambda x, y: x & y, "|": lambda x, y: x | y, "^": lambda x, y: x ^ y,
}
"""
OPERATORS = ("+", "-", "*", "//", "%", "<<", ">>", "&", "|", "^")
NUMBERS = (0, 1, -1, 2, 3, -5, 7, 63, 64, 65, 255, 4096, 2**31, 2**32 - 1, 2**62, 2**63 - 1, -(2**63) + 1)
Both = tuple[str, str]


class Program:
    """`compiled` and `meant`: the two texts of `subject(a, b, c, p, q) -> tuple[int, int, int, bool, bool]`."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.loops = 0
        parameters = "a: int, b: int, c: int, p: bool, q: bool) -> tuple[int, int, int, bool, bool]:"
        lines = [self.statement(3) for _ in range(self.random.randint(3, 6))]
        end = "\n    return a, b, c, p, q\n"
        texts = ["\n".join(line[side] for line in lines) for side in (0, 1)]
        self.compiled = f"{HEAD}def subject({parameters}\n{indent(texts[0])}{end}"
        self.meant = f"{MEANING}\ndef subject(a, b, c, p, q):\n{indent(texts[1])}{end}"

    def number(self, depth: int) -> Both:
        """An int expression."""
        kind = self.random.randrange(11) if depth else self.random.randrange(2)
        if kind == 0:
            return twice(self.random.choice("abc"))
        if kind == 1:
            return twice(f"({self.random.choice(NUMBERS)})")
        if kind <= 5:
            return self.operation(self.number(depth - 1), self.number(depth - 1))
        if kind == 6:
            x = self.operation(self.number(depth - 1), self.number(0))
            sign = self.random.choice("-~+")
            return f"({sign}{x[0]})", f"w({sign}{x[1]})"
        if kind == 7:
            return join("{}({}, {}, {})", twice(self.random.choice(("min", "max"))), *self.numbers(3, depth))
        if kind == 8:
            x = self.number(depth - 1)
            return f"abs({x[0]})", f"w(abs({x[1]}))"
        if kind == 9:
            return self.operation(self.truth(depth - 1), self.number(depth - 1))
        if self.random.random() < 0.5:
            return join("({} if {} else {})", self.number(depth - 1), self.truth(depth - 1), self.number(depth - 1))
        return join(
            "({} {} {})", self.number(depth - 1), twice(self.random.choice(("and", "or"))), self.number(depth - 1)
        )

    def numbers(self, count: int, depth: int) -> list[Both]:
        return [self.number(depth - 1) for _ in range(count)]

    def operation(self, x: Both, y: Both) -> Both:
        operator = self.random.choice(OPERATORS)
        if not re.search(r"\b[abcpq]\b", x[0] + y[0]):  # CPython folds constants into one of any size
            x = twice(self.random.choice("abc"))
        return f"({x[0]} {operator} {y[0]})", f'apply("{operator}", {x[1]}, {y[1]})'

    def truth(self, depth: int) -> Both:
        """A bool expression."""
        kind = self.random.randrange(7) if depth else self.random.randrange(2)
        if kind == 0:
            return twice(self.random.choice(("p", "q", "True", "False")))
        if kind <= 2:
            return join("({} {} {})", self.number(max(depth - 1, 0)), self.comparison(), self.number(max(depth - 1, 0)))
        if kind == 3:
            return join("(not {})", self.number(depth - 1) if self.random.random() < 0.3 else self.truth(depth - 1))
        if kind == 4:
            x, y, z = self.numbers(3, depth)
            return join("({} {} {} {} {})", x, self.comparison(), y, self.comparison(), z)
        if kind == 5:
            return join("({} {} {})", self.truth(depth - 1), self.comparison(), self.number(depth - 1))
        return join(
            "({} {} {})", self.truth(depth - 1), twice(self.random.choice(("and", "or"))), self.truth(depth - 1)
        )

    def comparison(self) -> Both:
        return twice(self.random.choice(("<", "<=", ">", ">=", "==", "!=")))

    def statement(self, depth: int, loop: bool = False) -> Both:
        kind = self.random.randrange(10) if depth else self.random.randrange(4)
        target = twice(self.random.choice("abc"))
        if kind == 0:
            return join("{} = {}", target, self.number(3))
        if kind == 1:
            operator, x = self.random.choice(OPERATORS), self.number(2)
            return f"{target[0]} {operator}= {x[0]}", f'{target[0]} = apply("{operator}", {target[0]}, {x[1]})'
        if kind == 2:
            return join("{} = {}", twice(self.random.choice("pq")), self.truth(3))
        if kind == 3:
            return (
                join("a, b, c = {}, {}, {}", *self.numbers(3, 2))
                if self.random.random() < 0.5
                else twice("p, q = q, p")
            )
        if kind == 4:
            return join("{} = {}", target, self.truth(2))
        if kind <= 6:
            test = self.truth(2) if self.random.random() < 0.6 else self.number(2)
            return join("if {}:\n{}\nelse:\n{}", test, self.block(depth, loop), self.block(depth, loop))
        if kind == 7:
            return self.leave(loop)
        return self.loop(depth)

    def leave(self, loop: bool) -> Both:
        what = "return b, c, a, q, p"
        if loop and self.random.random() < 0.8:
            what = self.random.choice(("break", "continue"))
        return join("if {}:\n    {}", self.truth(1), twice(what))

    def loop(self, depth: int) -> Both:
        self.loops += 1
        index = f"i{self.loops}"
        first, last = self.random.randint(-3, 3), self.random.randint(-4, 6)
        step = self.random.choice((1, 1, 2, -1, -2))
        body = self.block(depth, True)
        otherwise = join("\nelse:\n{}", self.block(depth, False)) if self.random.random() < 0.4 else twice("")
        if self.random.random() < 0.5:
            head = twice(f"for {index} in range({first}, {last}, {step}):\n    a ^= {index}")
        else:
            head = join(f"{index} = 0\nwhile {{}} and {index} < 5:\n    {index} += 1", self.truth(2))
        return join("{}\n{}{}", head, body, otherwise)

    def block(self, depth: int, loop: bool) -> Both:
        lines = [self.statement(depth - 1, loop) for _ in range(self.random.randint(1, 2))]
        return join("\n".join(["{}"] * len(lines)), *[(indent(x), indent(y)) for x, y in lines])


def twice(text: str) -> Both:
    return text, text


def join(shape: str, *parts: Both) -> Both:
    return shape.format(*[part[0] for part in parts]), shape.format(*[part[1] for part in parts])


def indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
