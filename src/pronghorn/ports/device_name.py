"""Device names with options: `blue?mtu=9000&key=symmetric`, as in the query of a URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pronghorn.ports.driver import PortError


def split_options(device: str, readers: Mapping[str, Callable[[str], Any]]) -> tuple[str, dict[str, Any]]:
    """The name before `?`, and each option's value as its reader (ValueError: the text says what it takes) makes it."""
    name, _, query = device.partition("?")
    options: dict[str, Any] = {}
    for part in query.split("&") if query else ():
        option, _, value = part.partition("=")
        if option not in readers:
            raise PortError(f"{device}: no option {option!r}; there are {', '.join(sorted(readers))}")
        try:
            options[option] = readers[option](value)
        except ValueError as error:
            raise PortError(f"{device}: {option}={value}: {error}") from error
    return name, options


def whole(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers in a range."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"must be a number from {low} to {high}")
        return int(text)

    return read


def choice(values: Mapping[str, Any]) -> Callable[[str], Any]:
    """A reader of words."""

    def read(text: str) -> Any:
        if text not in values:
            raise ValueError(f"must be one of {', '.join(values)}")
        return values[text]

    return read
