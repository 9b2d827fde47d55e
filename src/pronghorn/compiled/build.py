"""The ahead-of-time build: every data-plane function in one shared library that needs libc and nothing else.

    python -m pronghorn.compiled.build [--output FILE] [--machine x86_64|aarch64] [--processor NAME|native]
    PRONGHORN_BOUNDS=1 python -m pronghorn.compiled.build         libpronghorn-bounds.so: the same, checked (`bounds`)

Functions are translated by as many processes as there are cores, then linked into one module, in which only the
entries stay visible, and optimised as a whole. Beside the library a C header with the entries and the shared views is
written. The package build (PEP 517) runs this; `./do build` does too.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pronghorn.compiled.functions import FUNCTIONS, Function

PACKAGE = Path(__file__).resolve().parents[1]


def data_plane() -> list[Function]:
    """Import every data-plane module; all decorated functions, in a stable order."""
    from pronghorn.compiled.keys import CONTROL_ROOMS

    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] in (*CONTROL_ROOMS, "__init__") or parts[-1] == "__main__" or "backend" in parts:
            continue
        if parts[-1] == "__init__":
            parts = parts[:-1]
        importlib.import_module(".".join(("pronghorn", *parts)))
    functions = [function for module in FUNCTIONS.values() for function in module]
    return sorted(functions, key=lambda function: function.symbol)


def translate(functions: list[Function], processes: int) -> None:
    """Fill the cache with every function's intermediate code, in parallel."""
    from pronghorn.compiled.backend.frontend import intermediate_code

    children = []
    for share in range(processes):
        child = os.fork()
        if child == 0:
            try:
                for function in functions[share::processes]:
                    intermediate_code(function)
            except Exception as error:  # the parent meets the same error, in order, and reports it
                sys.stderr.write(f"{error}\n")
                os._exit(1)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def compile_library(functions: list[Function], machine: str, processor: str | None) -> bytes:
    """The object file of the whole data plane."""
    import llvmlite.binding as llvm

    from pronghorn.compiled import keys
    from pronghorn.compiled.backend import units
    from pronghorn.compiled.backend.frontend import intermediate_code

    target = units.shared_machine(machine, processor)
    module = llvm.parse_assembly("")
    for function in functions:
        module.link_in(llvm.parse_assembly(intermediate_code(function)))
    for function in functions:
        if function.role != "entry":
            module.get_function(function.symbol).linkage = "internal"
    module.link_in(llvm.parse_assembly(_constants(keys.build_hash())))
    module.verify()
    units.optimise(module, target)
    content: bytes = target.emit_object(module)
    return content


def _constants(build_hash: str) -> str:
    """What the library says of itself, and the table of the bounds-check mode."""
    from pronghorn.compiled import bounds

    rest = f"[{bounds.WORDS - 1} x i64]"
    regions = f"@pronghorn_regions = global {{ i64, {rest} }} {{ i64 1, {rest} zeroinitializer }}"
    return f"""
@hash = private constant [{len(build_hash) + 1} x i8] c"{build_hash}\\00"
{regions if bounds.ENABLED else ""}
define ptr @pronghorn_source_hash() {{
  ret ptr @hash
}}
"""


def link_library(content: bytes, output: Path, machine: str) -> None:
    """Object to shared library, by the system's C compiler."""
    compiler = os.environ.get("CC") or ("cc" if machine == platform.machine() else f"{machine}-linux-gnu-gcc")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        piece = Path(folder) / "pronghorn.o"
        piece.write_bytes(content)
        made = Path(folder) / output.name
        flags = ["-shared", "-fPIC", "-Wl,-z,defs,-z,noexecstack,-z,relro,-z,now", f"-Wl,-soname,{output.name}"]
        subprocess.run([compiler, *flags, "-o", str(made), str(piece)], check=True)
        replacement = output.with_name(output.name + ".new")
        replacement.write_bytes(made.read_bytes())
        replacement.chmod(0o755)
        os.replace(replacement, output)


def build(functions: list[Function], output: Path, machine: str, processor: str | None) -> None:
    """The library of these functions and its header, with progress on standard error."""
    from pronghorn.compiled import keys
    from pronghorn.compiled.header import header

    started = time.monotonic()

    def say(text: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - started:6.1f} s] {text}\n")

    processes = os.cpu_count() or 1
    say(f"translating {len(functions)} functions in {processes} processes")
    translate(functions, processes)
    say(f"optimising for {machine} ({processor or 'baseline'})")
    content = compile_library(functions, machine, processor)
    say(f"linking {output}")
    link_library(content, output, machine)
    entries = [function for function in functions if function.role == "entry"]
    output.with_name("pronghorn.h").write_text(header(entries, keys.build_hash()))
    say(f"done: {output.stat().st_size // 1024} KiB, {len(entries)} entries")


def main() -> None:
    """Command line of the build."""
    from pronghorn.compiled import native
    from pronghorn.compiled.subset import Refused

    parser = argparse.ArgumentParser(prog="python -m pronghorn.compiled.build", description=__doc__)
    parser.add_argument("--output", type=Path, default=native.LIBRARY)
    parser.add_argument("--machine", default=platform.machine(), choices=["x86_64", "aarch64"])
    parser.add_argument("--processor", help="processor by LLVM's name, or native (default: x86-64-v3, generic)")
    arguments = parser.parse_args()
    try:
        build(data_plane(), arguments.output.resolve(), arguments.machine, arguments.processor)
    except Refused as error:
        sys.exit(str(error))


if __name__ == "__main__":
    if os.environ.get("PRONGHORN_MODE") != "jit":  # decorated functions exist as such in this mode alone
        os.environ["PRONGHORN_MODE"] = "jit"
        os.execv(sys.executable, [sys.executable, "-m", "pronghorn.compiled.build", *sys.argv[1:]])
    main()
