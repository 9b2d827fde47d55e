"""Parts of a configuration that come alone: one service, one server. Checked like those in a file."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pronghorn.control.load import mistakes
from pronghorn.control.model import Server, Service


def read_service(data: Mapping[str, Any]) -> Service:
    """Raises ConfigError."""
    try:
        return Service.model_validate(data)
    except ValidationError as error:
        raise mistakes(error, Service) from None


def read_server(data: Mapping[str, Any]) -> Server:
    """Raises ConfigError."""
    try:
        return Server.model_validate(data)
    except ValidationError as error:
        raise mistakes(error, Server) from None
