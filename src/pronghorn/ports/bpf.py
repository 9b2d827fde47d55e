"""BPF by its system call: maps, programs, links and what is attached, without libbpf.

An assembler of the few instructions in use stands at the end. The layout of the call's argument is in bpf(2) and
linux/bpf.h; fields beyond what a kernel knows must be zero, so the argument is as long as what is used of it.

All objects are descriptors and vanish with the last process that holds them; a link detaches its program with it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass

from pronghorn.ports.driver import PortError

_MAP_CREATE, _MAP_UPDATE, _PROG_LOAD, _PROG_FD_BY_ID, _OBJECT_INFO, _LINK_CREATE = 0, 2, 5, 13, 15, 28
_SYSTEM_CALL = {"x86_64": 321, "aarch64": 280}
MAP_XSKMAP = 17
_PROGRAM_XDP, _PROGRAM_TC = 6, 3
_ATTACH_XDP, _ATTACH_INGRESS = 37, 46  # BPF_XDP, BPF_TCX_INGRESS
_TC_DROP = 2
NATIVE, GENERIC = 4, 2  # XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE
_LOG = 65536

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, argument: bytes) -> int:
    number = _SYSTEM_CALL.get(platform.machine())
    if number is None:
        raise PortError(f"the number of bpf(2) on {platform.machine()} is not known here; use packet:IF")
    buffer = ctypes.create_string_buffer(argument, len(argument))
    result: int = _libc.syscall(number, command, buffer, len(argument))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


@dataclass
class Object:
    """A descriptor of a map, program or link."""

    fd: int

    def close(self) -> None:
        """Let go of it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def create_map(kind: int, key: int, value: int, entries: int) -> Object:
    """A map of `entries` pairs of `key` and `value` octets."""
    return Object(_bpf(_MAP_CREATE, struct.pack("<IIIII", kind, key, value, entries, 0)))


def update_map(target: Object, key: int, value: int) -> None:
    """Set one entry of a map whose keys and values are 32 bits wide."""
    k, v = ctypes.c_uint32(key), ctypes.c_uint32(value)
    _bpf(_MAP_UPDATE, struct.pack("<IIQQQ", target.fd, 0, ctypes.addressof(k), ctypes.addressof(v), 0))


def load_xdp(code: bytes, name: str) -> Object:
    """Load an XDP program. A verifier that refuses it is quoted."""
    return _load(_PROGRAM_XDP, code, name)


def load_drop_all(name: str) -> Object:
    """Load a program for a device's way in that drops every frame."""
    return _load(_PROGRAM_TC, constant(0, _TC_DROP) + leave(), name)


def _load(kind: int, code: bytes, name: str) -> Object:
    instructions = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    log = ctypes.create_string_buffer(_LOG)

    def load(level: int) -> Object:
        return Object(
            _bpf(
                _PROG_LOAD,
                struct.pack(
                    "<IIQQIIQII16s",
                    kind,
                    len(code) // 8,
                    ctypes.addressof(instructions),
                    ctypes.addressof(licence),
                    level,
                    _LOG if level else 0,
                    ctypes.addressof(log) if level else 0,
                    0,
                    0,
                    name.encode(),
                ),
            )
        )

    try:
        return load(0)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EINVAL):
            raise
    try:
        return load(1)
    except OSError as error:
        raise OSError(error.errno, f"the verifier refuses the program: {log.value.decode(errors='replace')}") from error


def attach_xdp(program: Object, interface: int, mode: int) -> Object:
    """A link that holds the program on the device, NATIVE or GENERIC, for as long as somebody holds the link."""
    return Object(_bpf(_LINK_CREATE, struct.pack("<IIII", program.fd, interface, _ATTACH_XDP, mode)))


def attach_ingress(program: Object, interface: int) -> Object:
    """A link that holds the program on the device's way in, behind packet sockets and before the protocols."""
    return Object(_bpf(_LINK_CREATE, struct.pack("<IIIIIIQ", program.fd, interface, _ATTACH_INGRESS, 0, 0, 0, 0)))


def program_name(number: int) -> str:
    """What the loaded program `number` is called; empty when it has no name or may not be asked."""
    try:
        program = Object(_bpf(_PROG_FD_BY_ID, struct.pack("<III", number, 0, 0)))
    except OSError:
        return ""
    facts = ctypes.create_string_buffer(80)
    try:
        _bpf(_OBJECT_INFO, struct.pack("<IIQ", program.fd, len(facts), ctypes.addressof(facts)))
    finally:
        program.close()
    return facts.raw[64:80].split(b"\0")[0].decode(errors="replace")  # struct bpf_prog_info.name


# --- assembler ----------------------------------------------------------------------------------------------------


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | target, offset, value)


def load32(target: int, source: int, offset: int) -> bytes:
    """target = the u32 at source + offset."""
    return _instruction(0x61, target, source, offset)


def constant(target: int, value: int) -> bytes:
    """target = value."""
    return _instruction(0xB7, target, value=value)


def map_address(target: int, where: Object) -> bytes:
    """target = the map."""
    return _instruction(0x18, target, 1, value=where.fd) + _instruction(0)


def call(helper: int) -> bytes:
    """r0 = helper(r1 .. r5)."""
    return _instruction(0x85, value=helper)


def leave() -> bytes:
    """Return r0."""
    return _instruction(0x95)
