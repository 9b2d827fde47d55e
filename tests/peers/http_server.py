"""Real HTTP servers for the stage: nginx, or Python's own where nginx is not installed.

Each listens on IPv4 and IPv6 and answers every request with its name and a newline, so that a client sees who served
it; the content type names the server too, for clients that throw the body away. Below /slow an answer takes about
a second, so that a test can have many requests under way. nginx runs as one process (no master, one event loop), keeps
connections alive, logs nothing and writes only below the scratch directory; it needs no privilege beyond the port.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.peers.topology import Node, await_port

PAD = 1_200  # octets; nginx holds back for a second what goes beyond the first 1,000

_CONFIGURATION = """
user root root; daemon off; master_process off; worker_processes 1; pid {place}/nginx.pid; error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    access_log off; default_type "text/plain;server={name}"; tcp_nodelay on;
    keepalive_timeout 60s; keepalive_requests 100000000;
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    server {{
        listen 0.0.0.0:{port} backlog=4096; listen [::]:{port} backlog=4096 ipv6only=on;
        location / {{ return 200 "{name}\\n"; }}
        location /slow {{ limit_rate 1000; return 200 "{pad}{name}\\n"; }}
    }}
}}
"""


def serve(node: Node, port: int = 80, kind: str = "") -> subprocess.Popen[bytes]:
    """Start a server on the node and wait until it answers on both families. `kind`: nginx, python or "" to choose."""
    kind = kind or ("nginx" if shutil.which("nginx") else "python")
    place = node.namespace.stage.scratch / f"{node.name}-{port}"
    place.mkdir()
    start = {"nginx": _nginx, "python": _python}[kind]
    process = start(node, port, place)
    try:
        await_port(node.namespace, node.address4, port)
        await_port(node.namespace, node.address6, port)
    except RuntimeError as error:
        log = (node.namespace.stage.scratch / f"{place.name}.log").read_text(errors="replace")
        raise RuntimeError(f"{kind} on {node.name} (exit status {process.poll()}) said:\n{log}") from error
    return process


def _nginx(node: Node, port: int, place: Path) -> subprocess.Popen[bytes]:
    configuration = place / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(place=place, port=port, name=node.name, pad=" " * PAD))
    return node.namespace.start("nginx", "-e", "stderr", "-p", place, "-c", configuration, log=f"{place.name}.log")


def _python(node: Node, port: int, place: Path) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("python_server.py")
    return node.namespace.start(sys.executable, "-E", script, node.name, str(port), log=f"{place.name}.log")
