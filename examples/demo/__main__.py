"""`./do demo`: real curl clients reach real HTTP servers through a gateway; a server is drained, no request is lost.

    client (curl)  ----  gateway (pronghorn up)  ----  server1 (nginx)
                                                 ----  server2 (nginx)

Four network namespaces joined by veth pairs, IPv4 and IPv6. The gateway takes its three interfaces by AF_XDP, or by
AF_PACKET where AF_XDP is refused. Where namespaces are refused altogether, the same is shown on the embedded network,
in one process. Everything is taken down at the end, also after Ctrl-C or a kill.
"""

from __future__ import annotations

import argparse
import sys
import time

from examples.demo.script import Script
from examples.demo.story import tell
from tests.peers.namespaces import Refused


def main() -> int:
    """Run the demonstration; the exit status is 0 when no request failed."""
    parser = argparse.ArgumentParser(
        prog="./do demo", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the clients go on (default: 20)")
    parser.add_argument("--driver", choices=["xdp", "packet"], help="do not choose: take this one")
    parser.add_argument("--embedded", action="store_true", help="the embedded network, without namespaces")
    arguments = parser.parse_args()
    started = time.monotonic()
    script = Script()
    if not arguments.embedded:
        try:
            return tell(script, arguments.driver, arguments.seconds)
        except Refused as why:
            script.say(f"Network namespaces are refused here: {why}")
    from examples.demo.embedded import tell_embedded

    status = tell_embedded(script, arguments.seconds)
    script.say(f"The demonstration took {time.monotonic() - started:.0f} s.")
    return status


if __name__ == "__main__":
    sys.exit(main())
