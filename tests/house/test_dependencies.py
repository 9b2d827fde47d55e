"""pyproject.toml, requirements.lock and the decision record agree on what Pronghorn depends on."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.source import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN_TIME = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
DEVELOPMENT = [
    Requirement(line)
    for line in [*PROJECT["project"]["optional-dependencies"]["jit"], *PROJECT["dependency-groups"]["dev"]]
]


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pins}


def test_the_lock_pins_exactly_and_names_no_place() -> None:
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line), line


def test_the_lock_satisfies_the_project() -> None:
    pins = locked()
    for requirement in [*RUN_TIME, *DEVELOPMENT]:
        version = pins.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not locked: run ./do lock"
        assert requirement.specifier.contains(version), f"{requirement} is locked as {version}: run ./do lock"


def test_every_dependency_has_its_reason() -> None:
    record = (ROOT / "docs/adr/0001-dependencies.md").read_text()
    for requirement in [*RUN_TIME, *DEVELOPMENT]:
        assert f"| {requirement.name} " in record, f"{requirement.name} has no line in docs/adr/0001-dependencies.md"


def test_numba_is_not_needed_at_run_time() -> None:
    assert not {"numba", "llvmlite", "numpy"} & {requirement.name for requirement in RUN_TIME}
