"""The native library: no Python, nothing but libc, loadable into any program, refused when stale."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from pronghorn.compiled import keys, mode

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="the library is the same in every mode")


@pytest.fixture(scope="module")
def library(native_library: Path) -> Path:
    return native_library


def symbols(library: Path, section: str) -> dict[str, bool]:
    """Names in a symbol table, and whether each is defined there."""
    with library.open("rb") as file:
        table: Any = ELFFile(file).get_section_by_name(section)
        return {symbol.name: symbol["st_shndx"] != "SHN_UNDEF" for symbol in table.iter_symbols() if symbol.name}


def test_it_needs_libc_and_nothing_else(library: Path) -> None:
    with library.open("rb") as file:
        dynamic: Any = ELFFile(file).get_section_by_name(".dynamic")
        needed = [tag.needed for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_NEEDED"]
    assert needed == ["libc.so.6"]


def test_it_has_no_python_symbol_and_exports_the_entries_alone(library: Path) -> None:
    dynamic = symbols(library, ".dynsym")
    assert not [name for name in dynamic if name.startswith(("Py", "_Py", "numba", "NRT_", "_ZN"))]
    exported = {name for name, defined in dynamic.items() if defined}
    assert "pronghorn_run" in exported
    assert all(name.startswith("pronghorn_") for name in exported)


def test_inner_functions_keep_readable_names(library: Path) -> None:
    assert "engine_turn_serve" in symbols(library, ".symtab") or "engine_turn_turn" in symbols(library, ".symtab")


def test_line_tables_point_into_the_python_files(library: Path) -> None:
    with library.open("rb") as file:
        units = list(ELFFile(file).get_dwarf_info().iter_CUs())
    names = {unit.get_top_DIE().attributes["DW_AT_name"].value.decode() for unit in units}
    assert "turn.py" in {name.rsplit("/", 1)[-1] for name in names}


def test_any_program_runs_with_it_preloaded(library: Path) -> None:
    done = subprocess.run(["/bin/true"], env={"LD_PRELOAD": str(library)}, capture_output=True, check=True, text=True)
    assert done.stderr == ""


@pytest.mark.parametrize(("compiler", "standard"), [("gcc", "c11"), ("g++", "c++17")])
def test_the_header_is_valid_c_and_cpp(library: Path, tmp_path: Path, compiler: str, standard: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    source = tmp_path / f"check.{'c' if compiler == 'gcc' else 'cc'}"
    source.write_text(
        '#include "pronghorn.h"\n#include <stdio.h>\nint main(void) { puts(pronghorn_source_hash()); return 0; }\n'
    )
    program = tmp_path / "check"
    strict = [f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{library.parent}"]
    subprocess.run([compiler, *strict, "-o", str(program), str(source), str(library)], check=True)
    done = subprocess.run([str(program)], env={"LD_LIBRARY_PATH": str(library.parent)}, capture_output=True, text=True)
    assert done.stdout.strip() == keys.source_hash()


def test_the_header_has_every_view_of_state(library: Path) -> None:
    text = library.with_name("pronghorn.h").read_text()
    for name in ("packet", "port", "queue", "worker", "outbox"):
        assert f"struct pronghorn_{name} {{" in text


PROBE = """
from pronghorn.compiled import mode
print(mode())
"""


def probe(library: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PRONGHORN_MODE"}
    environment |= {"PRONGHORN_LIBRARY": str(library), "PRONGHORN_BOUNDS": "", **more}
    return subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, timeout=60)


def test_a_matching_library_is_chosen(library: Path) -> None:
    assert probe(library).stdout.strip() == "native"


def test_a_stale_library_is_not_chosen_and_not_loaded_on_demand(library: Path, tmp_path: Path) -> None:
    stale = tmp_path / "libpronghorn.so"
    content = library.read_bytes()
    assert content.count(keys.source_hash().encode()) == 1
    stale.write_bytes(content.replace(keys.source_hash().encode(), b"0" * 40))
    assert probe(stale).stdout.strip() == "jit"
    script = "from pronghorn.compiled import native\nnative.address_of('pronghorn_run')"
    assert "built from other sources" in python(script, stale).stderr


def test_an_unchecked_library_is_not_taken_in_bounds_mode(library: Path) -> None:
    assert probe(library, PRONGHORN_BOUNDS="1").stdout.strip() == "jit"
    script = "from pronghorn.compiled import native\nnative.address_of('pronghorn_run')"
    assert "built without bounds checks" in python(script, library, PRONGHORN_BOUNDS="1").stderr


def python(script: str, library: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PRONGHORN_LIBRARY": str(library), "PRONGHORN_MODE": "native", **more}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


SMALL = """
import platform, sys
from pathlib import Path
from pronghorn.compiled import build, checker
from pronghorn.compiled.functions import FUNCTIONS
from pronghorn.memory import pool, ring

members = [function for module in FUNCTIONS.values() for function in module]
build.build(sorted(members, key=lambda member: member.symbol), Path(sys.argv[1]), platform.machine(), None)
"""
TOUCH = """
import ctypes, sys
from pronghorn.compiled import bounds
from pronghorn.memory.pool import Pool, pool_reset

memory = (ctypes.c_uint8 * 4096)()
start = (ctypes.addressof(memory) + 63) // 64 * 64
bounds.register(start, 2 * Pool.SIZE, Pool.SIZE, "pools")
pool_reset(Pool(start))
print("inside", flush=True)
pool_reset(Pool(start + 2 * Pool.SIZE))
"""


def test_a_checked_library_aborts_with_the_place(tmp_path: Path) -> None:
    """A library of one room is enough: its hash is that of all sources, as the whole one's."""
    checked = tmp_path / "libpronghorn-bounds.so"
    made = python(SMALL, checked, str(checked), PRONGHORN_BOUNDS="1", PRONGHORN_MODE="jit")
    assert made.returncode == 0, made.stderr
    assert "pronghorn_regions" in symbols(checked, ".dynsym")
    done = python(TOUCH, checked, PRONGHORN_BOUNDS="1")
    assert (done.returncode, done.stdout) == (-signal.SIGABRT, "inside\n")
    assert re.search(r"pool\.py:\d+: pool_reset: \S+: outside every table", done.stderr)
    assert "built with bounds checks" in python(TOUCH, checked, PRONGHORN_BOUNDS="").stderr
