"""The native library: no Python, nothing but libc, loadable into any program, refused when stale."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from pronghorn.compiled import keys, mode

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="the library is the same in every mode")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("native") / "libpronghorn.so"
    environment = {**os.environ, "PRONGHORN_MODE": "jit"}
    command = [sys.executable, "-m", "pronghorn.compiled.build", "--output", str(output)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=170)
    return output


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


def test_the_header_is_valid_c(library: Path, tmp_path: Path) -> None:
    source = tmp_path / "check.c"
    source.write_text(
        '#include "pronghorn.h"\n#include <stdio.h>\nint main(void) { puts(pronghorn_source_hash()); return 0; }\n'
    )
    program = tmp_path / "check"
    flags = ["-std=c11", "-Wall", "-Werror", f"-I{library.parent}", "-o", str(program), str(source), str(library)]
    subprocess.run(["cc", *flags], check=True)
    done = subprocess.run([str(program)], env={"LD_LIBRARY_PATH": str(library.parent)}, capture_output=True, text=True)
    assert done.stdout.strip() == keys.source_hash()


PROBE = """
from pronghorn.compiled import mode
print(mode())
"""


def probe(library: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PRONGHORN_MODE"}
    environment |= {"PRONGHORN_LIBRARY": str(library), **more}
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
    environment = {**os.environ, "PRONGHORN_LIBRARY": str(stale), "PRONGHORN_MODE": "native"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert "built from other sources" in done.stderr
