"""What `pronghorn run` makes of its options, and what it says when something is missing."""

from __future__ import annotations

import ctypes
import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pronghorn.compiled import native
from pronghorn.control.launch import Launch, LaunchError, find_library, find_program, interfaces, launch, settings
from pronghorn.control.problems import ConfigError
from pronghorn.control.program_settings import read_settings, settings_text
from pronghorn.engine.settings import VERSION, Settings

LIBRARY = Path("/somewhere/libpronghorn-preload.so")


def test_the_environment_of_a_program() -> None:
    before = {
        "HOME": "/root",
        "LD_PRELOAD": "/x/libfirst.so:/other/libpronghorn-preload.so libsecond.so",
        "PRONGHORN_ATTACH": "/an/older/one",
        "PRONGHORN_STRICT": "1",
        "PRONGHORN_MODE": "native",
    }
    wanted = Launch(["true"], mode="wakeup", only_ports="80,8000-8100")
    after = settings(wanted, before, LIBRARY)
    assert after == {
        "HOME": "/root",
        "LD_PRELOAD": f"{LIBRARY}:/x/libfirst.so:libsecond.so",
        "PRONGHORN_MODE": "native",
        "PRONGHORN_STACK": "wakeup",
        "PRONGHORN_ONLY_PORTS": "80,8000-8100",
        "PRONGHORN_RUNTIME_DIR": os.environ["PRONGHORN_RUNTIME_DIR"],
    }
    assert settings(Launch(["true"], strict=True), {}, LIBRARY)["PRONGHORN_STRICT"] == "1"
    assert "LD_PRELOAD" not in settings(Launch(["true"]), {"LD_PRELOAD": str(LIBRARY)}, None)


@pytest.mark.parametrize("ports", ["", "0", "80,", "80-", "9-8", "65536", "http", "1-2-3", "80;81"])
def test_ports_that_are_none(ports: str) -> None:
    with pytest.raises(LaunchError, match="--only-ports"):
        settings(Launch(["true"], only_ports=ports), {}, None)


@pytest.mark.parametrize(
    ("addresses", "says"),
    [
        ([], "needs an address: --address 10.1.0.1/24 here"),
        (["10.1.0.1"], "say for instance 10.1.0.1/24"),
        (["fd00::1"], "say for instance fd00::1/64"),
        (["10.1.0.256/24"], "--address 10.1.0.256/24"),
        (["224.0.0.1/4"], "cannot be a program's own"),
        (["127.0.0.1/8"], "cannot be a program's own"),
        (["10.1.0.1/24"] * 17, "17 are too many"),
    ],
)
def test_addresses_that_are_none(addresses: list[str], says: str) -> None:
    with pytest.raises(LaunchError, match=re.escape(says)):
        interfaces(Launch(["true"], link="blue", addresses=addresses))


def test_programs_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LaunchError, match="there is no such program"):
        find_program("no-such-program")
    assert find_program("sh").endswith("/sh")
    gains = tmp_path / "gains"
    gains.write_text("#!/bin/sh\n")
    gains.chmod(0o755 | stat.S_ISUID)
    assert find_program(str(gains)) == str(gains)  # of the same user: nothing is gained
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    with pytest.raises(LaunchError, match="rights of another user"):
        find_program(str(gains))


def test_a_library_that_is_missing_or_of_other_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "LIBRARY", tmp_path / "libpronghorn.so")
    with pytest.raises(LaunchError, match=r"libpronghorn-preload.so does not exist: ./do build"):
        find_library()
    (tmp_path / "libpronghorn-preload.so").touch()
    monkeypatch.delenv("PRONGHORN_LIBRARY", raising=False)
    monkeypatch.setattr(native, "matches", lambda: False)
    monkeypatch.setattr(native, "complaint", lambda: "was built from other sources")
    with pytest.raises(LaunchError, match="other sources"):
        find_library()
    monkeypatch.setenv("PRONGHORN_LIBRARY", str(tmp_path / "libpronghorn.so"))  # whoever says so wants it
    assert find_library() == tmp_path / "libpronghorn-preload.so"


def test_gateways_that_are_not_there(runtime_directory: Path) -> None:
    def says(text: str, **options: Any) -> None:
        with pytest.raises(LaunchError, match=re.escape(text)):
            launch(Launch(["true"], preload=False, **options))

    runtime_directory.mkdir()
    says("no gateway takes programs at")
    says("pronghorn up CONFIG.toml", gateway="edge")
    (runtime_directory / "edge.sock").touch()
    says("set programs.enabled = true", gateway="edge")
    says("--link and --gateway: a program has one way", link="blue", gateway="edge")
    says("--address belongs to --link", addresses=["10.0.0.1/24"])
    (runtime_directory / "edge.attach").touch()
    (runtime_directory / "inside.attach").touch()
    says("several gateways take programs: edge, inside")


def test_a_program_is_told_where_its_gateway_is(runtime_directory: Path) -> None:
    runtime_directory.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(runtime_directory / "edge.attach"))
        listener.listen()
        command = [sys.executable, "-m", "pronghorn", "run", "--no-preload", "--", "sh", "-c", "echo $PRONGHORN_ATTACH"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    assert said == f"{runtime_directory / 'edge.attach'}\n"


def test_settings_come_from_the_one_model(tmp_path: Path) -> None:
    file = tmp_path / "redis.toml"
    file.write_text('[tcp]\ncongestion = "bbr"\nkeep_idle = 60\n[sockets]\nlocal_ports = "2000-2999"\n')
    octets = bytearray.fromhex(settings_text(read_settings(file)))
    view = Settings(ctypes.addressof(ctypes.c_char.from_buffer(octets)))
    assert (view.size, view.version, view.congestion, view.keep_idle) == (Settings.SIZE, VERSION, 2, 60)
    assert (view.port_low, view.port_high, view.udp_send_buffer) == (2000, 2999, 212_992)
    assert (view.ecn, view.syncookies, view.sack, view.memory_low) == (2, 1, 1, 50)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[tcp]\nkeep_idle = 0", "redis.toml:2: tcp.keep_idle = 0: is too small"),
        ("[sockets]\nconnections = 100", "sockets.connections = 100: cannot be chosen for a program"),
        ("[tcp", "not TOML"),
        ("[sockets]\nenabled = false\n[tcp]\nsack = false", "has no effect"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "redis.toml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(says)):
        read_settings(tmp_path / "redis.toml")
