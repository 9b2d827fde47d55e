"""The good frames that mutation starts from: one file per kind in seeds/, a line of hexadecimal per frame.

A file's name says the port that its frames arrive at: KIND.PORT.hex. tests/fuzz/frames.py writes them.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("seeds")
LOCAL_PORTS = (2000, 2003)
"""Full NAT's ports of the stage, so that replies meet their connections."""


def load() -> list[tuple[int, bytes]]:
    """(port, frame) of every seed, in the order of the files' names."""
    found = []
    for path in sorted(FOLDER.glob("*.hex")):
        port = int(path.suffixes[-2][1:])
        found += [(port, bytes.fromhex(line)) for line in path.read_text().split()]
    return found
