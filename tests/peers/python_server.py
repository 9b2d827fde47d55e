"""A plain HTTP/1.1 server on IPv4 and IPv6 that answers its name: `python python_server.py NAME PORT`."""

import http.server
import socket
import sys
import time


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    name = b""

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            time.sleep(1)
        self.send_response(200)
        self.send_header("Content-Type", f"text/plain;server={self.name.decode().strip()}")
        self.send_header("Content-Length", str(len(self.name)))
        self.end_headers()
        self.wfile.write(self.name)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class DualStack(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 4096

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


if __name__ == "__main__":
    Answer.name = sys.argv[1].encode() + b"\n"
    DualStack(("::", int(sys.argv[2])), Answer).serve_forever()
