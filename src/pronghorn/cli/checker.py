"""`python -m pronghorn.cli.checker WAY`: the process that makes a gateway's health checks (control/health/).

The gateway starts it; people have no use for it. WAY is `gateway`, over the link that PRONGHORN_ATTACH names, or
`kernel`.
"""

from __future__ import annotations

import asyncio
import signal
import sys


def main(way: str) -> int:
    """Make checks until standard input ends."""
    from pronghorn.control.health.checker import AT_ONCE, serve
    from pronghorn.control.health.way import Way

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal's: the gateway ends it
    if way == "kernel":
        asyncio.run(serve(Way()))
        return 0
    from pronghorn.sockets.attach import AttachError
    from pronghorn.sockets.loop import run
    from pronghorn.sockets.socket import socket
    from pronghorn.sockets.stack import stack

    try:
        welcome = stack().attachment.welcome
        ports = welcome.port_high - welcome.port_low + 1
        run(serve(Way(socket), min(ports - ports // 4, AT_ONCE)))  # a datagram socket has a port to itself
    except (AttachError, FileNotFoundError, ConnectionError) as error:
        print(f"pronghorn: health checks cannot attach to the gateway: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
