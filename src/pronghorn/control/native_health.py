"""What the engine of this build does about health: that which happens to packets. The rest is health/plane.py's."""

from __future__ import annotations

from pronghorn.control.model import Server, Service, ServiceKey


class NativeHealth:
    """A part of NativeEngine."""

    def change_health(self, service: Service) -> None:
        pass

    def change_checks(self, key: ServiceKey, server: Server) -> None:
        pass
