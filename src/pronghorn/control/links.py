"""The links of the ports' devices: said on the log when they change, shown by `pronghorn show ports`.

A device of the kernel has a carrier or not, can be switched off by anybody, and can be deleted while its port is open;
one that comes back under the same name is another device, which the port does not know. Nothing is done about it: the
port goes on when its link does. What other drivers call a link they say themselves (`statistics()["link"]`).
"""

from __future__ import annotations

import contextlib
import threading

from pronghorn.control.log import say
from pronghorn.ports.device import index_of, link_of
from pronghorn.ports.driver import Driver, PortError
from pronghorn.state.port import PACKET, TAP, XDP

_OF_THE_KERNEL = (XDP, PACKET, TAP)

_GONE = "its device is gone; when there is one again, restart the gateway or remove the port and add it again"


class Links:
    """What is known of the ports by name. Used by the control thread and by the one that looks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, int, str]] = {}  # device, its index, link

    def opened(self, port: str, device: str, driver: Driver) -> None:
        """Say how the port was opened, and watch its device."""
        facts = driver.statistics()
        words = {name: fact for name, fact in facts.items() if isinstance(fact, str) and name != "caution"}
        interface = getattr(driver, "device", "")
        if driver.kind in _OF_THE_KERNEL and interface:
            with contextlib.suppress(PortError), self._lock:
                index = index_of(interface)
                words["link"] = link_of(interface, index)
                self._known[port] = interface, index, words["link"]
        parts = [f"MTU {driver.mtu}", *(f"{name} {fact}" for name, fact in words.items())]
        say(f"port {port}: opened {device}, {', '.join(parts)}")
        if "caution" in facts:
            say(f"port {port}: {facts['caution']}")

    def closed(self, port: str) -> None:
        """Watch it no more."""
        with self._lock:
            self._known.pop(port, None)

    def look(self) -> None:
        """Say what has changed since the last look."""
        with self._lock:
            for port, (interface, index, before) in self._known.items():
                now = link_of(interface, index)
                if now != before:
                    self._known[port] = interface, index, now
                    say(f"port {port}: {_GONE if now == 'gone' else 'link ' + now}")

    def of(self, port: str, driver: Driver) -> str:
        """The port's link now."""
        with self._lock:
            known = self._known.get(port)
        return link_of(known[0], known[1]) if known else str(driver.statistics().get("link", "up"))
