"""Starting a program on the user-space stack: its link, its environment, and then the program in this one's place."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import socket
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pronghorn.compiled import native
from pronghorn.control import runtime
from pronghorn.control.direct import DirectLink
from pronghorn.control.trouble import Trouble
from pronghorn.control.welcome import LOCAL_PORTS, Interface
from pronghorn.state.attach import ADDRESSES

ROOTS = Path("/run/pronghorn")  # root's gateways: others look there too
PRELOAD = "libpronghorn-preload.so"
VARIABLES = ("ATTACH", "ATTACH_FD", "SETTINGS", "STACK", "ONLY_PORTS", "STRICT", "INHERIT")


class LaunchError(Trouble):
    """The program is not started; the text says why and what to do."""


@dataclass(frozen=True)
class Launch:
    """What `pronghorn run` was told."""

    command: Sequence[str]
    link: str | None = None
    addresses: Sequence[str] = ()
    gateway: str | None = None
    interface: str | None = None
    config: Path | None = None
    mode: str = "completion"
    only_ports: str | None = None
    strict: bool = False
    mtu: int = 1500
    preload: bool = True


def launch(wanted: Launch) -> None:
    """Become the program. Returns only by an exception: LaunchError, LinkError, ConfigError, and what else is wrong."""
    usual = wanted.gateway is None or wanted.gateway == os.environ.get("PRONGHORN_GATEWAY")
    chosen = {"--link": wanted.link, "--interface": wanted.interface, "--gateway": None if usual else wanted.gateway}
    ways = [way for way, name in chosen.items() if name is not None]
    if len(ways) > 1:
        raise LaunchError(f"{' and '.join(ways)}: a program has one way; choose one of them")
    program = find_program(wanted.command[0])
    library = find_library() if wanted.preload else None
    environment = settings(wanted, os.environ, library)
    link, ports = None, LOCAL_PORTS
    if wanted.config is not None:
        from pronghorn.control.program_settings import read_settings, settings_text

        config = read_settings(wanted.config)
        environment["PRONGHORN_SETTINGS"], ports = settings_text(config), config.sockets.local_ports
    if wanted.interface is not None:
        from pronghorn.control.private import start_private

        name = start_private(wanted.interface, [_interface(text) for text in wanted.addresses])
        environment["PRONGHORN_ATTACH"] = str(runtime.attach_path(name))
    elif wanted.link is not None:
        link = DirectLink(wanted.link, interfaces(wanted), wanted.mtu, ports)
        environment["PRONGHORN_ATTACH_FD"] = str(link.descriptor)
    else:
        environment["PRONGHORN_ATTACH"] = str(attach_socket(wanted))
    try:
        os.execve(program, list(wanted.command), environment)
    except OSError as error:
        if link is not None:
            link.close()
        raise LaunchError(f"{program}: {error.strerror}") from None


def find_program(name: str) -> str:
    """The file that the name means, and that it can be taken over."""
    path = shutil.which(name)
    if path is None:
        raise LaunchError(f"{name}: there is no such program to execute")
    facts = Path(path).stat()
    gains = facts.st_mode & stat.S_ISUID and facts.st_uid != os.geteuid()
    gains = gains or (facts.st_mode & stat.S_ISGID and facts.st_gid not in {os.getegid(), *os.getgroups()})
    if gains:
        raise LaunchError(
            f"{path} gets the rights of another user (set-user-ID), and the system loads nothing into such programs; "
            "run it as that user, or a copy of it without that bit"
        )
    return path


def find_library() -> Path:
    """The interposer that belongs to this version."""
    library = native.LIBRARY.with_name(PRELOAD)
    if not library.exists():
        raise LaunchError(f"{library} does not exist: ./do build makes it, and so does installing the package")
    if "PRONGHORN_LIBRARY" not in os.environ and not native.matches():
        raise LaunchError(native.complaint())
    return library


def settings(wanted: Launch, environment: os._Environ[str] | dict[str, str], library: Path | None) -> dict[str, str]:
    """The program's environment, without the link."""
    made = {name: value for name, value in environment.items() if name.removeprefix("PRONGHORN_") not in VARIABLES}
    made["PRONGHORN_STACK"] = wanted.mode
    made["PRONGHORN_RUNTIME_DIR"] = str(runtime.directory())
    if wanted.only_ports is not None:
        made["PRONGHORN_ONLY_PORTS"] = check_ports(wanted.only_ports)
    if wanted.strict:
        made["PRONGHORN_STRICT"] = "1"
    others = [name for name in re.split("[ :]+", made.get("LD_PRELOAD", "")) if name and Path(name).name != PRELOAD]
    if library is not None:
        others.insert(0, str(library))
    if others:
        made["LD_PRELOAD"] = ":".join(others)
    else:
        made.pop("LD_PRELOAD", None)
    return made


def check_ports(text: str) -> str:
    """The same text, when it is like 80,443,8000-8100."""
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", part)
        if not match or not 1 <= int(match[1]) <= int(match[2] or match[1]) <= 65535:
            raise LaunchError(f"--only-ports {text}: {part!r} is not a port or a range; say for instance 80,8000-8100")
    return text


def interfaces(wanted: Launch) -> list[Interface]:
    """The addresses of a direct link."""
    if not wanted.addresses:
        raise LaunchError(
            f"--link {wanted.link} needs an address: --address 10.1.0.1/24 here and --address 10.1.0.2/24 at the "
            "other end, for instance"
        )
    if len(wanted.addresses) > ADDRESSES:
        raise LaunchError(f"--address: {len(wanted.addresses)} are too many; a link has at most {ADDRESSES}")
    return [_interface(text) for text in wanted.addresses]


def _interface(text: str) -> Interface:
    try:
        found = ipaddress.ip_interface(text)
    except ValueError as error:
        raise LaunchError(f"--address {text}: {error}; say for instance 10.1.0.1/24 or fd00::1/64") from None
    bits = found.max_prefixlen
    if "/" not in text:
        raise LaunchError(
            f"--address {text} has no length: the other end lies in the same network, so say for instance "
            f"{text}/{24 if bits == 32 else 64}"
        )
    if found.is_multicast or found.is_unspecified or found.is_loopback:
        raise LaunchError(f"--address {text}: this kind of address cannot be a program's own")
    return found


def attach_socket(wanted: Launch) -> Path:
    """Where the gateway takes programs; it answers there now."""
    if wanted.addresses:
        raise LaunchError(
            "--address belongs to --link and --interface: on a gateway a program has those of programs.addresses"
        )
    folders = [runtime.directory()] if "PRONGHORN_RUNTIME_DIR" in os.environ else [runtime.directory(), ROOTS]
    found = {path.stem: path for folder in reversed(folders) for path in folder.glob("*.attach")}
    names = [
        name
        for name in found
        if wanted.gateway == name or (not wanted.gateway and not name.startswith(runtime.PRIVATE))
    ]
    if len(names) > 1:
        raise LaunchError(f"several gateways take programs: {', '.join(sorted(names))}; choose one with --gateway NAME")
    path = found[names[0]] if names else runtime.attach_path(wanted.gateway or "gateway")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            probe.connect(str(path))
    except OSError as error:
        raise LaunchError(_advice(path, error)) from None
    return path


def _advice(path: Path, error: OSError) -> str:
    """Why there is no gateway, and what to do."""
    if isinstance(error, PermissionError):
        return (
            f"{path}: its gateway takes programs of its own user and root only; list others in programs.users or "
            "programs.groups"
        )
    if path.with_suffix(".sock").exists() and not path.exists():
        return f"the gateway at {path.parent} takes no programs: set programs.enabled = true and start it anew"
    return (
        f"no gateway takes programs at {path} ({error.strerror}); start one with `pronghorn up CONFIG.toml` and "
        "programs.enabled = true, or join two programs directly: --link NAME --address ADDRESS/LENGTH"
    )
