"""Tell the service manager how far we are: the datagrams of sd_notify(3), nothing when NOTIFY_SOCKET is not set."""

import os
import socket
import time


def notify(*assignments: str) -> None:
    """Send assignments such as "READY=1". A manager that went away is no reason to stop."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # abstract namespace, unix(7)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        try:
            manager.sendto("\n".join(assignments).encode(), address)
        except OSError:
            return


def ready(status: str) -> None:
    notify("READY=1", f"STATUS={status}")


def reloading() -> None:
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping() -> None:
    notify("STOPPING=1")
