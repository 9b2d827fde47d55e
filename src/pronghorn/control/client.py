"""Ask a gateway: HTTP over its Unix socket, from the standard library, because a command should be quick to start."""

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from pronghorn.control import runtime
from pronghorn.control.trouble import Trouble

TIMEOUT = 30.0  # seconds; applying a large configuration may take some


class NotRunning(Trouble):
    """No gateway answers; the text says which socket was tried and what to do."""


class Refused(Trouble):
    """The gateway answered with an error: its sentence, and the problems of a configuration."""

    def __init__(self, status: int, answer: Mapping[str, Any]) -> None:
        self.status, self.problems = status, answer.get("problems", [])
        super().__init__(answer.get("error", f"the gateway answered with status {status}"))


class Connection(http.client.HTTPConnection):
    """HTTP to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("pronghorn", timeout=TIMEOUT)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Client:
    """One gateway, by its name; without a name the only one that runs."""

    def __init__(self, name: str | None = None) -> None:
        self.path = runtime.socket_path(name or _only_name())

    def get(self, *parts: str, **query: str) -> Any:
        return self.send("GET", parts, query)

    def send(
        self, method: str, parts: tuple[str, ...], query: Mapping[str, str] | None = None, body: Any = None
    ) -> Any:
        """One request. `body` is TOML when it is text, JSON otherwise. Raises NotRunning or Refused."""
        path = "/v1" + "".join("/" + quote(part, safe="") for part in parts)
        if query:
            path += "?" + urlencode(query)
        kind = "application/toml" if isinstance(body, str) else "application/json"
        octets = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
        connection = Connection(self.path)
        try:
            connection.request(method, path, octets, {"Content-Type": kind} if octets is not None else {})
            response = connection.getresponse()
            status, answer = response.status, json.loads(response.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotRunning(_advice(self.path, error)) from None
        finally:
            connection.close()
        if status >= 400:
            raise Refused(status, answer)
        return answer


def _only_name() -> str:
    names = runtime.names()
    shared = [name for name in names if not name.startswith(runtime.PRIVATE)]
    names = shared or names
    if len(names) > 1:
        raise NotRunning(f"several gateways run: {', '.join(names)}; choose one with --gateway NAME")
    return names[0] if names else "gateway"


def _advice(path: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"{path} belongs to another user: run this command as the user of the gateway (often root)"
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        others = [name for name in runtime.names() if name != path.stem]
        also = f"; gateways seen here: {', '.join(others)}" if others else ""
        return f"no gateway runs at {path}{also}; start one with `pronghorn up CONFIG.toml`"
    if isinstance(error, TimeoutError):
        return f"the gateway at {path} did not answer within {TIMEOUT:.0f} s"
    return f"the gateway at {path} gave no usable answer: {error or type(error).__name__}"
