"""The engine of this build behind the control plane's interface (plane.py)."""

from pronghorn.control.model import Config
from pronghorn.control.plane import Engine, EngineError


def open_engine(starting: Config) -> Engine:
    """Start an engine without ports and services."""
    raise EngineError("this build has no engine yet")
