"""From intermediate code to objects: link, inline, optimise, emit.

A unit is what is optimised together: in `jit` mode the decorated functions of one file, with the leaf functions they
reach in other files copied in; ahead of time the whole data plane. A unit's object is cached under the keys of all
functions in it, so it can never be stale.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import llvmlite.binding as llvm

from pronghorn.compiled import keys
from pronghorn.compiled.backend import cache
from pronghorn.compiled.backend.frontend import function_key, intermediate_code
from pronghorn.compiled.functions import Function
from pronghorn.compiled.subset import Refused

TARGETS = {
    "x86_64": ("x86_64-unknown-linux-gnu", "x86-64-v3"),
    "aarch64": ("aarch64-unknown-linux-gnu", "generic"),
}
"""Triple and processor of the ahead-of-time builds, by machine name."""


@functools.cache
def start_llvm() -> None:
    """Make LLVM's code generators known, once."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@functools.cache
def host_machine() -> llvm.TargetMachine:
    """Code for exactly this processor, loadable anywhere in memory."""
    start_llvm()
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, codemodel="large", jit=True
    )


def shared_machine(machine: str, processor: str | None = None) -> llvm.TargetMachine:
    """Position-independent code for `machine`, a key of TARGETS; `processor` may be "native"."""
    start_llvm()
    triple, ordinary = TARGETS[machine]
    features = ""
    if processor == "native":
        processor, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_triple(triple)
    return target.create_target_machine(cpu=processor or ordinary, features=features, opt=3, reloc="pic")


def leaves_below(functions: Iterable[Function]) -> list[Function]:
    """The leaf functions that these functions reach, through leaves, outside themselves."""
    own = set(functions)
    done: set[Function] = set()
    for function in own:
        _visit(function, [], done)
    return sorted((f for f in done - own), key=lambda function: function.symbol)


def _visit(function: Function, way: list[Function], done: set[Function]) -> None:
    """Add the function and the leaves below it to `done`. A leaf that contains itself cannot be inlined: Refused."""
    if function in way:
        names = " -> ".join(one.name for one in (*way[way.index(function) :], function))
        line = function.body.__code__.co_firstlineno
        raise Refused(function, line, f"{names}: a leaf cannot be part of itself: make one of them @hot")
    if function in done:
        return
    way.append(function)
    for callee in keys.callees(function):
        if callee.role == "leaf":
            _visit(callee, way, done)
    way.pop()
    done.add(function)


def link(functions: list[Function]) -> llvm.ModuleRef:
    """One module with these functions and the leaves they need."""
    borrowed = leaves_below(functions)
    module = llvm.parse_assembly("")
    for function in (*functions, *borrowed):
        module.link_in(llvm.parse_assembly(intermediate_code(function)))
    for function in borrowed:
        module.get_function(function.symbol).linkage = "available_externally"
    for function in functions:
        if function.signature.result.name == "tuple":
            module.link_in(llvm.parse_assembly(_tuple_wrapper(function)))
    return module


def optimise(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    """Inline and optimise in place, as clang -O3 does."""
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    builder = llvm.create_pass_builder(machine, options)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    builder.getModulePassManager().run(module, builder)


def object_of(functions: list[Function]) -> bytes:
    """Machine code of one unit for this process, from the cache or made now."""
    machine = host_machine()
    borrowed = leaves_below(functions)
    parts = [*map(function_key, functions), "borrowed", *map(function_key, borrowed)]
    key = keys.digest(machine.triple, llvm.get_host_cpu_name(), *parts)
    content = cache.fetch("objects", key)
    if content is None:
        module = link(functions)
        module.verify()
        optimise(module, machine)
        content = machine.emit_object(module)
        cache.keep("objects", key, content)
    return content


def program_of(root: Function, functions: list[Function]) -> bytes:
    """Machine code of one unit of `root` and all it reaches: nothing else is visible, all may be inlined."""
    machine = host_machine()
    key = keys.digest(machine.triple, llvm.get_host_cpu_name(), "program", root.symbol, *map(function_key, functions))
    content = cache.fetch("objects", key)
    if content is None:
        module = link(functions)
        for defined in module.functions:
            if not defined.is_declaration and not defined.name.startswith(root.symbol):
                defined.linkage = "internal"
        module.verify()
        optimise(module, machine)
        content = machine.emit_object(module)
        cache.keep("objects", key, content)
    return content


def _tuple_wrapper(function: Function) -> str:
    """`void symbol.python(int64_t *results, ...)`: Python reads a tuple's members from memory."""
    signature = function.signature
    members = [("i8" if kind.name == "bool" else "i64") for kind in signature.result.members]
    uniform = len(set(members)) == 1
    result = f"[{len(members)} x {members[0]}]" if uniform else "{ " + ", ".join(members) + " }"
    kinds = ["i8" if kind.name == "bool" else "i64" for kind in signature.parameters]
    arguments = ", ".join(f"{kind} %a{index}" for index, kind in enumerate(kinds))
    lines = [
        f'declare {result} @"{function.symbol}"({", ".join(kinds)})',
        f'define void @"{function.symbol}.python"(ptr %results{", " if kinds else ""}{arguments}) {{',
        f'  %all = call {result} @"{function.symbol}"({arguments})',
    ]
    for index, member in enumerate(members):
        lines.append(f"  %m{index} = extractvalue {result} %all, {index}")
        wide = f"%m{index}"
        if member != "i64":
            lines.append(f"  %w{index} = zext {member} %m{index} to i64")
            wide = f"%w{index}"
        lines.append(f"  %p{index} = getelementptr i64, ptr %results, i64 {index}")
        lines.append(f"  store i64 {wide}, ptr %p{index}")
    return "\n".join([*lines, "  ret void", "}"])
