"""The native libraries of the working tree: are they up to date, and building them.

`src/pronghorn/libpronghorn.so` and the C header beside it are compiled ahead of time from the data-plane rooms by
`python -m pronghorn.compiled.build`. The library carries the hash of its sources, so a build is skipped when nothing
changed. `libpronghorn-preload.so`, the libc interposer, is compiled from preload/ against that header by the system's C
compiler; it carries the hash of its sources and of the library it was made for. Used by the package build (backend.py)
and, as a script, by ./do (verbs.py).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "pronghorn"
LIBRARY = PACKAGE / "libpronghorn.so"
PRELOAD = ROOT / "preload"
INTERPOSER = PACKAGE / "libpronghorn-preload.so"
HEADER = PACKAGE / "pronghorn-preload.h"  # what the interposer offers to programs
LOCK = ROOT / "requirements.lock"

MATCHES = "import sys; from pronghorn.compiled import native; sys.exit(not native.matches())"


def stale(python: str = sys.executable) -> bool:
    """True when the library is missing, damaged, or built from other sources than those beside it."""
    if not LIBRARY.exists():
        return True
    return subprocess.run([python, "-c", MATCHES], env=source(), capture_output=True, check=False).returncode != 0


def build(python: str = sys.executable, processor: str = "") -> None:
    """Compile the data plane into src/pronghorn/libpronghorn.so. Raises CalledProcessError or RuntimeError.

    `processor` is LLVM's name of one, or `native`; empty for what every x86-64-v3 or aarch64 machine runs.
    """
    compiler()
    command = [python, "-m", "pronghorn.compiled.build", "--output", str(LIBRARY)]
    command += ["--processor", processor] if processor else []
    subprocess.run(command, cwd=ROOT, env=source(), check=True, stdout=sys.stderr)


def compiler() -> str:
    """The C compiler that is there: $CC, gcc, cc or clang. RuntimeError: none is."""
    for name in (os.environ.get("CC", ""), "gcc", "cc", "clang"):
        if name and shutil.which(name):
            return name
    raise RuntimeError("libpronghorn.so and libpronghorn-preload.so need a C compiler: install gcc")


def interposer_hash() -> str:
    """Of everything that libpronghorn-preload.so is made from: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in [*sorted(PRELOAD.glob("*.[ch]")), HEADER, PACKAGE / "pronghorn.h"]:
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def interposer_stale() -> bool:
    """True when the interposer is missing, or was compiled from other sources or against another header."""
    return not INTERPOSER.exists() or f"pronghorn-preload {interposer_hash()}".encode() not in INTERPOSER.read_bytes()


def build_interposer(library: Path = LIBRARY, output: Path = INTERPOSER, extra: tuple[str, ...] = ()) -> None:
    """Compile preload/ into libpronghorn-preload.so. Raises CalledProcessError or RuntimeError."""
    made = output.with_name(output.name + ".new")
    flags = [
        "-std=c11",
        "-O2",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fPIC",
        "-fvisibility=hidden",
        "-pthread",
        "-shared",
    ]
    linking = ["-Wl,-z,defs,-z,noexecstack,-z,relro,-z,now", "-Wl,-rpath,$ORIGIN", f"-Wl,-soname,{output.name}", "-ldl"]
    mark = f'-DPRELOAD_HASH="{interposer_hash()}"'
    sources = [str(path) for path in sorted(PRELOAD.glob("*.c"))]
    command = [
        compiler(),
        *flags,
        *extra,
        mark,
        f"-I{library.parent}",
        f"-I{PACKAGE}",
        "-o",
        str(made),
        *sources,
        str(library),
        *linking,
    ]
    subprocess.run(command, check=True)
    os.replace(made, output)


def source() -> dict[str, str]:
    """The environment in which `import pronghorn` finds the working tree, installed or not, and no old library."""
    path = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "PRONGHORN_MODE": "jit", "PRONGHORN_BOUNDS": ""}


if __name__ == "__main__":
    try:
        if stale():
            build()
        if interposer_stale():
            build_interposer()
    except (RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
