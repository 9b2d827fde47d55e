"""The package build (PEP 517, PEP 660): setuptools, with the data plane compiled to native code first.

`pip install .` therefore gives a platform wheel that holds libpronghorn.so and its C header; the installed package
needs neither Numba nor a compiler. A source distribution holds no native code. `build-backend` in pyproject.toml.
`--config-settings processor=native` compiles for the machine at hand alone, `native=no` not at all.
"""

from __future__ import annotations

import shutil
from typing import Any

from setuptools import build_meta
from setuptools.command.bdist_wheel import bdist_wheel

import native

# The hooks that need no native code are setuptools' own.
build_sdist = build_meta.build_sdist
get_requires_for_build_sdist = build_meta.get_requires_for_build_sdist
get_requires_for_build_wheel = build_meta.get_requires_for_build_wheel
get_requires_for_build_editable = build_meta.get_requires_for_build_editable
prepare_metadata_for_build_wheel = build_meta.prepare_metadata_for_build_wheel
prepare_metadata_for_build_editable = build_meta.prepare_metadata_for_build_editable

Settings = dict[str, Any] | None


class NativeWheel(bdist_wheel):  # type: ignore[misc]  # setuptools has no types
    """A wheel for one platform and for every Python 3: the library knows nothing of Python's ABI."""

    def finalize_options(self) -> None:
        self.distribution.has_ext_modules = lambda: True  # platlib, not purelib
        super().finalize_options()

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


def build_wheel(directory: str, settings: Settings = None, metadata: str | None = None) -> str:
    """Compile the data plane when its sources changed, then let setuptools build the wheel."""
    compile_data_plane(settings)
    shutil.rmtree(native.ROOT / "build", ignore_errors=True)  # setuptools would pack files that no longer exist
    return str(build_meta.build_wheel(directory, settings, metadata))


def build_editable(directory: str, settings: Settings = None, metadata: str | None = None) -> str:
    """The same for `pip install -e .`: the library is built in the source tree."""
    compile_data_plane(settings)
    return str(build_meta.build_editable(directory, settings, metadata))


def compile_data_plane(settings: Settings) -> None:
    """Compile when the sources changed, and always when a processor was asked for."""
    processor, wanted = (str((settings or {}).get(key, "")) for key in ("processor", "native"))
    if wanted != "no" and (processor or native.stale()):
        native.build(processor=processor)
    if wanted != "no" and native.interposer_stale():
        native.build_interposer()
