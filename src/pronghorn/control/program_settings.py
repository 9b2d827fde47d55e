"""What a configuration says about a program's own stack: its [tcp], [udp] and [sockets], as PRONGHORN_SETTINGS has it.

Of [sockets] only `local_ports` is a program's, and that on a direct link: on a gateway its ports are those that it gets
there. How many sockets and connections there may be is not to be chosen; `enabled` is taken for true.
"""

from __future__ import annotations

import ctypes
import tomllib
from pathlib import Path

from pronghorn.control.load import load, loads, parse
from pronghorn.control.model import Config, Sockets
from pronghorn.control.native_sockets import NUMBERS
from pronghorn.control.problems import ConfigError, Problem
from pronghorn.engine.settings import VERSION, Settings

_FIXED = ("sockets", "datagram_sockets", "connections", "buffer_memory")


def read_settings(path: Path) -> Config:
    """The configuration in a file, of which only these sections count. Raises ConfigError."""
    try:
        text = path.read_text()
        data = tomllib.loads(text)
    except (OSError, ValueError):
        return load(path)  # which says what is wrong
    sockets = data.get("sockets", {})
    if isinstance(sockets, dict) and "enabled" not in sockets:
        data["sockets"] = {**sockets, "enabled": True}
    config = parse(data, str(path), text) if data else loads("")
    for key in _FIXED:
        value = getattr(config.sockets, key)
        if value != getattr(Sockets(), key):
            wrong = "cannot be chosen for a program; its tables grow as they are used"
            raise ConfigError([Problem(str(path), None, f"sockets.{key}", str(value), wrong, None)])
    return config


def settings_text(config: Config) -> str:
    """The octets of the engine's Settings, in hexadecimal."""
    octets = bytearray(Settings.SIZE)
    view = Settings(ctypes.addressof(ctypes.c_char.from_buffer(octets)))
    view.size, view.version = Settings.SIZE, VERSION
    for key, value in config.tcp:
        setattr(view, key, NUMBERS[key][value] if key in NUMBERS else int(value))
    view.udp_receive_buffer, view.udp_send_buffer = config.udp.receive_buffer, config.udp.send_buffer
    view.port_low, view.port_high = config.sockets.local_ports
    return octets.hex()
