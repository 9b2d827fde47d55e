"""The interposer of these sources, for the tests of this folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import native


@pytest.fixture(scope="session")
def interposer(native_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """libpronghorn.so with the interposer beside it; the path of the former."""
    if native_library == native.LIBRARY and not native.interposer_stale():
        return native_library
    folder = tmp_path_factory.mktemp("interposer")
    for file in (native_library, native_library.with_name("pronghorn.h")):
        shutil.copy(file, folder)
    native.build_interposer(folder / "libpronghorn.so", folder / "libpronghorn-preload.so")
    return folder / "libpronghorn.so"
