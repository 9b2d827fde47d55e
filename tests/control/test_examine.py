"""What is said about programs: forged files for what this machine may lack, compiled ones, and damaged ones."""

from __future__ import annotations

import os
import platform
import random
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from pronghorn.control.elf import NotElf, read_elf
from pronghorn.control.examine import CheckError, Finding, examine

MACHINE = {"x86_64": 62, "aarch64": 183}[platform.machine()]


def forge(path: Path, interpreter: str | None = "/lib64/ld-linux-x86-64.so.2", machine: int = MACHINE) -> Path:
    """An ELF file that has an interpreter, or none, and nothing else."""
    text = (interpreter or "").encode() + b"\0"
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    kind = 3 if interpreter is not None else 1
    path.write_bytes(head + struct.pack("<IIQQQQQQ", kind, 5, 120, 0, 0, len(text), len(text), 1) + text)
    path.chmod(0o755)
    return path


def compiled(path: Path, source: str, *options: str) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    done = subprocess.run(["cc", "-O1", "-x", "c", "-", "-o", path, *options], input=source, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cc {' '.join(options)} does not work here")
    return path


def found(path: Path) -> tuple[str, list[Finding]]:
    report = examine(str(path))
    return report.verdict, list(report.findings)


def test_a_plain_program_can_run(tmp_path: Path) -> None:
    source = "#include <sys/socket.h>\nint main(void) { return socket(2, 1, 0) < 0; }"
    path = compiled(tmp_path / "plain", source)
    assert found(path) == ("yes", [])
    elf = read_elf(path)
    assert "socket" in elf.imports
    assert "libc.so.6" in elf.needed
    assert elf.interpreter is not None


def test_a_program_without_sockets_is_noted(tmp_path: Path) -> None:
    verdict, (finding,) = found(compiled(tmp_path / "mute", "int main(void) { return 0; }"))
    assert (verdict, finding.weight) == ("yes", "note")


@pytest.mark.parametrize("options", [["-static"], ["-static-pie"]])
def test_a_static_one_cannot(tmp_path: Path, options: list[str]) -> None:
    verdict, (finding, *_) = found(compiled(tmp_path / "static", "int main(void) { return 0; }", *options))
    assert verdict == "no"
    assert "linked statically" in finding.what


@pytest.mark.parametrize(
    ("interpreter", "machine", "says"),
    [
        (None, MACHINE, "linked statically"),
        ("/lib/ld-musl-x86_64.so.1", MACHINE, "musl"),
        ("/lib/ld-linux.so.3", 40, "it is of arm, 64 bits"),
        ("/lib/ld-linux.so.3", 9, "it is of machine 9"),
    ],
)
def test_linking_that_stands_in_the_way(tmp_path: Path, interpreter: str | None, machine: int, says: str) -> None:
    verdict, (finding, *_) = found(forge(tmp_path / "forged", interpreter, machine))
    assert verdict == "no"
    assert says in finding.what


def test_a_program_of_32_bits_cannot(tmp_path: Path) -> None:
    path = forge(tmp_path / "old")
    octets = bytearray(path.read_bytes())
    octets[4] = 1
    path.write_bytes(octets)
    assert "32 bits" in found(path)[1][0].what


def test_io_uring_by_the_library_and_by_the_call(tmp_path: Path) -> None:
    compiled(tmp_path / "libring.so", "int io_uring_queue_init(void) { return 0; }", "-shared", "-fPIC")
    source = "int io_uring_queue_init(void);\nint main(void) { return io_uring_queue_init(); }"
    verdict, findings = found(compiled(tmp_path / "ring", source, f"-L{tmp_path}", "-lring"))
    assert verdict == "partly"
    assert "io_uring" in findings[0].what
    if platform.machine() == "x86_64":
        source = "#include <unistd.h>\nint main(int n, char **v) { (void)v; return (int)syscall(425, n, 0); }"
        assert found(compiled(tmp_path / "call", source))[0] == "partly"
        assert found(compiled(tmp_path / "other", source.replace("425", "424")))[0] == "yes"


def test_libraries_are_looked_through(tmp_path: Path) -> None:
    """What a library of the program's imports counts as the program's."""
    source = "int io_uring_queue_init(void);\nint work(void) { return io_uring_queue_init(); }"
    compiled(tmp_path / "libwork.so", source, "-shared", "-fPIC")
    source = "int work(void);\nint main(void) { return work(); }"
    options = [f"-L{tmp_path}", "-lwork", "-Wl,-rpath,$ORIGIN", "-Wl,--unresolved-symbols=ignore-all"]
    assert found(compiled(tmp_path / "worker", source, *options))[0] == "partly"


def test_go_programs_cannot(tmp_path: Path) -> None:
    source = 'int go __attribute__((section(".go.buildinfo"))) = 1;\nint main(void) { return go; }'
    verdict, findings = found(compiled(tmp_path / "gopher", source))
    assert verdict == "no"
    assert "Go" in findings[-1].what


def test_programs_with_rights_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = forge(tmp_path / "gains")
    path.chmod(0o755 | stat.S_ISUID)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    monkeypatch.setattr(os, "listxattr", lambda path: ["security.capability"])
    verdict, findings = found(path)
    assert verdict == "no"
    assert ["set-user-ID" in findings[0].what, "setcap" in findings[1].what] == [True, True]


def test_scripts_lead_to_what_executes_them(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!/usr/bin/env -S X=1 {sys.executable}\n")
    script.chmod(0o755)
    report = examine(str(script))
    assert (report.script, report.path) == (script, Path(sys.executable))
    script.write_text("#!/bin/sh\n")
    assert "shell script" in found(script)[1][-1].what
    for line, says in ((f"#!{script}\n", "do not end"), ("#!/no/such\n", "is not there"), ("text", "is no ELF file")):
        script.write_text(line)
        with pytest.raises(CheckError, match=says):
            examine(str(script))
    with pytest.raises(CheckError, match="no such program"):
        examine("no-such-program")


def test_damaged_files_give_less_and_never_more(tmp_path: Path) -> None:
    source = "#include <sys/socket.h>\nint main(void) { return socket(2, 1, 0) < 0; }"
    whole = compiled(tmp_path / "whole", source).read_bytes()
    draw, path = random.Random(4), tmp_path / "damaged"
    for _ in range(200):
        octets = bytearray(whole[: draw.choice((len(whole), draw.randrange(len(whole))))])
        for _ in range(draw.choice((0, 1, 4, 30))):
            place = draw.choice((draw.randrange(64), draw.randrange(1000), draw.randrange(len(whole))))
            if place < len(octets):
                octets[place] = draw.choice((0, 1, 0x7F, 0xFF, draw.randrange(256)))
        path.write_bytes(octets)
        try:
            read_elf(path)
        except NotElf:
            continue
    assert os.path.getsize(path) >= 0
