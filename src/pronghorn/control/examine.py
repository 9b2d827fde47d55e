"""What stands in the way of a program on the user-space stack, as far as its file tells (`pronghorn check`).

The interposer works by standing in for libc's functions. So a program cannot be accelerated when the dynamic linker
loads nothing into it (static linking, the rights of another user), when the interposer is of another libc or machine,
or when it asks the kernel past libc (Go; io_uring). What it opens besides TCP, UDP and ICMP stays with the kernel.

Left out: what a program decides at run time. Its sockets and their paths are shown by `pronghorn sockets` then.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pronghorn.control.elf import Elf, NotElf, read_elf
from pronghorn.control.trouble import Trouble

Weight = Literal["no", "partly", "note"]

FOLDERS = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
           "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")  # fmt: skip
SCRIPTS = 4  # interpreters of interpreters
LIBRARIES = 200  # that are looked at

# io_uring_setup is system call 425 everywhere: `mov edi, 425` for syscall(3), `mov eax, 425` for the instruction
_IO_URING = (b"\xbf\xa9\x01\x00\x00", b"\xb8\xa9\x01\x00\x00")
_SYSCALL = b"\x0f\x05"


class CheckError(Trouble):
    """The program cannot be looked at; the text says why."""


@dataclass(frozen=True)
class Finding:
    """`no`: it cannot be accelerated; `partly`: something of it stays with the kernel; `note`: good to know."""

    weight: Weight
    what: str
    advice: str


@dataclass(frozen=True)
class Report:
    """What there is to say about a program; `path` is what would be executed, `script` what was asked about."""

    path: Path
    script: Path | None
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Weight | Literal["yes"]:
        """The worst of the findings, notes aside."""
        weights = {finding.weight for finding in self.findings}
        return "no" if "no" in weights else "partly" if "partly" in weights else "yes"


def examine(program: str) -> Report:
    """Raises CheckError."""
    found = shutil.which(program)
    if found is None:
        raise CheckError(f"{program}: there is no such program to execute")
    path, script = _interpreter_of(Path(found))
    try:
        elf = read_elf(path)
        return Report(path, script, (*_rights(path), *_linking(elf), *_calls(path, elf), *_shell(path, script)))
    except NotElf as error:
        raise CheckError(str(error)) from None
    except OSError as error:
        raise CheckError(f"{path}: {error.strerror}") from None


def _interpreter_of(path: Path) -> tuple[Path, Path | None]:
    """What executes a script, and the script; or the program itself."""
    asked = path
    for _ in range(SCRIPTS):
        try:
            with path.open("rb") as file:
                line = file.readline(256)
        except OSError as error:
            raise CheckError(f"{path}: {error.strerror}") from None
        if not line.startswith(b"#!"):
            return path, asked if path != asked else None
        words = line[2:].decode(errors="replace").split()
        if words and Path(words[0]).name == "env":
            words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        found = shutil.which(words[0]) if words else None
        if found is None:
            raise CheckError(f"{path}: its interpreter {words[0] if words else ''} is not there")
        path = Path(found)
    raise CheckError(f"{asked}: its interpreters do not end")


def _rights(path: Path) -> Iterator[Finding]:
    """Programs that the dynamic linker treats with care (AT_SECURE): it loads nothing into them."""
    facts = path.stat()
    gains = facts.st_mode & stat.S_ISUID and facts.st_uid != os.geteuid()
    gains = gains or (facts.st_mode & stat.S_ISGID and facts.st_gid not in {os.getegid(), *os.getgroups()})
    if gains:
        yield Finding(
            "no", "it gets the rights of another user or group (set-user-ID)", "run it as that user, or a copy without"
        )
    if "security.capability" in os.listxattr(path) and os.geteuid() != 0:
        yield Finding("no", "it has capabilities of its own (setcap)", "run a copy: copies lose them")


def _linking(elf: Elf) -> Iterator[Finding]:
    machine = platform.machine()
    if elf.bits != 64 or elf.machine != machine:
        yield Finding("no", f"it is of {elf.machine}, {elf.bits} bits", f"use its build for {machine}")
    elif elf.interpreter is None:
        yield Finding(
            "no", "it is linked statically: nothing can stand between it and the kernel", "link it dynamically"
        )
    elif "ld-musl" in elf.interpreter:
        yield Finding("no", "its libc is musl, the interposer's is glibc", "use a build for glibc")


def _calls(path: Path, elf: Elf) -> Iterator[Finding]:
    """What goes to the kernel past libc, and what stays with it."""
    if {".go.buildinfo", ".note.go.buildid", ".gopclntab"} & elf.sections:
        yield Finding(
            "no", "it is written in Go, whose programs call the kernel themselves", "there is no way for it to take"
        )
        return
    if not elf.dynamic:
        return
    libraries = dict(_libraries(path, elf))
    names = {re.split(r"[-.]so|\.so", name)[0] for name in (*libraries, *elf.needed)}
    own = [elf, *(library for name, library in libraries.items() if not _is_libc(name) and library is not None)]
    if "liburing" in names or any(_uses_io_uring(one) for one in own):
        yield Finding(
            "partly", "it can use io_uring, which asks the kernel past libc",
            "turn that off in its settings (libuv, node: UV_USE_IO_URING=0)",
        )  # fmt: skip
    if "libpcap" in names:
        yield Finding("partly", "it can read packets from interfaces (libpcap)", "such sockets stay with the kernel")
    if not {"socket", "accept", "accept4", "connect"} & {name for one in own for name in one.imports}:
        yield Finding("note", "it opens no sockets by itself", "what it loads or executes later may")


def _shell(path: Path, script: Path | None) -> Iterator[Finding]:
    if script is not None and path.name in ("sh", "bash", "dash", "zsh"):
        yield Finding("note", "it is a shell script", "look at the programs that it executes one by one")


def _uses_io_uring(elf: Elf) -> bool:
    if any(name.startswith("io_uring_") for name in elf.imports):
        return True
    direct = "syscall" in elf.imports, elf.machine == "x86_64"
    return all(direct) and any(_IO_URING[0] in code for code in elf.code)


def _is_libc(name: str) -> bool:
    return bool(re.match(r"(libc|libpthread|libdl|libm|librt|ld-linux[-.\w]*)\.so", name))


def _libraries(path: Path, elf: Elf) -> Iterator[tuple[str, Elf | None]]:
    """Every library that the program brings, and what those bring; None: not found."""
    seen: set[str] = set()
    waiting = [(name, elf, path.parent) for name in elf.needed]
    while waiting and len(seen) < LIBRARIES:
        name, by, beside = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        place = _find(name, by, beside)
        try:
            found = read_elf(place) if place else None
        except (NotElf, OSError):
            found = None
        yield name, found
        if found is not None and place is not None:
            waiting += [(more, found, place.parent) for more in found.needed]


def _find(name: str, by: Elf, beside: Path) -> Path | None:
    own = [part.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", str(beside)) for part in by.runpath]
    for folder in (*own, *FOLDERS):
        place = Path(folder) / name
        if place.exists():
            return place
    return None
