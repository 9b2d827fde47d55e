"""Pronghorn: a user-space network data plane for Linux, written in Python and shipped as native code."""

__version__ = "0.1.0"
