"""What the source alone does not show: variables without a value, numbers that do not fit, conversions that lie.

Each pass looks at Numba's representation of one function and raises Refused with the line, or changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numba.core import ir, types
from numba.core.analysis import compute_cfg_from_blocks
from numba.core.compiler_machinery import FunctionPass, register_pass

from pronghorn.compiled.backend.types import ArrayType, Callee, Named, ViewType
from pronghorn.compiled.functions import Function
from pronghorn.compiled.subset import Refused

LIMIT = 1 << 63


class Current:
    """The function that is being compiled, and the line that is."""

    function: Function
    line = 0

    @classmethod
    def refuse(cls, line: int, fault: str) -> None:
        """Raise Refused for a line of the current function."""
        raise Refused(cls.function, line, fault)


class _Look(FunctionPass):  # type: ignore[misc]
    def __init__(self) -> None:
        FunctionPass.__init__(self)


@register_pass(mutates_CFG=False, analysis_only=True)
class Values(_Look):
    """Every variable has a value wherever it is read, and every constant fits into 64 bits, signed.

    Numba reads a variable without a value as zero, and makes larger constants unsigned or worse.
    """

    _name = "pronghorn_values"

    def run_pass(self, state: Any) -> bool:
        """Walk the blocks; what is assigned on all ways to a block is assigned there."""
        blocks = state.func_ir.blocks
        graph = compute_cfg_from_blocks(blocks)
        assigned: dict[int, set[str] | None] = dict.fromkeys(blocks)
        changed = True
        while changed:
            changed = False
            for label in graph.topo_order():
                known = _before(label, graph, assigned) | {name for name, _ in _targets(blocks[label])}
                if known != assigned[label]:
                    assigned[label], changed = known, True
        for label in graph.topo_order():
            self._block(blocks[label], _before(label, graph, assigned))
        return False

    def _block(self, block: Any, known: set[str]) -> None:
        for statement in block.body:
            line = statement.loc.line
            for name in _reads(statement):
                if not name.startswith("$") and name not in known:
                    Current.refuse(line, f"{name} may have no value here: assign it on every way to this line")
            if isinstance(statement, ir.Assign):
                known.add(statement.target.name)
                if isinstance(statement.value, ir.Const | ir.Global | ir.FreeVar):
                    _fits(line, statement.value.value)


def _before(label: int, graph: Any, assigned: dict[int, set[str] | None]) -> set[str]:
    """What has a value where the block starts: assigned in all blocks before it that have been looked at."""
    if label == graph.entry_point():
        return set()
    ways = [found for before, _ in graph.predecessors(label) if (found := assigned[before]) is not None]
    return set.intersection(*ways) if ways else set()


def _targets(block: Any) -> Iterator[tuple[str, Any]]:
    return ((statement.target.name, statement) for statement in block.body if isinstance(statement, ir.Assign))


def _reads(statement: Any) -> list[str]:
    if isinstance(statement, ir.Del):
        return []
    if not isinstance(statement, ir.Assign):
        return [variable.name for variable in statement.list_vars()]
    if isinstance(statement.value, ir.Var):
        return [statement.value.name]
    return [variable.name for variable in statement.value.list_vars()] if isinstance(statement.value, ir.Expr) else []


def _fits(line: int, value: Any) -> None:
    if isinstance(value, int) and not -LIMIT <= value < LIMIT:
        Current.refuse(line, f"{value:#x} does not fit into a signed 64-bit int: all ones is -1; see hashing.wrap()")


@register_pass(mutates_CFG=False, analysis_only=True)
class OnlyOurTypes(_Look):
    """int, bool, views, arrays; and no int becomes a bool, or a bool an address, on the way into or out of a call."""

    _name = "pronghorn_types"

    def run_pass(self, state: Any) -> bool:
        """Look at the type of every variable and of every argument and result."""
        kinds = {name: types.unliteral(kind) for name, kind in state.typemap.items()}
        for block in state.func_ir.blocks.values():
            for name, statement in _targets(block):
                if not _allowed(kinds[name]):
                    what = f"`{name.split('.')[0]}`" if not name.startswith("$") else "this"
                    fault = f"{what} is {kinds[name]}: there are int (signed 64 bits), bool, views and arrays"
                    Current.refuse(statement.loc.line, fault)
                expression = statement.value
                if isinstance(expression, ir.Expr) and expression.op == "cast":
                    given = kinds[expression.value.name]
                    _keeps_truth(statement.loc.line, given, state.return_type, "the result")
                if isinstance(expression, ir.Expr) and expression.op == "call":
                    wanted = state.calltypes[expression]
                    callee = kinds[expression.func.name]
                    for variable, kind in zip(expression.args, wanted.args, strict=False):
                        _keeps_truth(statement.loc.line, kinds[variable.name], kind, "an argument")
                        if isinstance(callee, Named) and kinds[variable.name] == types.boolean:
                            Current.refuse(statement.loc.line, "a bool is no address")
        return False


def _keeps_truth(line: int, given: Any, wanted: Any, what: str) -> None:
    if isinstance(wanted, types.BaseTuple) and isinstance(given, types.BaseTuple):
        for one, other in zip(given, wanted, strict=False):
            _keeps_truth(line, types.unliteral(one), other, f"a member of {what}")
    elif wanted == types.boolean and given == types.int64:
        Current.refuse(line, f"{what} is int where bool is declared: compare with != 0")


def _allowed(kind: Any) -> bool:
    if isinstance(kind, types.BaseTuple):
        return all(_allowed(types.unliteral(member)) for member in kind)
    if isinstance(kind, types.Integer):
        return bool(kind == types.int64)
    ours = (ViewType, ArrayType, Named, Callee, types.Boolean, types.NoneType, types.RangeType, types.RangeIteratorType)
    return isinstance(kind, (*ours, types.Pair, types.Module, types.Function, types.Omitted))
