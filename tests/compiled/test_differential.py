"""Random programs mean the same compiled as in plain Python, but for what `pronghorn.compiled.subset` documents.

The same few every time; PRONGHORN_PROGRAMS=N tries N others. A failure prints the program and its seed.
"""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from pronghorn.compiled import mode
from tests.compiled.programs import NUMBERS, Program

pytestmark = pytest.mark.skipif(mode() != "jit", reason="about the compiler")

PROGRAMS = int(os.environ.get("PRONGHORN_PROGRAMS", "0"))
INPUTS = 12


def compiled(folder: Path, name: str, text: str) -> Any:
    path = folder / f"{name}.py"
    path.write_text(text)
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.subject


def test_compiled_programs_mean_what_python_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pronghorn.compiled.backend import cache

    monkeypatch.setattr(cache, "keep", lambda *_: None)
    first = random.randrange(2**40) if PROGRAMS else 0
    for seed in range(first, first + (PROGRAMS or 16)):
        program = Program(seed)
        scope: dict[str, Any] = {}
        exec(program.meant, scope)
        subject = compiled(tmp_path, f"program{seed}", program.compiled)
        draw = random.Random(seed)
        for _ in range(INPUTS):
            numbers = [draw.choice((*NUMBERS, draw.randrange(-(2**63), 2**63))) for _ in range(3)]
            arguments = (*numbers, draw.random() < 0.5, draw.random() < 0.5)
            try:
                result = subject(*arguments)
            except TypeError as error:
                if "write `not`" not in str(error):  # ~ of a variable that holds a bool here
                    raise
                break
            assert result == scope["subject"](*arguments), f"seed {seed}{arguments}\n{program.compiled}"
