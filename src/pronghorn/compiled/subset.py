"""The language of the data plane: the part of Python that compiles to the same meaning, and what to write instead.

A decorated function is checked before it is compiled, so that a mistake is an error that names file, line, what and
what to do, and nothing compiles silently to something else. This file knows syntax and names; types, widths and
variables without a value are checked on the way (`backend/passes.py`).

Statements: assignment, `if`, `while`, `for ... in range(...)`, `break`, `continue`, `return`, calls. Expressions:
int and bool arithmetic without `/` and `**`, comparisons, and/or/not, conditional expressions, calls of decorated
functions, externals, intrinsics, views, `range min max abs bool`, fields and elements; a tuple is made to be returned,
swapped or unpacked. Names from outside the function are constants: they are frozen in.

Where compiled code differs from CPython, by design: integers wrap at 64 bits; `x // 0` and `x % 0` are 0 (abort in the
bounds-check mode) and a negative shift moves everything out, where CPython raises; a bool that went through a variable
which is also an int comes back as 0 or 1; constants do not follow later assignments.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
import types
from typing import Any, NoReturn

from pronghorn.compiled.functions import Function
from pronghorn.compiled.intrinsics import INTRINSICS, External
from pronghorn.compiled.scalars import scalar_of
from pronghorn.compiled.views import View, array_at

_BUILTINS = (range, min, max, abs, bool)
_MISSING = object()

_ALLOWED = (
    *(ast.While, ast.If, ast.Pass, ast.Break, ast.Continue),
    *(ast.BoolOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Subscript, ast.expr_context, ast.boolop, ast.unaryop),
    *(ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
)
"""What needs no look beyond its kind; _Check has a method for each of the others."""

_NO_EXCEPTIONS = "there are no exceptions in the data plane: return a verdict"
_NO_OBJECTS = "the data plane makes no objects: keep state in a View or an Array"
_NO_INNER = "a function inside a function is not compiled: write a @leaf beside it"
_ADVICE: dict[type[ast.AST], str] = {
    ast.Try: _NO_EXCEPTIONS,
    ast.Raise: _NO_EXCEPTIONS,
    ast.Assert: _NO_EXCEPTIONS,
    ast.With: "`with` is not compiled: call what opens and what closes",
    ast.List: _NO_OBJECTS,
    ast.Dict: _NO_OBJECTS,
    ast.Set: _NO_OBJECTS,
    ast.ListComp: _NO_OBJECTS,
    ast.SetComp: _NO_OBJECTS,
    ast.DictComp: _NO_OBJECTS,
    ast.GeneratorExp: _NO_OBJECTS,
    ast.JoinedStr: "there are no strings in the data plane: count or return a number",
    ast.Lambda: _NO_INNER,
    ast.FunctionDef: _NO_INNER,
    ast.Yield: "generators are not compiled: return, and be called again",
    ast.YieldFrom: "generators are not compiled: return, and be called again",
    ast.Global: "a constant cannot be assigned by compiled code: keep state in a View",
    ast.Nonlocal: "a constant cannot be assigned by compiled code: keep state in a View",
    ast.NamedExpr: "`:=` is not compiled: assign on a line of its own",
    ast.Match: "`match` is not compiled: write an if-chain",
    ast.Div: "`/` makes a float: write //",
    ast.Pow: "`**` is not compiled, except between small constants: shift or multiply",
    ast.MatMult: "`@` has no meaning for integers",
    ast.Is: "`is` is about objects: compare numbers with ==, views by their .address",
    ast.IsNot: "`is not` is about objects: compare numbers with !=, views by their .address",
    ast.In: "`in` builds a tuple: compare with == and `or`",
    ast.NotIn: "`not in` builds a tuple: compare with != and `and`",
    ast.Slice: "slices are not compiled: use array_at(element, address) and a count",
    ast.Starred: "`*` is not compiled: write the arguments out",
}


class Refused(TypeError):
    """A function is outside the language. The text names file, line, function, what and what to do."""

    def __init__(self, function: Function, line: int, fault: str) -> None:
        self.function = function
        self.place = line, fault
        super().__init__(f"{function.body.__code__.co_filename}:{line}: {function.name}: {fault}")


def check(function: Function) -> None:
    """Raise Refused unless the function's source is inside the language."""
    tree = _source(function)
    if tree is not None:
        _Check(function).definition(tree)


def _source(function: Function) -> ast.FunctionDef | None:
    """The syntax tree of the function, or None where there is no source (typed into an interpreter)."""
    try:
        text = textwrap.dedent(inspect.getsource(function.body))
        tree = ast.parse(text).body[0]
    except (OSError, SyntaxError, IndexError):
        return None
    ast.increment_lineno(tree, function.body.__code__.co_firstlineno - 1)
    return tree if isinstance(tree, ast.FunctionDef) else None


class _Check(ast.NodeVisitor):
    def __init__(self, function: Function) -> None:
        self.function = function
        self.cells = inspect.getclosurevars(function.body).nonlocals
        self.line = function.body.__code__.co_firstlineno

    def refuse(self, fault: str) -> NoReturn:
        raise Refused(self.function, self.line, fault)

    def definition(self, tree: ast.FunctionDef) -> None:
        """Everything below the `def`, annotations aside."""
        self.line = tree.lineno
        arguments = tree.args
        if arguments.defaults or any(arguments.kw_defaults):
            self.refuse("default arguments are not compiled: pass every argument")
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
            self.refuse("*args, **kwargs and keyword-only arguments are not compiled: name every parameter")
        for statement in tree.body:
            self.visit(statement)

    def visit(self, node: ast.AST) -> None:
        self.line = getattr(node, "lineno", self.line)
        super().visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        if not isinstance(node, _ALLOWED):
            self.refuse(_ADVICE.get(type(node), f"{type(node).__name__} is no part of the data plane's language"))
        self.children(node)

    def children(self, *nodes: ast.AST) -> None:
        for node in nodes:
            for child in ast.iter_child_nodes(node):
                self.visit(child)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):  # a docstring is free
            self.visit(node.value)

    def visit_Return(self, node: ast.Return) -> None:
        if isinstance(node.value, ast.Tuple):
            self.children(node.value)
        elif node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        swap = isinstance(node.value, ast.Tuple) and isinstance(node.targets[0], ast.Tuple)
        for side in (*node.targets, node.value):
            if isinstance(side, ast.Tuple) and (swap or side is not node.value):
                self.children(side)
            else:
                self.visit(side)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is None:
            self.refuse("a declaration without a value: assign the value here")
        self.visit(node.target)
        self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        for part in (node.target, node.op, node.value):
            self.visit(part)

    def visit_For(self, node: ast.For) -> None:
        call = node.iter
        if not (isinstance(call, ast.Call) and self.meaning(call.func) is range):
            self.refuse("`for` runs over range(...) alone: index arrays with it")
        if len(call.args) == 3 and not _known(call.args[2]):
            self.refuse("the step of range() must be a number, not 0: use `while` for another")
        for part in (node.target, call, *node.body, *node.orelse):
            self.visit(part)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if not (isinstance(node.op, ast.Pow) and _known(node.left) and _small(node.right)):
            self.visit(node.op)
        self.visit(node.left)
        self.visit(node.right)

    def visit_Constant(self, node: ast.Constant) -> None:
        if not isinstance(node.value, int):
            what = {float: "a float", str: "a string", bytes: "octets"}.get(type(node.value), repr(node.value))
            self.refuse(f"{what}: there are int (signed 64 bits), bool, views and arrays")

    def visit_Tuple(self, node: ast.Tuple) -> None:
        self.refuse("a tuple is made to be returned, swapped or unpacked at once: name its members one by one")

    def visit_Call(self, node: ast.Call) -> None:
        if node.keywords:
            self.refuse("keyword arguments are not compiled: pass them by position")
        callee = self.meaning(node.func)
        if isinstance(node.func, ast.Attribute) and callee is _MISSING:
            if node.func.attr == "offset":
                self.refuse("View.offset() takes a string: keep its result in a constant of the module")
            self.refuse(f".{node.func.attr}() is a method: only functions are called")
        if callee in (min, max) and len(node.args) < 2:
            self.refuse(f"{callee.__name__} of one number: there is nothing to compare")
        self.visit(node.func)
        for part in node.args:
            if callee is array_at and part is node.args[0]:
                continue
            self.visit(part)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.constant(node.id, self.meaning(node))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        meaning = self.meaning(node)
        if meaning is not _MISSING:
            self.constant(ast.unparse(node), meaning)
        elif not isinstance(self.meaning(node.value), type):
            self.visit(node.value)

    def meaning(self, node: ast.expr) -> Any:
        """The value of a name from outside the function, through modules; _MISSING for anything that is computed."""
        if isinstance(node, ast.Name):
            code, scope = self.function.body.__code__, self.function.body.__globals__
            if node.id in code.co_varnames or node.id in code.co_cellvars:
                return _MISSING
            if node.id in self.cells:
                return self.cells[node.id]
            if node.id in scope or hasattr(builtins, node.id):
                return scope.get(node.id, getattr(builtins, node.id, None))
            self.refuse(f"{node.id} is not defined")
        if isinstance(node, ast.Attribute) and isinstance(module := self.meaning(node.value), types.ModuleType):
            if not hasattr(module, node.attr):
                self.refuse(f"{ast.unparse(node)} is not defined")
            return getattr(module, node.attr)
        return _MISSING

    def constant(self, name: str, value: Any) -> None:
        """Refuse a value from outside that compiled code cannot hold."""
        if value is _MISSING or type(value) in (int, bool) or isinstance(value, Function | External | types.ModuleType):
            return
        if any(value is known for known in (*_BUILTINS, array_at)) or id(value) in INTRINSICS:
            return
        if scalar_of(value) is not None or (isinstance(value, type) and issubclass(value, View)):
            return
        if isinstance(value, types.FunctionType):
            self.refuse(f"{name} is an ordinary Python function: decorate it with @leaf or @hot")
        if callable(value):
            self.refuse(f"{name} cannot be called here: there are decorated functions, range, min, max, abs, bool")
        self.refuse(f"{name} is of type {type(value).__name__}: a constant is an int; keep state in a View")


def _known(node: ast.expr) -> bool:
    """Whether the expression is a number in the source, and not 0."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value != 0


def _small(node: ast.expr) -> bool:
    """Whether the expression is an exponent that CPython folds into a constant."""
    return isinstance(node, ast.Constant) and type(node.value) is int and 0 <= node.value < 64
