"""Which keys of services and servers concern health, and whether two differ in them (plan.py)."""

from pronghorn.control.model import Server, Service

HEALTH = ("checks", "passive", "on_no_server", "sorry_server", "quorum", "hysteresis", "unhealthy", "on_up", "on_down")
SERVER_HEALTH = ("check_via", "check_port")


def differs(old: Service, new: Service) -> bool:
    """Whether two services do."""
    return any(getattr(old, name) != getattr(new, name) for name in HEALTH)


def server_differs(old: Server, new: Server) -> bool:
    """Whether two servers do."""
    return any(getattr(old, name) != getattr(new, name) for name in SERVER_HEALTH)
